//! `cargo xtask bench`: runs all benchmarks and prints one table.
//!
//! Benchmarks report their figures with `flyball_test_support::bench`.

use std::path::{Path, PathBuf};
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
///
/// With --baseline, a figure that an earlier run has too gets that run's value (before)
/// and by how many percent the value is above it (change; none where it was 0). More than
/// 5% is marked as worse.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The bench targets to run, as a name or a pattern
    #[arg(default_value = "*")]
    bench: String,
    /// The bench.json of an earlier run, to compare with
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
}

/// Percent above the value of an earlier run from which a figure counts as worse.
const TOLERANCE: f64 = 5.0;

pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let earlier = arguments.baseline.as_deref().map(read_earlier);
    let earlier = earlier.transpose()?.unwrap_or_default();
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
    let figures = sum_up(&lines, &earlier, &file)?;
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
    /// The target.
    baseline: Option<f64>,
    ratio: Option<f64>,
    /// Value of an earlier run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    before: Option<f64>,
    /// By how many percent the value is above that of the earlier run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    change: Option<f64>,
}

impl Figure {
    /// Compares it with the figure of the same name and unit of an earlier run.
    fn compare(&mut self, earlier: &[Self]) {
        let same = |other: &&Self| other.name == self.name && other.unit == self.unit;
        let before = earlier.iter().find(same).map(|other| other.value);
        let above_zero = before.filter(|before| *before > 0.0);
        self.before = before;
        self.change = above_zero.map(|before| 100.0 * (self.value - before) / before);
    }

    /// Whether it is worse than in the earlier run: all figures are better if they are less.
    fn is_worse(&self) -> bool {
        match (self.before, self.change) {
            (_, Some(change)) => change > TOLERANCE,
            (Some(before), None) => self.value > before,
            (None, None) => false,
        }
    }

    fn verdict(&self) -> String {
        let verdict = match self.baseline {
            None => "reported",
            Some(target) if self.value <= target => "ok",
            Some(_) => "over",
        };
        match self.is_worse() {
            true => format!("{verdict}, worse"),
            false => verdict.to_owned(),
        }
    }
}

/// Reads the list that an earlier run wrote.
fn read_earlier(file: &Path) -> anyhow::Result<Vec<Figure>> {
    let text =
        fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    serde_json::from_str(&text).with_context(|| format!("no list of figures: {}", file.display()))
}

/// Writes the reported figures as one list.
fn sum_up(lines: &Path, earlier: &[Figure], file: &Path) -> anyhow::Result<Vec<Figure>> {
    let mut figures = read(lines)?;
    for figure in &mut figures {
        figure.compare(earlier);
    }
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
        let is_compared = self.0.iter().any(|figure| figure.before.is_some());
        write!(
            f,
            "{:width$} {:>12} {:6} {:>10} {:>6}",
            "name", "value", "unit", "target", "ratio"
        )?;
        if is_compared {
            write!(f, " {:>12} {:>8}", "before", "change")?;
        }
        for figure in self.0 {
            let Figure {
                name, value, unit, ..
            } = figure;
            let target = cell(figure.baseline, |target| target.to_string());
            let ratio = cell(figure.ratio, |ratio| format!("{ratio:.2}"));
            write!(
                f,
                "\n{name:width$} {value:12.3} {unit:6} {target:>10} {ratio:>6}"
            )?;
            if is_compared {
                let before = cell(figure.before, |before| format!("{before:.3}"));
                let change = cell(figure.change, |change| format!("{change:+.1}%"));
                write!(f, " {before:>12} {change:>8}")?;
            }
            write!(f, " {}", figure.verdict())?;
        }
        Ok(())
    }
}

/// Returns a value as text, or a dash.
fn cell(value: Option<f64>, text: impl FnOnce(f64) -> String) -> String {
    value.map_or_else(|| "-".to_owned(), text)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{Table, parse, read_earlier, sum_up};

    #[test]
    fn the_figures_are_written_as_one_list() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let (lines, file) = (
            folder.path().join("lines"),
            folder.path().join("bench.json"),
        );
        fs::write(&lines, "")?;
        assert!(sum_up(&lines, &[], &file).is_err() && !file.exists());
        let reported = [
            r#"{"name":"b/size","value":3.0,"unit":"KiB","baseline":null}"#,
            r#"{"name":"a/call","value":30.0,"unit":"us","baseline":60.0}"#,
        ];
        fs::write(&lines, reported.join("\n"))?;
        sum_up(&lines, &[], &file)?;
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

    #[test]
    fn a_figure_is_set_against_that_of_an_earlier_run() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let (lines, file) = (
            folder.path().join("lines"),
            folder.path().join("bench.json"),
        );
        let report = |values: &[(&str, f64, &str)]| {
            let line = |&(name, value, unit): &(&str, f64, &str)| {
                let figure = serde_json::json!({
                    "name": name, "value": value, "unit": unit, "baseline": 105,
                });
                format!("{figure}\n")
            };
            fs::write(&lines, values.iter().map(line).collect::<String>())
        };
        report(&[
            ("a/better", 100.0, "ms"),
            ("b/gone", 100.0, "ms"),
            ("c/near", 100.0, "ms"),
            ("d/other-unit", 100.0, "ms"),
            ("e/worse", 100.0, "ms"),
            ("f/zero", 0.0, "pods"),
            ("g/zero", 0.0, "pods"),
        ])?;
        sum_up(&lines, &[], &file)?;
        let earlier = read_earlier(&file)?;
        report(&[
            ("a/better", 50.0, "ms"),
            ("b/new", 100.0, "ms"),
            ("c/near", 105.0, "ms"),
            ("d/other-unit", 100.0, "s"),
            ("e/worse", 106.0, "ms"),
            ("f/zero", 0.0, "pods"),
            ("g/zero", 1.0, "pods"),
        ])?;
        let figures = sum_up(&lines, &earlier, &file)?;
        let compared = figures.iter().map(|figure| (figure.before, figure.change));
        let expected = [
            (Some(100.0), Some(-50.0)),
            (None, None),
            (Some(100.0), Some(5.0)),
            (None, None),
            (Some(100.0), Some(6.0)),
            (Some(0.0), None),
            (Some(0.0), None),
        ];
        assert_eq!(compared.collect::<Vec<_>>(), expected);
        let table = Table(&figures).to_string();
        let ends = [
            " before   change",
            " 100.000   -50.0% ok",
            " - ok",
            " 100.000    +5.0% ok",
            " - ok",
            " 100.000    +6.0% over, worse",
            " 0.000        - ok",
            " 0.000        - ok, worse",
        ];
        assert_eq!(table.lines().count(), ends.len());
        for (line, end) in table.lines().zip(ends) {
            assert!(line.ends_with(end), "{line:?} has no {end:?}");
        }
        let written: serde_json::Value = serde_json::from_str(&fs::read_to_string(&file)?)?;
        assert_eq!(written[4]["before"], 100.0);
        assert_eq!(written[4]["change"], 6.0);
        Ok(())
    }
}
