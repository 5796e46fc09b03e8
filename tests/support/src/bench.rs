//! Reports the figures of benchmarks.
//!
//! Every benchmark is a `[[bench]]` target with `harness = false` whose `main` measures
//! and calls [`report`] for each figure. `cargo xtask bench` runs them all and collects
//! the figures from the file that [`OUT`] names.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

use anyhow::Context as _;
use serde_json::json;

/// Environment variable with the file that figures are appended to, one JSON object a
/// line.
pub const OUT: &str = "FLYBALL_BENCH_OUT";

/// Reports one figure: prints it, and appends it to the file that [`OUT`] names, if set.
///
/// `name` is `group/benchmark`; `baseline` is the target, the largest acceptable value,
/// in the same `unit`. `None` means that there is no target.
///
/// # Errors
/// If the file cannot be written.
pub fn report(name: &str, value: f64, unit: &str, baseline: Option<f64>) -> anyhow::Result<()> {
    match baseline {
        Some(baseline) => println!("{name}: {value:.3} {unit} (target {baseline} {unit})"),
        None => println!("{name}: {value:.3} {unit}"),
    }
    let Some(path) = std::env::var_os(OUT) else {
        return Ok(());
    };
    append(Path::new(&path), name, value, unit, baseline)
}

fn append(
    path: &Path,
    name: &str,
    value: f64,
    unit: &str,
    baseline: Option<f64>,
) -> anyhow::Result<()> {
    let line = json!({ "name": name, "value": value, "unit": unit, "baseline": baseline });
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .and_then(|mut file| file.write_all(format!("{line}\n").as_bytes()))
        .with_context(|| format!("cannot write {} (named by {OUT})", path.display()))
}
