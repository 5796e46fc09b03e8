//! Fuel of what the host does for a guest, and inputs that do not fit.

use std::sync::Arc;

use flyball_decision::policy::{Budget, Policy as _, PolicyOutcome};
use flyball_decision::replica::ReplicaDecision;
use flyball_sandbox::{CompiledPolicy, DEFAULT_BUDGET, LoadError, Registry};

use super::{context, decide, engine, input, load};
use crate::guest::Guest;

const TIMES: u64 = 100;

/// Pages of a memory that stay resident from one decision to the next.
const RESIDENT_PAGES: u32 = 9;

/// Returns the fuel of one execution of these instructions.
fn fuel(instructions: &str) -> u64 {
    let spent = |instructions: &str| {
        let guest = Guest {
            definitions: r#"
                (table $t 100 funcref)
                (elem $e funcref (ref.null func) (ref.null func) (ref.null func) (ref.null func))
                (data $d "a hundred bytes or so, of which the last ones are copied but never looked at by anybody")"#
                .into(),
            decide: format!(
                "(loop $again {instructions}
                    (local.set $n (i64.add (local.get $n) (i64.const 1)))
                    (br_if $again (i64.lt_u (local.get $n) (i64.const {TIMES}))))"
            ),
            pages: RESIDENT_PAGES,
            ..Guest::default()
        };
        let PolicyOutcome { usage, answer, .. } = decide(&guest);
        answer.unwrap();
        usage.fuel
    };
    (spent(instructions) - spent("")) / TIMES
}

#[test]
fn what_the_host_does_for_a_guest_takes_fuel_by_its_size() {
    for (what, instructions, least) in [
        (
            "a call of log",
            "(call $log (i32.const 3) (i32.const 0) (i32.const 0))",
            200,
        ),
        (
            "a thousand logged bytes",
            "(call $log (i32.const 3) (i32.const 1024) (i32.const 1000))",
            1_200,
        ),
        ("no page", "(drop (memory.grow (i32.const 0)))", 255),
        ("a page", "(drop (memory.grow (i32.const 1)))", 510 + 2_400),
        (
            "no element",
            "(drop (table.grow $t (ref.null func) (i32.const 0)))",
            255,
        ),
        (
            "ten elements",
            "(drop (table.grow $t (ref.null func) (i32.const 10)))",
            265,
        ),
        (
            "filled bytes",
            "(memory.fill (i32.const 1024) (i32.const 0) (i32.const 1000))",
            1_000,
        ),
        (
            "copied bytes",
            "(memory.copy (i32.const 1024) (i32.const 4096) (i32.const 1000))",
            1_000,
        ),
        (
            "bytes of a segment",
            "(memory.init $d (i32.const 1024) (i32.const 0) (i32.const 80))",
            80,
        ),
        (
            "filled elements",
            "(table.fill $t (i32.const 0) (ref.null func) (i32.const 100))",
            100,
        ),
        (
            "copied elements",
            "(table.copy $t $t (i32.const 0) (i32.const 50) (i32.const 50))",
            50,
        ),
        (
            "elements of a segment",
            "(table.init $t $e (i32.const 0) (i32.const 0) (i32.const 4))",
            4,
        ),
    ] {
        let fuel = fuel(instructions);
        assert!(fuel >= least, "{what}: {fuel} units, at least {least}");
        assert!(fuel <= least + 30, "{what}: {fuel} units, about {least}");
    }
}

/// The first instruction that writes to 4 KiB of memory makes the kernel find and clear
/// them, in each decision anew.
#[test]
fn memory_and_tables_take_fuel_if_they_are_declared_as_well() {
    let declared = |pages: u32, definitions: &str| {
        let guest = Guest {
            pages,
            definitions: definitions.into(),
            ..Guest::default()
        };
        let PolicyOutcome { usage, answer, .. } = decide(&guest);
        answer.unwrap();
        usage.fuel
    };
    let small = declared(2, "");
    assert_eq!(declared(RESIDENT_PAGES, ""), small);
    for pages in [RESIDENT_PAGES + 1, 256] {
        let beyond = u64::from(pages - RESIDENT_PAGES);
        assert_eq!(declared(pages, "") - small, beyond * 2_400, "{pages} pages");
    }
    let elements = declared(2, "(table 20000 funcref)") - small;
    assert_eq!(elements, 20_000);

    // It is used up even if few instructions are left to take it.
    let tight = Budget {
        fuel_base: small + 100_000,
        fuel_per_row: 0,
        ..DEFAULT_BUDGET
    };
    let asked = |pages: u32| {
        let bytes = Guest {
            pages,
            ..Guest::default()
        }
        .build();
        let policy = CompiledPolicy::load(&engine(), "guest", &bytes, tight)?;
        Ok::<_, LoadError>(policy.decide(&context(), &input(2, 1)).answer)
    };
    assert!(asked(50).unwrap().is_ok());
    let refused = asked(256).unwrap_err().to_string();
    assert!(refused.contains("PolicyOutOfFuel"), "{refused}");
}

#[test]
fn a_guest_that_only_calls_the_host_runs_out_of_fuel() {
    for endless in [
        "(call $log (i32.const 3) (i32.const 0) (i32.const 0))",
        "(drop (memory.grow (i32.const 0)))",
    ] {
        let guest = Guest {
            decide: format!("(loop $again {endless} (br $again))"),
            ..Guest::default()
        };
        let PolicyOutcome { usage, answer, .. } = decide(&guest);
        assert_eq!(answer.unwrap_err().code(), "PolicyOutOfFuel", "{endless}");
        assert!(usage.fuel.abs_diff(usage.fuel_budget) < 1_000, "{usage:?}");
    }
}

/// The budget of a tick for a namespace is 150,000,000 units: see `--policy-tick-fuel`.
#[test]
fn ten_thousand_decisions_of_the_built_in_policy_take_no_more_than_a_tick_has() {
    let builtins = flyball_policies::BUILTIN.iter();
    let hpa: Vec<_> = builtins
        .filter(|(name, _)| *name == "hpa")
        .copied()
        .collect();
    let registry = Registry::fixed(&engine(), &hpa, &[]).unwrap();
    let mut input = input(10, 1);
    let metric = Arc::make_mut(&mut input.metrics[0]);
    metric.target_type = "Utilization".into();
    metric.target_average_utilization = Some(60);
    metric.request = vec![500; 10];
    metric.timestamp_ms = vec![0; 10];
    metric.window_ms = vec![15_000; 10];
    (input.current_replicas, input.max_replicas) = (10, 100);
    let outcome = registry.compiled("hpa").unwrap().decide(&context(), &input);
    assert!(outcome.answer.unwrap().replicas.is_some());
    let fuel = outcome.usage.fuel;
    assert!(fuel <= 15_000, "{fuel} units");
}

/// The memory that a policy may have is the host's choice, and the size of the input is the
/// cluster's.
#[test]
fn an_input_that_does_not_fit_is_no_fault_of_the_policy() {
    let asked = |pods: usize| -> PolicyOutcome<ReplicaDecision> {
        load(&Guest::default())
            .unwrap()
            .decide(&context(), &input(pods, 4))
    };
    assert!(asked(10_000).answer.is_ok());
    let failure = asked(300_000).answer.unwrap_err();
    assert_eq!(failure.code(), "PolicyInputTooLarge", "{failure}");
    assert!(!failure.is_misbehaviour());
    // A small input is no excuse.
    let greedy = Guest {
        decide: "(drop (memory.grow (i32.const 0x1000)))".into(),
        ..Guest::default()
    };
    let failure = decide(&greedy).answer.unwrap_err();
    assert_eq!(failure.code(), "PolicyOverLimit", "{failure}");
}
