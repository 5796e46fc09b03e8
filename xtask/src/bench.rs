//! `cargo xtask bench`: runs all benchmarks and prints one table.
//!
//! Benchmarks report their figures with `flyball_test_support::bench`.

use std::path::Path;
use std::{fmt, fs};

use anyhow::{Context as _, ensure};
use flyball_test_support::bench::OUT;
use serde::{Deserialize, Serialize};

use crate::command::{run as run_command, step};
use crate::{setup, workspace};

/// Runs the benchmarks in release, prints a table and writes target/bench.json
///
/// The file is a list of {name, value, unit, baseline, ratio}: baseline is the
/// target, the largest value that is good enough, ratio is value / baseline;
/// both are null where there is no target, and the ratio where that is 0. A figure
/// over its target is marked,
/// not an error: how quiet the machine is decides too.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The bench targets to run, as a name or a pattern
    #[arg(default_value = "*")]
    bench: String,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    setup::wasm()?;
    if needs_cluster(&arguments.bench) {
        setup::cluster()?;
        setup::cloud()?;
    }
    let target = workspace::target_dir()?;
    let lines = target.join("bench.jsonl");
    fs::create_dir_all(&target).context("cannot create the target folder")?;
    fs::write(&lines, "").with_context(|| format!("cannot write {}", lines.display()))?;
    step("running the benchmarks", || {
        run_command(
            workspace::cargo()
                .args(["bench", "--workspace", "--bench", &arguments.bench])
                .env(OUT, &lines),
        )
    })?;
    let file = target.join("bench.json");
    let figures = sum_up(&lines, &file)?;
    println!("{}", Table(&figures));
    println!("written to {}", file.display());
    Ok(())
}

/// The bench targets that run on the control plane of the tests, and its AWS.
const ON_CLUSTER: [&str; 2] = ["drain", "tenants"];

/// Whether a name, or a pattern, may stand for one of [`ON_CLUSTER`].
fn needs_cluster(bench: &str) -> bool {
    ON_CLUSTER.contains(&bench) || bench.contains(['*', '?', '['])
}

#[derive(Debug, Serialize, Deserialize)]
struct Figure {
    name: String,
    value: f64,
    unit: String,
    baseline: Option<f64>,
    ratio: Option<f64>,
}

/// Writes the reported figures as one list.
fn sum_up(lines: &Path, file: &Path) -> anyhow::Result<Vec<Figure>> {
    let figures = read(lines)?;
    let text = serde_json::to_string_pretty(&figures)?;
    fs::write(file, text + "\n").with_context(|| format!("cannot write {}", file.display()))?;
    Ok(figures)
}

fn read(lines: &Path) -> anyhow::Result<Vec<Figure>> {
    let text =
        fs::read_to_string(lines).with_context(|| format!("cannot read {}", lines.display()))?;
    let mut figures = text
        .lines()
        .map(|line| parse(line).with_context(|| format!("not a figure: {line}")))
        .collect::<anyhow::Result<Vec<Figure>>>()?;
    ensure!(!figures.is_empty(), "no benchmark reported a figure");
    figures.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(figures)
}

fn parse(line: &str) -> anyhow::Result<Figure> {
    let mut figure: Figure = serde_json::from_str(line)?;
    let above_zero = figure.baseline.filter(|baseline| *baseline > 0.0);
    figure.ratio = above_zero.map(|baseline| figure.value / baseline);
    Ok(figure)
}

struct Table<'a>(&'a [Figure]);

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.0.iter().map(|figure| figure.name.len());
        let width = names.max().unwrap_or(0).max(4);
        write!(
            f,
            "{:width$} {:>12} {:6} {:>10} {:>6}",
            "name", "value", "unit", "target", "ratio"
        )?;
        for figure in self.0 {
            let Figure {
                name, value, unit, ..
            } = figure;
            write!(f, "\n{name:width$} {value:12.3} {unit:6} ")?;
            let Some(baseline) = figure.baseline else {
                write!(f, "{:>10} {:>6} reported", "-", "-")?;
                continue;
            };
            let verdict = if *value <= baseline { "ok" } else { "over" };
            match figure.ratio {
                Some(ratio) => write!(f, "{baseline:10} {ratio:6.2} {verdict}")?,
                None => write!(f, "{baseline:10} {:>6} {verdict}", "-")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{Table, parse, sum_up};

    #[test]
    fn the_figures_are_written_as_one_list() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let (lines, file) = (
            folder.path().join("lines"),
            folder.path().join("bench.json"),
        );
        fs::write(&lines, "")?;
        assert!(sum_up(&lines, &file).is_err() && !file.exists());
        let reported = [
            r#"{"name":"b/size","value":3.0,"unit":"KiB","baseline":null}"#,
            r#"{"name":"a/call","value":30.0,"unit":"us","baseline":60.0}"#,
        ];
        fs::write(&lines, reported.join("\n"))?;
        sum_up(&lines, &file)?;
        let written: serde_json::Value = serde_json::from_str(&fs::read_to_string(&file)?)?;
        let expected = serde_json::json!([
            {"name": "a/call", "value": 30.0, "unit": "us", "baseline": 60.0, "ratio": 0.5},
            {"name": "b/size", "value": 3.0, "unit": "KiB", "baseline": null, "ratio": null},
        ]);
        assert_eq!(written, expected);
        Ok(())
    }

    #[test]
    fn a_figure_is_set_against_its_target() {
        let lines = [
            r#"{"name":"a/call","value":30.0,"unit":"us","baseline":60.0}"#,
            r#"{"name":"a/sync","value":3,"unit":"s","baseline":2}"#,
            r#"{"name":"a/size","value":3,"unit":"KiB","baseline":null}"#,
            r#"{"name":"a/left","value":0,"unit":"pods","baseline":0}"#,
            r#"{"name":"a/lost","value":1,"unit":"pods","baseline":0}"#,
        ];
        let figures = lines.map(|line| parse(line).expect("a figure"));
        assert_eq!(
            figures.each_ref().map(|f| f.ratio),
            [Some(0.5), Some(1.5), None, None, None]
        );
        let table = Table(&figures).to_string();
        let verdicts: Vec<&str> = table
            .lines()
            .filter_map(|line| line.split_whitespace().last())
            .collect();
        assert_eq!(verdicts, ["ratio", "ok", "over", "reported", "ok", "over"]);
    }
}
