//! Defaults of the inputs of scale-down policies.

use anyhow::{Context as _, bail, ensure};
use flyball_decision::scale_down::{node_state, owner_kind, pod_state};
use serde_json::{Map, Value, json};

use super::Input;

/// Default of a missing cell.
#[derive(Clone, Copy)]
enum Cell {
    /// A number.
    Number(i64),
    /// A figure that is not known.
    Unknown,
    /// A text of the table, by its row; none by default.
    Text,
    /// A namespace, by its row.
    Namespace,
    /// A name of a group of its own.
    Name,
    /// A group, by its name or its row; none by default.
    Group,
}

const GROUPS: &[(&str, Cell)] = &[
    ("name", Cell::Name),
    ("state", Cell::Number(0)),
    ("minSize", Cell::Number(0)),
    ("maxSize", Cell::Number(1_000)),
    ("targetSize", Cell::Number(1)),
    ("readyNodes", Cell::Number(1)),
    ("nodePrice", Cell::Unknown),
    ("price", Cell::Unknown),
    ("cost", Cell::Unknown),
    ("utilizationThreshold", Cell::Unknown),
    ("gpuUtilizationThreshold", Cell::Unknown),
    ("unneededTimeMs", Cell::Number(-1)),
    ("unreadyTimeMs", Cell::Number(-1)),
    ("ignoreDaemonSets", Cell::Number(-1)),
];

const POD_NODES: &[(&str, Cell)] = &[
    ("group", Cell::Group),
    ("zone", Cell::Text),
    ("instanceType", Cell::Text),
    ("createdMs", Cell::Number(0)),
    ("price", Cell::Unknown),
];

/// By default a pod is ready, and of a ReplicaSet of three replicas that exists.
const PODS: &[(&str, Cell)] = &[
    ("node", Cell::Number(0)),
    ("namespace", Cell::Namespace),
    (
        "state",
        Cell::Number(
            (pod_state::READY | pod_state::OWNER_LOOKED_UP | pod_state::OWNER_EXISTS) as i64,
        ),
    ),
    ("ownerKind", Cell::Number(owner_kind::REPLICA_SET as i64)),
    ("ownerReplicas", Cell::Number(3)),
    ("priority", Cell::Number(0)),
    ("deletionCost", Cell::Number(0)),
    ("cpu", Cell::Number(0)),
    ("memory", Cell::Number(0)),
    ("gpu", Cell::Number(0)),
    ("createdMs", Cell::Number(0)),
    ("deletionMs", Cell::Number(-1)),
    ("graceMs", Cell::Number(30_000)),
    ("budgets", Cell::Number(0)),
    ("disruptionsAllowed", Cell::Number(-1)),
];

/// By default a node is ready, of 4 cores and 16 GiB, and unneeded for long.
const NODES: &[(&str, Cell)] = &[
    ("group", Cell::Group),
    ("zone", Cell::Text),
    ("instanceType", Cell::Text),
    ("state", Cell::Number(node_state::READY as i64)),
    ("createdMs", Cell::Number(0)),
    ("unreadySinceMs", Cell::Number(-1)),
    ("podsChangedMs", Cell::Number(0)),
    ("unneededSinceMs", Cell::Number(0)),
    ("allocatableCpu", Cell::Number(4_000)),
    ("allocatableMemory", Cell::Number(16 << 30)),
    ("allocatableGpu", Cell::Number(-1)),
    ("requestedCpu", Cell::Number(0)),
    ("requestedMemory", Cell::Number(0)),
    ("requestedGpu", Cell::Number(0)),
    ("daemonSetCpu", Cell::Number(0)),
    ("daemonSetMemory", Cell::Number(0)),
    ("daemonSetGpu", Cell::Number(0)),
    ("mirrorCpu", Cell::Number(0)),
    ("mirrorMemory", Cell::Number(0)),
    ("mirrorGpu", Cell::Number(0)),
    ("price", Cell::Unknown),
    ("podCount", Cell::Number(0)),
    ("cost", Cell::Number(0)),
];

/// Cells of a move beside the nodes that leave and come.
const MOVES: &[(&str, Cell)] = &[
    ("podCount", Cell::Number(0)),
    ("cost", Cell::Number(0)),
    ("youngestPodMs", Cell::Number(-1)),
    ("highestPriority", Cell::Number(0)),
    ("exhaustedBudgets", Cell::Number(0)),
    ("priceBefore", Cell::Unknown),
    ("priceAfter", Cell::Unknown),
];

/// Whether an input is of a scale-down policy.
pub(super) fn is_input(input: &Map<String, Value>) -> bool {
    input.contains_key("nodes")
}

/// Reads the input of a scale-down policy: of `scale-down-moves` if it has `moves`, of
/// `scale-down-pods` if it has `pods`, else of `scale-down-nodes`.
///
/// Tables are columns, as in records, or lists of objects, whose missing fields have
/// defaults.
pub(super) fn read(mut input: Map<String, Value>) -> anyhow::Result<Input> {
    let groups = input.remove("groups").unwrap_or_else(|| json!([]));
    let names = group_names(&groups)?;
    input.insert("groups".into(), table("groups", groups, GROUPS, &names)?);
    let nodes = input.remove("nodes").context("there are no nodes")?;
    let columns = if input.contains_key("pods") {
        POD_NODES
    } else {
        NODES
    };
    input.insert("nodes".into(), table("nodes", nodes, columns, &names)?);
    if let Some(pods) = input.remove("pods") {
        input.insert("pods".into(), table("pods", pods, PODS, &names)?);
        let mut pods: flyball_decision::scale_down::ScaleDownPodsInput =
            serde_json::from_value(Value::Object(input)).context("input")?;
        pods.complete().context("input")?;
        return Ok(Input::ScaleDownPods(pods));
    }
    if let Some(moves) = input.remove("moves") {
        input.insert("moves".into(), moves_table(moves, &names)?);
        let mut moves: flyball_decision::scale_down::ScaleDownMovesInput =
            serde_json::from_value(Value::Object(input)).context("input")?;
        moves.complete().context("input")?;
        return Ok(Input::ScaleDownMoves(moves));
    }
    let mut nodes: flyball_decision::scale_down::ScaleDownNodesInput =
        serde_json::from_value(Value::Object(input)).context("input")?;
    nodes.complete().context("input")?;
    Ok(Input::ScaleDownNodes(nodes))
}

fn group_names(groups: &Value) -> anyhow::Result<Vec<Value>> {
    match groups {
        Value::Array(rows) => Ok(rows.iter().map(|row| row["name"].clone()).collect()),
        Value::Object(columns) => {
            let names = columns.get("name").and_then(Value::as_array);
            Ok(names.context("groups has no column name")?.clone())
        }
        _ => bail!("groups is neither a list of groups nor columns"),
    }
}

/// Returns the columns of a table.
fn table(
    name: &str,
    value: Value,
    columns: &[(&str, Cell)],
    groups: &[Value],
) -> anyhow::Result<Value> {
    match value {
        Value::Object(columns) => Ok(Value::Object(columns)),
        Value::Array(rows) => {
            let rows = rows.into_iter().map(|row| match row {
                Value::Object(row) => Ok(row),
                _ => bail!("a row of {name} is not a JSON object"),
            });
            let rows: Vec<Map<String, Value>> = rows.collect::<anyhow::Result<_>>()?;
            of_rows(name, &rows, columns, groups).map(Value::Object)
        }
        _ => bail!("{name} is neither a list nor columns"),
    }
}

fn of_rows(
    name: &str,
    rows: &[Map<String, Value>],
    columns: &[(&str, Cell)],
    groups: &[Value],
) -> anyhow::Result<Map<String, Value>> {
    let is_known = |field: &str| columns.iter().any(|(column, _)| *column == field);
    for row in rows {
        if let Some(unknown) = row.keys().find(|field| !is_known(field)) {
            bail!("unknown field {unknown:?} in {name}");
        }
    }
    let mut texts: Vec<Value> = Vec::new();
    let mut table = Map::new();
    for &(column, cell) in columns {
        let mut cells = Vec::new();
        for row in rows {
            let value = row.get(column).cloned();
            cells.push(
                filled(value, cell, &mut texts, groups)
                    .with_context(|| format!("{column} in {name}"))?,
            );
        }
        table.insert(column.to_owned(), Value::Array(cells));
    }
    let has_texts = |cell: &Cell| matches!(cell, Cell::Text | Cell::Namespace);
    if columns.iter().any(|(_, cell)| has_texts(cell)) {
        table.insert("texts".into(), Value::Array(texts));
    }
    Ok(table)
}

fn filled(
    value: Option<Value>,
    cell: Cell,
    texts: &mut Vec<Value>,
    groups: &[Value],
) -> anyhow::Result<Value> {
    let mut row = |text: Value| {
        let known = texts.iter().position(|known| *known == text);
        known.unwrap_or_else(|| {
            texts.push(text);
            texts.len() - 1
        })
    };
    Ok(match (cell, value) {
        (Cell::Number(number), value) => value.unwrap_or(json!(number)),
        (Cell::Unknown, value) => value.unwrap_or(Value::Null),
        (Cell::Text, Some(text @ Value::String(_))) => json!(row(text)),
        (Cell::Namespace, Some(text @ Value::String(_))) => json!(row(text)),
        (Cell::Namespace, None) => json!(row(json!("default"))),
        (Cell::Name, Some(name)) => name,
        (Cell::Name, None) => bail!("it has none"),
        (Cell::Group, Some(name @ Value::String(_))) => {
            let known = groups.iter().position(|group| *group == name);
            json!(known.with_context(|| format!("there is no group {name}"))?)
        }
        (Cell::Text | Cell::Group, None) => json!(-1),
        (_, Some(other)) => bail!("{other} is no text"),
    })
}

/// Returns the columns of moves. In a list, `leaving` has the rows of nodes and `coming`
/// objects with `group` and `count`.
fn moves_table(value: Value, groups: &[Value]) -> anyhow::Result<Value> {
    let Value::Array(rows) = value else {
        return table("moves", value, MOVES, groups);
    };
    let (mut leaving, mut leaving_end) = (Vec::new(), Vec::new());
    let (mut coming, mut counts, mut coming_end) = (Vec::new(), Vec::new(), Vec::new());
    let mut others = Vec::new();
    for row in rows {
        let Value::Object(mut row) = row else {
            bail!("a row of moves is not a JSON object");
        };
        let nodes = row.remove("leaving");
        let Some(Value::Array(nodes)) = nodes else {
            bail!("a move has no list `leaving`");
        };
        ensure!(!nodes.is_empty(), "no node leaves in a move");
        leaving.extend(nodes);
        leaving_end.push(leaving.len());
        let come = row.remove("coming").unwrap_or_else(|| json!([]));
        if come == json!([]) {
            row.entry("priceAfter").or_insert(json!(0.0));
        }
        for one in come
            .as_array()
            .context("`coming` of a move is not a list")?
        {
            let group = one.get("group").cloned();
            coming.push(filled(group, Cell::Group, &mut Vec::new(), groups)?);
            counts.push(one.get("count").cloned().unwrap_or(json!(1)));
        }
        coming_end.push(coming.len());
        others.push(row);
    }
    let mut table = of_rows("moves", &others, MOVES, groups)?;
    table.insert("leavingNode".into(), json!(leaving));
    table.insert("leavingEnd".into(), json!(leaving_end));
    table.insert("comingGroup".into(), json!(coming));
    table.insert("comingCount".into(), json!(counts));
    table.insert("comingEnd".into(), json!(coming_end));
    Ok(Value::Object(table))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test")]

    use serde_json::{Value, json};

    use super::{Input, read};

    fn of(input: Value) -> anyhow::Result<Input> {
        let Value::Object(input) = input else {
            panic!("{input} is no object");
        };
        read(input)
    }

    #[test]
    fn each_question_is_read_from_rows() {
        let groups = json!([{"name": "small"}, {"name": "spot", "state": 1}]);
        let node = json!({"group": "spot", "zone": "a"});
        let pods = of(json!({"groups": groups, "nodes": [node], "pods": [{"node": 0}]}));
        let Input::ScaleDownPods(pods) = pods.unwrap() else {
            panic!("no pods");
        };
        assert_eq!((pods.nodes.group[0], pods.nodes.zone[0]), (1, 0));
        assert_eq!(&*pods.pods.texts[0], "default");

        let nodes = of(json!({"groups": groups, "nodes": [node, {"requestedCpu": 100}]}));
        let Input::ScaleDownNodes(nodes) = nodes.unwrap() else {
            panic!("no nodes");
        };
        assert_eq!(nodes.nodes.group, [1, -1]);
        assert_eq!(nodes.nodes.requested_cpu, [0, 100]);

        let moves = json!([{"leaving": [0]}, {"leaving": [0], "coming": [{"group": "small"}]}]);
        let moves = of(json!({"groups": groups, "nodes": [node], "moves": moves}));
        let Input::ScaleDownMoves(moves) = moves.unwrap() else {
            panic!("no moves");
        };
        assert_eq!(moves.moves.price_after, [Some(0.0), None]);
        assert_eq!(moves.moves.coming(1).collect::<Vec<_>>(), [(0, 1)]);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (wrong, name) in [
            (json!({"nodes": 3}), "nodes"),
            (json!({"nodes": [{"group": "a"}]}), "no group \"a\""),
            (json!({"nodes": [{"zones": "a"}]}), "zones"),
            (json!({"nodes": [], "groups": [{}]}), "name in groups"),
            (json!({"nodes": [], "moves": [{}]}), "leaving"),
            (json!({"nodes": [], "pod": []}), "pod"),
        ] {
            let error = format!("{:#}", of(wrong.clone()).unwrap_err());
            assert!(error.contains(name), "{wrong}: {error}");
        }
    }
}
