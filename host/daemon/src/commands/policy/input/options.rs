//! Defaults of the input of an expander.

use anyhow::{Context as _, bail};
use flyball_decision::expander::option_state;
use flyball_decision::scale_down::NO_ROW;
use serde_json::{Map, Value, json};

/// Columns and the defaults of their cells, if they are not required. A plain option is
/// one node for one pod.
const COLUMNS: [(&str, Missing); 20] = [
    ("nodeGroup", Missing::Never),
    ("state", Missing::State),
    ("nodeCount", Missing::Number(1)),
    ("podCount", Missing::Number(1)),
    ("requestedCpu", Missing::Number(0)),
    ("requestedMemory", Missing::Number(0)),
    ("requestedGpu", Missing::Number(0)),
    ("capacityCpu", Missing::Number(0)),
    ("capacityMemory", Missing::Number(0)),
    ("capacityGpu", Missing::Number(0)),
    ("allocatableCpu", Missing::As("capacityCpu")),
    ("allocatableMemory", Missing::As("capacityMemory")),
    ("allocatableGpu", Missing::As("capacityGpu")),
    ("nodePrice", Missing::Unknown),
    ("podPrice", Missing::Unknown),
    ("currentSize", Missing::Number(0)),
    ("minSize", Missing::Number(0)),
    ("maxSize", Missing::Number(1_000)),
    ("zone", Missing::None),
    ("instanceType", Missing::None),
];

/// Default of a missing cell.
#[derive(Clone, Copy)]
enum Missing {
    Never,
    Number(u32),
    /// The value of another column.
    As(&'static str),
    /// Derived from the capacity.
    State,
    Unknown,
    /// No row.
    None,
}

/// Fills in the columns of the options.
pub(super) fn complete(input: &mut Map<String, Value>) -> anyhow::Result<()> {
    let rows = match input.remove("options") {
        Some(Value::Array(rows)) => rows.into_iter().map(row).collect::<anyhow::Result<_>>()?,
        Some(Value::Object(columns)) => transposed(columns)?,
        _ => bail!("options is neither a list of options nor columns"),
    };
    let columns = COLUMNS.iter().map(|&(name, missing)| {
        let cells = rows.iter().map(|row| cell(row, name, missing));
        let cells = cells.collect::<anyhow::Result<Vec<_>>>()?;
        Ok((name.to_owned(), Value::Array(cells)))
    });
    let columns = columns.collect::<anyhow::Result<Map<_, _>>>()?;
    input.insert("options".into(), Value::Object(columns));
    Ok(())
}

fn row(row: Value) -> anyhow::Result<Map<String, Value>> {
    let Value::Object(row) = row else {
        bail!("an option is not a JSON object");
    };
    match row.keys().find(|name| !known(name)) {
        Some(unknown) => bail!("unknown field {unknown:?} of an option"),
        None => Ok(row),
    }
}

fn known(name: &str) -> bool {
    COLUMNS.iter().any(|&(column, _)| column == name)
}

/// Converts columns, as far as they are present, to rows.
fn transposed(columns: Map<String, Value>) -> anyhow::Result<Vec<Map<String, Value>>> {
    let groups = columns.get("nodeGroup").and_then(Value::as_array);
    let count = groups.context("options has no column nodeGroup")?.len();
    let mut rows = vec![Map::new(); count];
    for (name, column) in columns {
        let cells = match column {
            Value::Array(cells) if cells.len() == count && known(&name) => cells,
            _ if known(&name) => bail!("options.{name} is no list of {count} cells"),
            _ => bail!("unknown column {name:?} of options"),
        };
        for (row, cell) in rows.iter_mut().zip(cells) {
            row.insert(name.clone(), cell);
        }
    }
    Ok(rows)
}

fn cell(row: &Map<String, Value>, name: &str, missing: Missing) -> anyhow::Result<Value> {
    if let Some(cell) = row.get(name) {
        return Ok(cell.clone());
    }
    Ok(match missing {
        Missing::Never => bail!("an option has no {name}"),
        Missing::Number(number) => json!(number),
        Missing::As(other) => row.get(other).cloned().unwrap_or(json!(0)),
        Missing::State => json!(state(row)),
        Missing::Unknown => Value::Null,
        Missing::None => json!(NO_ROW),
    })
}

fn state(row: &Map<String, Value>) -> u32 {
    let has = |column: &str| row.get(column).and_then(Value::as_i64).unwrap_or(0) > 0;
    let bit = |bit: u32, is: bool| if is { bit } else { 0 };
    let template = ["capacityCpu", "capacityMemory", "capacityGpu"];
    option_state::EXISTS
        | bit(option_state::HAS_TEMPLATE, template.into_iter().any(has))
        | bit(option_state::HAS_GPU, has("capacityGpu"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test")]

    use flyball_decision::expander::{ExpanderInput, option_state};
    use serde_json::{Map, Value, json};

    use super::complete;

    fn read(options: Value) -> anyhow::Result<ExpanderInput> {
        let mut input = Map::from_iter([("options".to_owned(), options)]);
        complete(&mut input)?;
        Ok(serde_json::from_value(Value::Object(input))?)
    }

    #[test]
    fn options_are_read_one_by_one_or_as_columns() {
        let one_by_one = read(json!([
            {"nodeGroup": "small", "nodeCount": 2, "capacityCpu": 2000},
            {"nodeGroup": "gpu", "capacityGpu": 1000, "nodePrice": 1.5}
        ]));
        let columns = read(json!({
            "nodeGroup": ["small", "gpu"], "nodeCount": [2, 1], "capacityCpu": [2000, 0],
            "capacityGpu": [0, 1000], "nodePrice": [null, 1.5]
        }));
        let read = one_by_one.unwrap();
        assert_eq!(read, columns.unwrap());
        let options = &read.options;
        assert_eq!(options.allocatable_cpu, [2_000, 0]);
        let known = option_state::EXISTS | option_state::HAS_TEMPLATE;
        assert_eq!(options.state, [known, known | option_state::HAS_GPU]);
        assert_eq!((options.pod_count[0], options.max_size[0]), (1, 1_000));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (wrong, name) in [
            (json!(3), "options"),
            (json!([{"nodeCount": 1}]), "nodeGroup"),
            (json!([{"nodeGroup": "a", "nodeCounts": 1}]), "nodeCounts"),
            (
                json!({"nodeGroup": ["a"], "nodeCount": [1, 2]}),
                "nodeCount",
            ),
            (json!({"nodeGroup": ["a"], "price": [1]}), "price"),
        ] {
            let error = read(wrong.clone()).unwrap_err().to_string();
            assert!(error.contains(name), "{wrong}: {error}");
        }
    }
}
