//! A plan for people.

use std::io::Write as _;

use flyball_core::nodes::expander::OptionColumns;
use flyball_core::nodes::record::{PodList, Remaining, Round, Upcoming, listed};
use flyball_core::question::ExpanderRecord;

use super::Outlook;
use crate::output::{
    self, BAD, DIM, GOOD, Out, POLICY, STRONG, Table, WARNING, plain, plural, styled,
};

/// Most names of pods in a line.
const NAMES: usize = 3;

/// Prints all of it.
pub fn print(outlook: &Outlook) -> anyhow::Result<()> {
    let mut out = output::out();
    let pending = &outlook.pending;
    let waiting = pending.unschedulable as usize;
    writeln!(
        out,
        "{} in {}, {}: {} for a node",
        plural(outlook.nodes, "node"),
        plural(outlook.groups.len(), "node group"),
        plural(outlook.pods, "pod"),
        match waiting {
            1 => "1 waits".to_owned(),
            count => format!("{count} wait"),
        }
    )?;
    for problem in &outlook.problems {
        writeln!(out, "{} {}", styled(WARNING, "note:"), plain(problem))?;
    }
    let left_out = [
        (
            pending.expendable,
            "may wait: their priority is below the cutoff",
        ),
        (pending.young, "are too young"),
        (
            pending.daemon_set,
            "are for one node each, by their DaemonSet",
        ),
        (pending.fit, "have room on nodes that are there or coming"),
        (
            pending.drained,
            "more must leave nodes that are being drained",
        ),
    ];
    for (count, what) in left_out.iter().filter(|(count, _)| *count > 0) {
        writeln!(out, "  {count} {what}")?;
    }
    for Upcoming { group, nodes } in &outlook.upcoming {
        let nodes = plural(*nodes as usize, "node");
        writeln!(out, "  {group}: {nodes} on the way")?;
    }
    // Rounds about a domain order nothing: the pods are all there in the next one.
    let mut is_first = true;
    for round in &outlook.rounds {
        writeln!(out)?;
        print_round(&mut out, is_first, round)?;
        is_first &= round.domain.is_some();
    }
    if !outlook.skipped.is_empty() {
        writeln!(out, "\n{}", styled(STRONG, "No option"))?;
        for skipped in &outlook.skipped {
            writeln!(out, "  {}: {}", skipped.group, plain(&skipped.message))?;
        }
    }
    if !outlook.remaining.is_empty() {
        writeln!(out, "\n{}", styled(STRONG, "Pods that no order helps"))?;
        for remaining in &outlook.remaining {
            print_remaining(&mut out, remaining)?;
        }
    }
    let verdict = &outlook.verdict;
    let plan = match verdict.orders.as_slice() {
        [] => format!("nothing to order: {}", verdict.message),
        orders => styled(GOOD, listed(orders)),
    };
    writeln!(out, "\n{} {plan}", styled(STRONG, "Plan:"))?;
    Ok(())
}

/// Prints a choice. `is_first`: nothing was ordered before.
fn print_round(out: &mut Out, is_first: bool, round: &Round) -> anyhow::Result<()> {
    let options = &round.input.options;
    let heading = match &round.domain {
        Some(domain) => format!("Which group stands for {domain}"),
        None if is_first => "Options".to_owned(),
        None => "Options for the pods that are left".to_owned(),
    };
    writeln!(out, "{}", styled(STRONG, heading))?;
    let names: Vec<String> = round
        .expanders
        .iter()
        .map(|expander| format!(">{}", expander.name.to_uppercase()))
        .collect();
    let fixed = [
        "",
        "NODE GROUP",
        ">NODES",
        ">PODS",
        ">WASTE CPU",
        ">MEMORY",
        ">PRICE/H",
    ];
    let headings: Vec<&str> = fixed
        .into_iter()
        .chain(names.iter().map(String::as_str))
        .collect();
    let mut table = Table::new(&headings);
    for row in 0..options.len() {
        let chosen = round.choice.row == u32::try_from(row).ok();
        let mark = if chosen {
            styled(GOOD, "→")
        } else {
            " ".to_owned()
        };
        let (cpu, memory) = waste(options, row);
        let price = options.node_price.get(row).copied().flatten();
        let price = price.map(|price| price * f64::from(options.node_count[row]));
        let mut cells = vec![
            mark,
            label(options, row),
            options.node_count[row].to_string(),
            options.pod_count[row].to_string(),
            cpu,
            memory,
            price.map_or_else(|| "-".to_owned(), |price| format!("{price:.4}")),
        ];
        cells.extend(round.expanders.iter().map(|expander| score(expander, row)));
        table.row(cells);
    }
    write!(out, "{table}")?;
    for expander in &round.expanders {
        print_expander(out, expander)?;
    }
    // One that is left was chosen by the last expander, who has said why.
    if round.choice.left != 1 {
        writeln!(out, "{}", round.choice.message)?;
    }
    if !round.helps_in.is_empty() {
        let zones = round.helps_in.join(", ");
        writeln!(
            out,
            "  one node at a time: it helps in zone {zones}, and the cloud chooses"
        )?;
    }
    for step in &round.steps {
        writeln!(
            out,
            "  {} {}",
            styled(WARNING, &step.guardrail),
            step.message
        )?;
    }
    Ok(())
}

/// The groups of an option; of several with the nodes of each: `a +2, b +1`.
fn label(options: &OptionColumns, row: usize) -> String {
    match options.parts(row).as_slice() {
        [(only, _)] => only.to_string(),
        parts => {
            let parts = parts.iter();
            let parts: Vec<String> = parts
                .map(|(name, nodes)| format!("{name} +{nodes}"))
                .collect();
            parts.join(", ")
        }
    }
}

/// Parts of an option's capacity that nothing requests: of cpu and of memory.
fn waste(options: &OptionColumns, row: usize) -> (String, String) {
    let part = |capacity: i64, requested: i64| {
        let capacity = capacity as f64 * f64::from(options.node_count[row]);
        if capacity > 0.0 {
            format!("{:.0}%", (1.0 - requested as f64 / capacity) * 100.0)
        } else {
            "-".to_owned()
        }
    };
    (
        part(options.capacity_cpu[row], options.requested_cpu[row]),
        part(options.capacity_memory[row], options.requested_memory[row]),
    )
}

/// What an expander said of an option: its score, or whether it kept it.
fn score(expander: &ExpanderRecord, row: usize) -> String {
    let asked = expander
        .own
        .iter()
        .position(|asked| usize::try_from(*asked) == Ok(row));
    let Some(at) = asked else {
        return styled(DIM, "not asked");
    };
    match &expander.answer {
        Err(_) => styled(BAD, "failed"),
        Ok(ranking) => {
            let kept = ranking
                .best
                .iter()
                .any(|best| usize::try_from(*best) == Ok(at));
            match ranking.scores.get(at).copied().flatten() {
                Some(score) if kept => styled(GOOD, format!("{score:.4}")),
                Some(score) => format!("{score:.4}"),
                None if kept => styled(GOOD, "kept"),
                None => "-".to_owned(),
            }
        }
    }
}

fn print_expander(out: &mut Out, expander: &ExpanderRecord) -> anyhow::Result<()> {
    let name = styled(POLICY, &expander.name);
    let digest = expander
        .version
        .as_ref()
        .map(|version| styled(DIM, format!(" ({})", version.short_digest())));
    let said = match &expander.answer {
        Ok(ranking) => {
            let reason = &ranking.reason;
            let text = if reason.sentence.is_empty() {
                &reason.code
            } else {
                &reason.sentence
            };
            text.clone()
        }
        Err(failure) => styled(BAD, failure),
    };
    writeln!(out, "{name}{}: {said}", digest.unwrap_or_default())?;
    Ok(())
}

fn print_remaining(out: &mut Out, remaining: &Remaining) -> anyhow::Result<()> {
    writeln!(out, "  {}", plain(&pods(&remaining.pods)))?;
    for refusal in &remaining.reasons {
        writeln!(out, "    {}", plain(&refusal.to_string()))?;
    }
    Ok(())
}

/// `default/a, default/b and 3 more`.
fn pods(list: &PodList) -> String {
    let names: Vec<String> = list
        .names
        .iter()
        .take(NAMES)
        .map(|key| format!("{}/{}", key.namespace, key.name))
        .collect();
    let more = (list.count as usize).saturating_sub(names.len());
    let names = names.join(", ");
    match more {
        0 => names,
        _ => format!("{names} and {more} more"),
    }
}
