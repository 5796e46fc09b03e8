//! Time series: levels of load, and files of comma-separated values.

use std::path::Path;

use super::{CsvLoad, Interpolation, LevelAt, ScenarioError};
use crate::time::{Millis, parse_timestamp};

/// Time series of values.
#[derive(Debug, PartialEq)]
pub(crate) struct Series {
    /// Seconds since the start, ascending; at least one.
    times: Vec<f64>,
    values: Vec<f64>,
    interpolation: Interpolation,
}

impl Series {
    /// Creates a series of levels, each of which lasts until the next.
    pub(crate) fn steps(levels: &[LevelAt]) -> Self {
        Self {
            times: levels.iter().map(|level| level.at.seconds()).collect(),
            values: levels.iter().map(|level| level.value).collect(),
            interpolation: Interpolation::Step,
        }
    }

    /// Reads a file of comma-separated values with a header line.
    pub(crate) fn read(spec: &CsvLoad, file: &Path) -> Result<Self, ScenarioError> {
        let text = flyball_files::read_to_string(file).map_err(|source| ScenarioError::Read {
            file: file.to_owned(),
            source,
        })?;
        Self::parse(spec, &text).map_err(|(line, message)| ScenarioError::Csv {
            file: file.to_owned(),
            line,
            message,
        })
    }

    fn parse(spec: &CsvLoad, text: &str) -> Result<Self, (usize, String)> {
        let mut lines = text.lines().enumerate();
        let (_, header) = lines
            .next()
            .ok_or((1, "expected a header line".to_owned()))?;
        let columns = [
            column(header, spec.time.as_deref(), 0)?,
            column(header, spec.value.as_deref(), 1)?,
        ];
        let mut rows: Vec<(f64, f64)> = Vec::new();
        for (index, line) in lines.filter(|(_, line)| !line.trim().is_empty()) {
            let row = row(line, columns).map_err(|message| (index + 1, message))?;
            if rows.last().is_some_and(|last| last.0 >= row.0) {
                return Err((index + 1, "times must ascend".to_owned()));
            }
            rows.push(row);
        }
        let (first, last) = match (rows.first(), rows.last()) {
            (Some(first), Some(last)) => (first.0, last.0),
            _ => return Err((0, "has no rows".to_owned())),
        };
        let skipped = first + spec.skip.seconds();
        if skipped > last {
            return Err((0, format!("has no rows after skip: {}", spec.skip)));
        }
        Ok(Self {
            times: rows
                .iter()
                .map(|row| (row.0 - skipped) / spec.speed)
                .collect(),
            values: rows.iter().map(|row| row.1 * spec.scale).collect(),
            interpolation: spec.interpolation,
        })
    }

    /// Returns the value at `t` seconds since the start. Before the first and after the
    /// last row it is that row's.
    pub(crate) fn value(&self, t: f64) -> f64 {
        let after = self.times.partition_point(|time| *time <= t);
        let Some(before) = after.checked_sub(1) else {
            return self.values[0];
        };
        if after == self.times.len() || self.interpolation == Interpolation::Step {
            return self.values[before];
        }
        let (from, to) = (self.times[before], self.times[after]);
        let part = (t - from) / (to - from);
        self.values[before] + (self.values[after] - self.values[before]) * part
    }
}

/// Returns the index of the column with that name, or `default` without a name.
fn column(header: &str, name: Option<&str>, default: usize) -> Result<usize, (usize, String)> {
    let names: Vec<&str> = header.split(',').map(str::trim).collect();
    let found = match name {
        Some(name) => names.iter().position(|column| *column == name),
        None => (default < names.len()).then_some(default),
    };
    found.ok_or_else(|| {
        let wanted = name.map_or_else(|| format!("number {}", default + 1), |n| format!("{n:?}"));
        (1, format!("has no column {wanted} ({})", names.join(", ")))
    })
}

/// Parses the time in seconds and the value of a row.
fn row(line: &str, columns: [usize; 2]) -> Result<(f64, f64), String> {
    let cell = |column: usize| line.split(',').nth(column).map_or("", str::trim);
    let [time, value] = columns.map(cell);
    let seconds = seconds(time).ok_or_else(|| {
        format!("{time:?} is no time: seconds, a duration or a date and time of day")
    })?;
    let number: f64 = value
        .parse()
        .map_err(|_| format!("{value:?} is not a number"))?;
    if !number.is_finite() || number < 0.0 {
        return Err(format!("{value} is no load: it must be 0 or more"));
    }
    Ok((seconds, number))
}

fn seconds(text: &str) -> Option<f64> {
    let number = text.parse::<f64>().ok().filter(|number| number.is_finite());
    number
        .or_else(|| Millis::parse(text).map(Millis::seconds))
        .or_else(|| parse_timestamp(text).map(|at| at.0 as f64 / 1000.0))
}

#[cfg(test)]
mod tests {
    use super::{CsvLoad, Interpolation, Series};
    use crate::time::Millis;

    fn spec() -> CsvLoad {
        CsvLoad {
            file: "load.csv".into(),
            time: None,
            value: None,
            interpolation: Interpolation::Linear,
            scale: 2.0,
            skip: Millis(0),
            speed: 1.0,
        }
    }

    #[test]
    fn series_read_whatever_spells_their_times() {
        let texts = [
            "time,value\n0,10\n60,20\n",
            "time,value\n0s,10\n1m,20\n",
            "timestamp,value\n2014-04-10 00:04:00,10.0\r\n2014-04-10 00:05:00,20.0\r\n",
        ];
        for text in texts {
            let series = Series::parse(&spec(), text).expect(text);
            let values = [-5.0, 0.0, 30.0, 60.0, 90.0].map(|t| series.value(t));
            assert_eq!(values, [20.0, 20.0, 30.0, 40.0, 40.0], "{text}");
        }
        let faster = CsvLoad {
            skip: Millis(30_000),
            speed: 2.0,
            ..spec()
        };
        let series = Series::parse(&faster, texts[0]).expect("a series");
        assert_eq!([0.0, 15.0].map(|t| series.value(t)), [30.0, 40.0]);
        let steps = CsvLoad {
            interpolation: Interpolation::Step,
            time: Some("b".to_owned()),
            value: Some("a".to_owned()),
            ..spec()
        };
        let series = Series::parse(&steps, "a,b\n1,0\n2,10\n").expect("a series");
        assert_eq!([9.0, 10.0].map(|t| series.value(t)), [2.0, 4.0]);
    }

    #[test]
    fn bad_rows_are_told_with_their_line() {
        let cases = [
            ("", 1, "header"),
            ("time\n", 1, "no column number 2"),
            ("time,value\n", 0, "no rows"),
            ("time,value\n0,1\nx,2\n", 3, "\"x\" is no time"),
            ("time,value\n0,1\n1,NaN\n", 3, "NaN is no load"),
            ("time,value\n0,1\n\n1,-3\n", 4, "-3 is no load"),
            ("time,value\n0,1\n1\n", 3, "\"\" is not a number"),
            ("time,value\n5,1\n5,1\n", 3, "ascend"),
        ];
        for (text, line, message) in cases {
            let (at, error) = Series::parse(&spec(), text).expect_err(text);
            assert_eq!(at, line, "{error}");
            assert!(error.contains(message), "{error}");
        }
    }
}
