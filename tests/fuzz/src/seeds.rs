//! Inputs that are made of other files of the repository.

use std::fs;
use std::path::{Path, PathBuf};

use flyball_test_support::vectors;
use serde_json::Value;

/// Files of a folder, relative to this crate.
fn files(folder: &str) -> impl Iterator<Item = PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let files = fs::read_dir(folder).unwrap();
    files.map(|file| file.unwrap().path())
}

/// Components in text form. (Built-in policies are so large that nearly each mutation only
/// changes code.)
pub fn components() -> Vec<Vec<u8>> {
    files("components")
        .map(|path| wat::parse_file(path).unwrap())
        .collect()
}

/// Answers of the vectors.
pub fn metrics() -> Vec<Vec<u8>> {
    let cases: Vec<Value> = vectors::read("hpa/metricsapi").unwrap();
    let answers = cases.iter().map(|case| &case["in"]["response"]);
    answers.map(|answer| answer.to_string().into()).collect()
}

/// Records of the vectors.
pub fn records() -> Vec<Vec<u8>> {
    let records = ["records/daemon", "records/closures"];
    let records = records
        .iter()
        .flat_map(|name| vectors::read::<Value>(name).unwrap());
    records.map(|record| record.to_string().into()).collect()
}

/// The examples.
pub fn scenarios() -> Vec<Vec<u8>> {
    ["../../examples", "../../examples/nodes"]
        .into_iter()
        .flat_map(files)
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "yaml")
        })
        .map(|path| fs::read(path).unwrap())
        .collect()
}
