//! Real inputs of each target: those of examples and vectors, and of `tests/fuzz/corpus`.
//! An input that once failed is added to the latter.

use std::fs;
use std::path::{Path, PathBuf};

use flyball_test_support::vectors;
use serde_json::Value;

type Corpus = Vec<Vec<u8>>;

/// Inputs of some names that begin a corpus, smallest first so that a failure is small.
fn sorted(mut corpus: Corpus) -> Corpus {
    corpus.sort_by_key(Vec::len);
    corpus
}

/// Contents of the files of a folder.
fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let files = fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path());
    let mut files: Vec<PathBuf> = files.filter(|path| path.is_file()).collect();
    files.sort();
    let contents = files.into_iter().map(|path| {
        let content = fs::read(&path).unwrap();
        (path, content)
    });
    contents.collect()
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(name)
}

/// Contents of the files of a target's folder.
fn of_folder(name: &str) -> Corpus {
    let files = files(&folder(name)).into_iter();
    sorted(files.map(|(_, content)| content).collect())
}

/// Lines of a target's file.
fn lines(name: &str) -> Corpus {
    let text = fs::read_to_string(folder(name)).unwrap();
    text.lines().map(|line| line.as_bytes().to_vec()).collect()
}

pub fn autoscalers() -> Corpus {
    of_folder("autoscalers")
}

/// Components in text form. (Built-in policies are so large that nearly each mutation only
/// changes code.)
pub fn components() -> Corpus {
    let files = files(&folder("components")).into_iter();
    sorted(
        files
            .map(|(path, _)| wat::parse_file(path).unwrap())
            .collect(),
    )
}

pub fn dumps() -> Corpus {
    of_folder("dumps")
}

/// Answers of the vectors.
pub fn metrics() -> Corpus {
    let cases: Vec<Value> = vectors::read("hpa/metricsapi").unwrap();
    let answers = cases.iter().map(|case| &case["in"]["response"]);
    sorted(
        answers
            .map(|answer| answer.to_string().into_bytes())
            .collect(),
    )
}

pub fn quantities() -> Corpus {
    lines("quantities.txt")
}

/// Records of the vectors.
pub fn records() -> Corpus {
    let records = ["records/daemon", "records/closures"];
    let records = records
        .iter()
        .flat_map(|name| vectors::read::<Value>(name).unwrap());
    sorted(
        records
            .map(|record| record.to_string().into_bytes())
            .collect(),
    )
}

/// The examples.
pub fn scenarios() -> Corpus {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let files = [files(&examples), files(&examples.join("nodes"))].concat();
    let scenarios = files.into_iter().filter(|(path, _)| {
        path.extension()
            .is_some_and(|extension| extension == "yaml")
    });
    sorted(scenarios.map(|(_, content)| content).collect())
}

pub fn schemas() -> Corpus {
    of_folder("schemas")
}

pub fn selectors() -> Corpus {
    lines("selectors.txt")
}
