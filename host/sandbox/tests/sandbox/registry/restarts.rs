//! Restarts with last good versions.

use flyball_decision::policy::{PolicyEngine as _, kind};
use flyball_sandbox::{PolicySource, PolicyState};

use super::{Home, ask, replicas, status};

#[test]
fn the_last_good_one_outlives_a_restart() {
    let home = Home::new();
    home.write("mine.wasm", &replicas(6));
    drop(home.open());
    home.write("mine.wasm", b"\0asm");
    let registry = home.open();
    assert_eq!(ask(&registry, "mine"), Some(6));
    assert_eq!(
        status(&registry, "mine").source,
        Some(PolicySource::LastGood(home.file("mine.wasm")))
    );
    assert!(matches!(
        status(&registry, "mine").state,
        PolicyState::Failed { .. }
    ));
    drop(registry);

    // A copy that was altered is not used.
    let copies = home.0.path().join("last-good");
    for entry in std::fs::read_dir(&copies)
        .unwrap()
        .map(|entry| entry.unwrap().path())
    {
        if entry.extension().is_some_and(|one| one == "wasm") {
            std::fs::write(&entry, replicas(60)).unwrap();
        }
    }
    let registry = home.open();
    assert!(registry.policy(kind::REPLICA, "mine").is_err());
    home.write("mine.wasm", &replicas(7));
    registry.rescan();
    assert_eq!(ask(&registry, "mine"), Some(7));

    // Nor is a copy used whose file was deleted while no daemon ran.
    drop(registry);
    std::fs::remove_file(home.file("mine.wasm")).unwrap();
    drop(home.open());
    home.write("mine.wasm", b"\0asm");
    assert!(home.open().policy(kind::REPLICA, "mine").is_err());
}
