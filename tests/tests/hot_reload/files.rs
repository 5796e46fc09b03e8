//! Files that are added, broken, repaired and removed.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::symlink;

use flyball_decision::policy::PolicyFailure;
use flyball_sandbox::{PolicyEvent, PolicySource, digest};

use super::{
    BUILT_IN, DEBOUNCE, Home, ask, published, reason, status, wait_for_answer, wait_for_failure,
    wait_until,
};

#[test]
fn a_file_comes_breaks_is_mended_and_goes() {
    let home = Home::new();
    home.put("other.wasm", &home.plain["two"]);
    let registry = home.start();
    let events = registry.subscribe();
    assert!(
        ask(&registry, "web")
            .unwrap_err()
            .message()
            .contains("put web.wasm into")
    );

    home.put("web.wasm", &home.plain["two"]);
    wait_for_answer(&registry, "web", 2);
    let active = status(&registry, "web").unwrap();
    assert_eq!(
        active.source,
        Some(PolicySource::File(home.file("web.wasm")))
    );
    assert_eq!(*active.version.unwrap().digest, *digest(&home.plain["two"]));

    let three = &home.plain["three"];
    let broken: [(&[u8], &str); 4] = [
        (&three[..three.len() / 2], "truncated"),
        (b"policy: three", "not WebAssembly"),
        (
            &home.hostile["start_loop"],
            "failed while describing itself: PolicyOutOfFuel",
        ),
        (
            &home.hostile["trap"],
            "failed its canary decision: PolicyTrapped",
        ),
    ];
    for (bytes, words) in broken {
        home.put("web.wasm", bytes);
        wait_for_failure(&registry, "web", words);
        assert_eq!(ask(&registry, "web"), Ok(2), "the last good one goes on");
        assert_eq!(ask(&registry, "other"), Ok(2));
    }

    home.put("web.wasm", three);
    wait_for_answer(&registry, "web", 3);

    fs::remove_file(home.file("web.wasm")).unwrap();
    wait_until("web to be gone", || {
        matches!(ask(&registry, "web"), Err(PolicyFailure::Missing(_)))
    });
    assert_eq!(ask(&registry, "other"), Ok(2));

    let published = published(&events, 7).into_iter();
    let lines: Vec<String> = published.map(|event| event.to_string()).collect();
    let expected = [
        "web 1.0.0",
        "refused: truncated",
        "web 1.0.0",
        "policy web retired",
    ];
    assert_eq!(lines.len(), 7, "{lines:#?}");
    assert!(
        lines.iter().all(|line| line.starts_with("policy web")),
        "{lines:#?}"
    );
    for (line, words) in [&lines[0], &lines[1], &lines[5], &lines[6]]
        .into_iter()
        .zip(expected)
    {
        assert!(line.contains(words), "{line} lacks {words:?}");
    }
}

#[test]
fn a_built_in_gives_way_to_a_file_and_takes_its_place_again() {
    let home = Home::new();
    let registry = home.start();
    assert_eq!(ask(&registry, "hpa"), Ok(BUILT_IN));
    home.put("hpa.wasm", &home.plain["three"]);
    wait_for_answer(&registry, "hpa", 3);
    fs::remove_file(home.file("hpa.wasm")).unwrap();
    wait_for_answer(&registry, "hpa", BUILT_IN);
    assert_eq!(
        status(&registry, "hpa").unwrap().source,
        Some(PolicySource::BuiltIn)
    );
}

#[test]
fn a_mounted_config_map_is_swapped_as_one() {
    let home = Home::new();
    let version = |name: &str, bytes: &[u8]| {
        fs::create_dir(home.file(name)).unwrap();
        fs::write(home.file(name).join("web.wasm"), bytes).unwrap();
    };
    version("..2026_11_24_01", &home.plain["two"]);
    symlink("..2026_11_24_01", home.file("..data")).unwrap();
    symlink("..data/web.wasm", home.file("web.wasm")).unwrap();
    let registry = home.start();
    assert_eq!(ask(&registry, "web"), Ok(2));
    assert_eq!(
        registry.status().len(),
        2,
        "links to directories are no policies"
    );

    version("..2026_11_24_02", &home.plain["three"]);
    symlink("..2026_11_24_02", home.file("..data_tmp")).unwrap();
    fs::rename(home.file("..data_tmp"), home.file("..data")).unwrap();
    fs::remove_dir_all(home.file("..2026_11_24_01")).unwrap();
    wait_for_answer(&registry, "web", 3);
    assert_eq!(status(&registry, "web").unwrap().generation, 2);
}

#[test]
fn two_files_of_one_name_are_an_error_that_names_both() {
    let home = Home::new();
    home.put("web.wasm", &home.plain["two"]);
    let registry = home.start();
    home.put("web.WASM", &home.plain["three"]);
    wait_for_failure(&registry, "web", "two files claim the policy's name");
    let reason = reason(&registry, "web").unwrap();
    for file in ["web.wasm", "web.WASM"] {
        assert!(
            reason.contains(&home.file(file).display().to_string()),
            "{reason}"
        );
    }
    assert_eq!(ask(&registry, "web"), Ok(2));
    fs::remove_file(home.file("web.wasm")).unwrap();
    wait_for_answer(&registry, "web", 3);
}

#[test]
fn a_slow_copy_is_never_loaded_half() {
    let home = Home::new();
    let (two, three) = (&home.plain["two"], &home.plain["three"]);
    home.put("web.wasm", two);
    let registry = home.start();
    let events = registry.subscribe();

    let mut file = fs::File::create(home.file("web.wasm")).unwrap();
    for part in three.chunks(three.len() / 8) {
        file.write_all(part).unwrap();
        file.flush().unwrap();
        assert!(matches!(ask(&registry, "web"), Ok(2 | 3)));
        // Long enough for the directory to seem quiet.
        std::thread::sleep(DEBOUNCE * 4);
    }
    drop(file);
    wait_for_answer(&registry, "web", 3);
    let activated: Vec<String> = published(&events, 1)
        .into_iter()
        .filter_map(|event| match event {
            PolicyEvent::Activated { version, .. } => Some(version.digest.to_string()),
            _ => None,
        })
        .collect();
    assert_eq!(activated, [digest(three)]);
}

#[test]
fn a_directory_that_is_not_there_yet_keeps_nothing_from_starting() {
    let home = Home::new();
    fs::remove_dir(home.root.path().join("policies")).unwrap();
    let registry = home.start();
    assert_eq!(ask(&registry, "hpa"), Ok(BUILT_IN));
    fs::create_dir(home.root.path().join("policies")).unwrap();
    home.put("web.wasm", &home.plain["two"]);
    // There is no notification: the periodic read finds it.
    registry.rescan();
    assert_eq!(ask(&registry, "web"), Ok(2));
}
