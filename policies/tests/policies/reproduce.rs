//! Whoever builds a release's sources gets its policies: a record names a policy by
//! its digest.

use std::fs;
use std::path::Path;

use flyball_build::{BuildRequest, build};

#[test]
fn policies_built_elsewhere_are_the_same() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let repository = repository.canonicalize().unwrap();
    let work = Path::new(env!("CARGO_TARGET_TMPDIR")).join("reproduce");
    let elsewhere = work.join("a/copy/of/the/sources");
    let _ = fs::remove_dir_all(&elsewhere);
    copy(&repository, &elsewhere);
    let mut builtin = flyball_policies::BUILTIN.iter();
    let (_, hpa) = builtin.find(|(name, _)| *name == "hpa").unwrap();
    for (folder, embedded) in [
        ("policies/hpa", *hpa),
        ("examples/policies/predictive", flyball_policies::PREDICTIVE),
    ] {
        let target = work.join("target");
        let built = build(&BuildRequest::new(elsewhere.join(folder), target)).unwrap();
        assert!(
            built.component == embedded,
            "{folder}: built in another folder it is another component"
        );
        let text = String::from_utf8_lossy(embedded);
        assert!(
            !text.contains(&*repository.to_string_lossy()),
            "{folder}: it names a path of this machine"
        );
    }
}

/// The sources; what was built in them stays behind.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (path, name) = (entry.path(), entry.file_name());
        if name == "target" || name == ".git" {
            continue;
        }
        if path.is_dir() {
            copy(&path, &to.join(name));
        } else {
            fs::copy(&path, to.join(name)).unwrap();
        }
    }
}
