//! Components made by toolchains for other languages than Rust: composed ones, and
//! sections in another order.

use flyball_decision::policy::Policy as _;
use flyball_sandbox::{CompiledPolicy, DEFAULT_BUDGET, check_component};
use flyball_tests::composed;

use super::{context, engine, input, refused};
use crate::guest::Guest;

/// Sections of a component, each an empty module or component, or a custom section.
const MODULE: &[u8] = b"\x01\x08\0asm\x01\0\0\0";
const COMPONENT: &[u8] = b"\x04\x08\0asm\x0d\0\x01\0";
const CUSTOM: &[u8] = b"\0\x02\x01x";

fn answer(bytes: &[u8]) -> Option<i64> {
    let policy = CompiledPolicy::load(&engine(), "guest", bytes, DEFAULT_BUDGET).unwrap();
    let answer = policy.decide(&context(), &input(1, 1)).answer;
    answer.unwrap().replicas
}

#[test]
fn components_that_pass_text_to_each_other_decide_as_one() {
    assert_eq!(answer(&composed::composed().unwrap()), Some(5));
    let broken = composed::broken().unwrap();
    let policy = CompiledPolicy::load(&engine(), "guest", &broken, DEFAULT_BUDGET).unwrap();
    let failure = policy.decide(&context(), &input(1, 1)).answer.unwrap_err();
    assert!(failure.to_string().contains("PolicyTrapped"), "{failure}");
}

/// Adapters between components use several memories. A guest's own modules may not.
#[test]
fn a_guests_module_with_two_memories_is_refused() {
    let guest = Guest {
        definitions: "(memory 1)".into(),
        ..Guest::default()
    };
    let error = refused(&guest.build());
    assert!(
        error.starts_with("not a valid component: multiple memories"),
        "{error}"
    );
}

/// Each core instance copies passive elements when it is instantiated, without fuel.
#[test]
fn a_guests_module_with_many_passive_elements_is_refused() {
    let guest = |segments: &str| {
        let guest = Guest {
            definitions: format!("(table 400 funcref) (func $element) {segments}"),
            ..Guest::default()
        };
        guest.build()
    };
    let functions = |count: usize| "$element ".repeat(count);
    // A segment counts as one, and so does each of its elements.
    let active_and_declared = format!(
        "(elem (i32.const 0) func {}) (elem declare func {})",
        functions(400),
        functions(400)
    );
    let at_limit = format!("(elem func {}) {active_and_declared}", functions(299));
    assert_eq!(answer(&guest(&at_limit)), Some(3));

    let beyond = format!("(elem func {})", functions(300));
    let expressions = format!("(elem funcref {})", "(ref.func $element) ".repeat(300));
    let segments = "(elem func) ".repeat(301);
    let nested = format!("(component (component (core module (func $element) {beyond})))");
    for component in [
        guest(&beyond),
        guest(&expressions),
        guest(&segments),
        wat::parse_str(nested).unwrap(),
    ] {
        let error = refused(&component);
        let reason = "not a valid component: a core module has 301 passive element segments and \
                      elements in them, at most 300 are allowed (at byte ";
        assert!(error.starts_with(reason), "{error}");
        // It is judged before it is compiled.
        assert_eq!(check_component(&component).unwrap_err().to_string(), error);
    }
}

#[test]
fn whole_components_end_with_any_section() {
    let policy = Guest::default().build();
    let nested = |inner: &[u8]| {
        let body = [b"\0asm\x0d\0\x01\0", inner].concat();
        let size = u8::try_from(body.len()).unwrap();
        [&[4, size], body.as_slice()].concat()
    };
    let twice = nested(&nested(MODULE));
    for sections in [
        &[MODULE][..],
        &[COMPONENT],
        &[MODULE, CUSTOM],
        &[COMPONENT, CUSTOM],
        &[MODULE, COMPONENT],
        &[COMPONENT, MODULE, CUSTOM, MODULE],
        &[&nested(COMPONENT)],
        &[&twice],
        &[&twice, CUSTOM],
    ] {
        let whole = [policy.as_slice(), &sections.concat()].concat();
        assert_eq!(answer(&whole), Some(3), "{sections:x?}");
        // Everything within the last section is a part of it.
        let last = sections.last().unwrap().len();
        for missing in 1..last {
            let error = refused(&whole[..whole.len() - missing]);
            let is_truncated = error.starts_with("truncated at byte");
            assert!(is_truncated, "{sections:x?} without {missing}: {error}");
        }
    }
}
