//! Arguments for limits of policies: `--policy-budget` for their decisions, and
//! `--policy-compile-memory` and `--policy-compile-time` for compiling them.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use flyball_decision::policy::Budget;
use flyball_sandbox::{CompilerOptions, DEFAULT_BUDGET, DEFAULT_COMPILE_CPU};
use flyball_simulation::time::Millis;

use super::values::{Bytes, positive_duration};

/// What policies may cost.
#[derive(Debug, Clone, Default, Args)]
pub struct Budgets {
    /// What a decision of a policy may cost: any of fuel-base, fuel-per-row,
    /// memory and time, such as hpa=fuel-base:10000000,memory:32Mi (repeatable)
    #[arg(long, value_name = "NAME=KEY:VALUE,…")]
    policy_budget: Vec<PolicyBudget>,
    #[command(flatten)]
    pub compilation: Compilation,
}

/// What compiling policies may cost.
#[derive(Debug, Clone, Default, Args)]
pub struct Compilation {
    /// Memory that compiling policies may take, all of them together [default: 256MiB,
    /// or what the cgroup's memory limit leaves, if that is less]
    #[arg(long, value_name = "SIZE")]
    policy_compile_memory: Option<Bytes>,
    /// CPU time that compiling a policy may take, in whole seconds [default: 1m]
    #[arg(long, value_name = "DURATION", value_parser = positive_duration)]
    policy_compile_time: Option<Millis>,
}

impl Compilation {
    /// Returns the options for compiling policies that are not built in: in a child
    /// process.
    pub fn compiler(&self) -> CompilerOptions {
        let cpu = self.policy_compile_time;
        CompilerOptions {
            memory_bytes: self.policy_compile_memory.map(|bytes| bytes.0),
            cpu: cpu.map_or(DEFAULT_COMPILE_CPU, |cpu| {
                Duration::from_millis(cpu.0.unsigned_abs())
            }),
            ..CompilerOptions::this_binary()
        }
    }
}

impl Budgets {
    /// Returns the budgets that differ from the default, by policy.
    pub fn by_name(&self) -> BTreeMap<String, Budget> {
        let mut budgets = BTreeMap::new();
        for change in &self.policy_budget {
            let budget = budgets.entry(change.name.clone()).or_insert(DEFAULT_BUDGET);
            *budget = change.apply(*budget);
        }
        budgets
    }

    /// Returns the budget of one policy.
    pub fn of(&self, policy: &str) -> Budget {
        let changed = self.by_name().remove(policy);
        changed.unwrap_or(DEFAULT_BUDGET)
    }
}

/// A change of one policy's budget.
#[derive(Debug, Clone, PartialEq, Eq)]
struct PolicyBudget {
    /// The policy.
    name: String,
    changes: Vec<(BudgetKey, u64)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BudgetKey {
    FuelBase,
    FuelPerRow,
    Memory,
    Time,
}

impl PolicyBudget {
    /// Returns the budget with the change applied.
    fn apply(&self, mut budget: Budget) -> Budget {
        for &(key, value) in &self.changes {
            match key {
                BudgetKey::FuelBase => budget.fuel_base = value,
                BudgetKey::FuelPerRow => budget.fuel_per_row = value,
                BudgetKey::Memory => budget.memory_bytes = value,
                BudgetKey::Time => budget.time_ms = value,
            }
        }
        budget
    }
}

impl FromStr for PolicyBudget {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, changes) = text
            .split_once('=')
            .filter(|(name, changes)| !name.is_empty() && !changes.is_empty())
            .ok_or("write NAME=KEY:VALUE, such as hpa=fuel-base:10000000")?;
        let changes = changes
            .split(',')
            .map(budget_change)
            .collect::<Result<_, _>>()?;
        Ok(Self {
            name: name.to_owned(),
            changes,
        })
    }
}

fn budget_change(text: &str) -> Result<(BudgetKey, u64), String> {
    let (key, value) = text
        .split_once(':')
        .ok_or_else(|| format!("{text:?} lacks its value"))?;
    let count = || {
        value
            .parse::<u64>()
            .map_err(|_| format!("{key}: {value:?} is not a count"))
    };
    match key {
        "fuel-base" => Ok((BudgetKey::FuelBase, count()?)),
        "fuel-per-row" => Ok((BudgetKey::FuelPerRow, count()?)),
        "memory" => Ok((BudgetKey::Memory, value.parse::<Bytes>()?.0)),
        "time" => Ok((BudgetKey::Time, positive_duration(value)?.0.unsigned_abs())),
        _ => Err(format!(
            "no budget {key:?}: there are fuel-base, fuel-per-row, memory and time"
        )),
    }
}

#[cfg(test)]
mod tests {
    use flyball_decision::policy::Budget;
    use flyball_sandbox::DEFAULT_BUDGET;

    use super::{Budgets, PolicyBudget};

    #[test]
    fn budgets_change_what_they_name() -> Result<(), String> {
        let before = Budget {
            fuel_base: 1,
            fuel_per_row: 2,
            memory_bytes: 3,
            time_ms: 4,
        };
        let change: PolicyBudget = "hpa=fuel-base:10,memory:1Mi,time:2s".parse()?;
        let after = Budget {
            fuel_base: 10,
            fuel_per_row: 2,
            memory_bytes: 1 << 20,
            time_ms: 2_000,
        };
        assert_eq!((change.name.as_str(), change.apply(before)), ("hpa", after));
        for wrong in [
            "hpa",
            "=fuel-base:1",
            "hpa=",
            "hpa=fuel:1",
            "hpa=time:soon",
            "hpa=time:0s",
            "hpa=fuel-base:-1",
        ] {
            assert!(wrong.parse::<PolicyBudget>().is_err(), "{wrong}");
        }
        Ok(())
    }

    #[test]
    fn several_changes_of_one_budget_add_up() -> Result<(), String> {
        let changes = ["mine=fuel-base:10", "mine=memory:1Mi"];
        let policy_budget = changes.iter().map(|change| change.parse::<PolicyBudget>());
        let budgets = Budgets {
            policy_budget: policy_budget.collect::<Result<_, _>>()?,
            ..Budgets::default()
        };
        let mine = Budget {
            fuel_base: 10,
            memory_bytes: 1 << 20,
            ..DEFAULT_BUDGET
        };
        assert_eq!(budgets.of("mine"), mine);
        assert_eq!(budgets.of("other"), DEFAULT_BUDGET);
        Ok(())
    }
}
