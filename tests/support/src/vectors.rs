//! The vectors under `tests/vectors`: recorded decisions of other implementations, a line
//! of JSON each, compressed.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;

use anyhow::Context as _;
use flate2::read::GzDecoder;
use serde::de::DeserializeOwned;

/// Reads all cases of a file, named such as `hpa/behavior`.
///
/// # Errors
/// If there is no such file, or a line of it can't be parsed; the message names it.
pub fn read<T: DeserializeOwned>(name: &str) -> anyhow::Result<Vec<T>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../vectors")
        .join(format!("{name}.jsonl.gz"));
    let file = File::open(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let lines = BufReader::new(GzDecoder::new(file)).lines();
    let cases = lines.enumerate().map(|(index, line)| {
        serde_json::from_str(&line?).with_context(|| format!("{name}, line {}", index + 1))
    });
    cases.collect()
}
