//! `flyball policy list`.

use std::io::Write as _;

use anyhow::Context as _;
use flyball_decision::policy::PolicyVersion;
use flyball_sandbox::{PolicyState, PolicyStatus, Registry, RegistryOptions};

use super::Exit;
use crate::cli::{Format, ListArgs};
use crate::output::{self, BAD, Cell, GOOD, Table, WARNING};
use crate::{records, wiring};

pub fn run(args: &ListArgs) -> anyhow::Result<Exit> {
    let policies = match &args.server {
        Some(server) => serde_json::from_str(&records::get(server, "/v1/policies")?.body)
            .with_context(|| format!("{server} did not answer with a list of policies"))?,
        None => local(args)?,
    };
    match args.output.format {
        Format::Json => output::print_json(&policies)?,
        Format::Text => write!(output::out(), "{}", table(&policies))?,
    }
    Ok(Exit::Success)
}

/// Returns the policies that a daemon would have.
fn local(args: &ListArgs) -> anyhow::Result<Vec<PolicyStatus>> {
    wiring::check_policies_dir(args.policies.policies_dir.as_deref())?;
    let options = RegistryOptions {
        directory: args.policies.policies_dir.clone(),
        ..RegistryOptions::default()
    };
    let registry = Registry::open(
        &wiring::engine(None, &args.compilation)?,
        options,
        flyball_policies::BUILTIN,
    )?;
    registry.rescan();
    Ok(registry.status())
}

fn table(policies: &[PolicyStatus]) -> Table {
    let mut table = Table::new(&[
        "NAME",
        "KINDS",
        "=STATE",
        "=VERSION",
        ">DECISIONS",
        ">FAILURES",
        ">OF BUDGET",
        "~DIGEST",
        "~SOURCE",
        "~REMARK",
    ]);
    for policy in policies {
        let (state, remark) = state(policy);
        let version = policy.version.as_deref();
        let share = format!("{:.0}%", policy.highest_budget_share * 100.0);
        let source = policy.source.as_ref();
        table.row([
            Cell::from(&*policy.name),
            policy.kinds.join(", ").into(),
            state,
            version.map_or("", |version| &version.version).into(),
            output::count(policy.decisions).into(),
            output::count(policy.failures).into(),
            if policy.near_budget {
                Cell::styled(WARNING, share)
            } else {
                share.into()
            },
            version.map_or("", PolicyVersion::short_digest).into(),
            source
                .map_or_else(|| "none".to_owned(), ToString::to_string)
                .into(),
            remark.into(),
        ]);
    }
    table
}

/// Returns a policy's state and remarks about it.
fn state(policy: &PolicyStatus) -> (Cell, String) {
    let (state, remark) = health(policy);
    let mut remarks = Vec::new();
    if policy.near_budget {
        remarks.push(NEAR_BUDGET.to_owned());
    }
    remarks.push(remark);
    if let (PolicyState::Quarantined { .. }, Some(previous)) = (&policy.state, &policy.previous) {
        let (version, digest) = (&previous.version, previous.short_digest());
        remarks.push(format!("{version} ({digest}) decides there meanwhile"));
    }
    remarks.extend(policy.trial.iter().map(ToString::to_string));
    (state, remarks.join("; "))
}

const NEAR_BUDGET: &str = "above 80% of its budget: raise it with --policy-budget";

fn health(policy: &PolicyStatus) -> (Cell, String) {
    match &policy.state {
        PolicyState::Pending => (
            Cell::styled(WARNING, "pending"),
            "not judged yet".to_owned(),
        ),
        PolicyState::Active => (Cell::styled(GOOD, "active"), policy.summary.clone()),
        PolicyState::Failed { reason } => (Cell::styled(BAD, "failed"), reason.clone()),
        PolicyState::RolledBack { reason } => {
            let remark = format!("{reason}; the file is refused until it changes");
            (Cell::styled(BAD, "rolledBack"), remark)
        }
        PolicyState::Quarantined { until, reason } => {
            let remark = format!("until {}: {reason}", until.to_rfc3339());
            (Cell::styled(BAD, "quarantined"), remark)
        }
    }
}
