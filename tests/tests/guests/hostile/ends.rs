//! How asking each hostile guest ends.

use flyball_decision::policy::PolicyFailure;
use flyball_sandbox::LoadError;

/// How asking a guest ends.
pub enum End {
    /// It never becomes a policy: this error, with these words in it.
    Unloadable(fn(&LoadError) -> bool, &'static str),
    /// It decides nothing: a failure of this code, with these words in it.
    Fails(&'static str, &'static str),
    /// It answers within the contract; what of it is carried out is the
    /// guardrails' business.
    Answers(i64),
}
use End::{Answers, Fails, Unloadable};

macro_rules! unloadable {
    ($error:pat, $words:literal) => {
        Unloadable(|error| matches!(error, $error), $words)
    };
}

/// Every guest in `guests/hostile`.
pub fn ends() -> Vec<(&'static str, End)> {
    use LoadError::{
        Compile, CompileMemory, CompileTime, Describe, Description, MissingExport, UnknownImports,
    };
    use PolicyFailure::{OutOfFuel, OverLimit, Trapped};
    vec![
        (
            "answer_largest",
            Fails("PolicyInvalidAnswer", "replicas is 9223372036854775807"),
        ),
        ("answer_nan", Answers(0)),
        (
            "answer_negative",
            Fails("PolicyInvalidAnswer", "replicas is -5"),
        ),
        (
            "answer_too_large",
            Fails("PolicyInvalidAnswer", "replicas is 2147483648"),
        ),
        ("answer_zero", Answers(0)),
        ("chance", Answers(3)),
        ("code_missing", Answers(3)),
        (
            "code_not_camel_case",
            Fails("PolicyInvalidAnswer", r"`All\nClear: scaled`"),
        ),
        (
            "configuration_demanding",
            Fails("PolicyRefused", "InvalidConfiguration: `/`: \"ceiling\""),
        ),
        (
            "contract_unknown",
            unloadable!(
                LoadError::UnsupportedContract { .. },
                "built for flyball:policy@9.9.9, this host supports 0.1.0-draft: rebuild it"
            ),
        ),
        (
            "core_instances",
            unloadable!(Compile(_), "core module instances"),
        ),
        (
            "decide_loop",
            Fails("PolicyOutOfFuel", "it used up its fuel"),
        ),
        (
            "deep_recursion",
            Fails("PolicyTrapped", "call stack exhausted"),
        ),
        (
            "describe_enormous",
            unloadable!(
                Describe {
                    failure: OverLimit(_),
                    ..
                },
                "its output exceeds"
            ),
        ),
        (
            "describe_loop",
            unloadable!(
                Describe {
                    failure: OutOfFuel(_),
                    ..
                },
                "it used up its fuel"
            ),
        ),
        (
            "describe_slow",
            unloadable!(
                Describe {
                    failure: OutOfFuel(_),
                    ..
                },
                "it used up its fuel"
            ),
        ),
        (
            "describe_trap",
            unloadable!(
                Describe {
                    failure: Trapped(_),
                    ..
                },
                "unreachable"
            ),
        ),
        (
            "description_missing",
            unloadable!(MissingExport(_), "flyball:policy/description"),
        ),
        (
            "import_unknown",
            unloadable!(UnknownImports(_), "acme:weather/forecast@1.0.0"),
        ),
        (
            "import_wasi",
            unloadable!(UnknownImports(_), "wasi:cli/environment@0.2.6"),
        ),
        (
            "kind_missing",
            unloadable!(MissingExport(_), "flyball:policy/replica"),
        ),
        (
            "kind_not_exported",
            unloadable!(Description { field: "kinds", .. }, "`expander`"),
        ),
        (
            "kind_unknown",
            unloadable!(Description { field: "kinds", .. }, "`oracle`"),
        ),
        (
            "leading_out_of_range",
            Fails("PolicyInvalidAnswer", "leading is 7"),
        ),
        (
            "log_endless",
            Fails("PolicyOverLimit", "it logged more than"),
        ),
        ("log_flood", Answers(3)),
        (
            "memories",
            unloadable!(Compile(_), "contains 6 Wasm linear memories"),
        ),
        (
            "memory_bomb",
            Fails("PolicyOverLimit", "bytes of memory, the limit is"),
        ),
        (
            "memory_declared",
            unloadable!(
                Describe {
                    failure: OverLimit(_),
                    ..
                },
                "bytes of memory"
            ),
        ),
        (
            "name_empty",
            unloadable!(Description { field: "name", .. }, "name must have"),
        ),
        ("nan_bits", Answers(3)),
        ("output_not_utf8", Fails("PolicyInvalidAnswer", "utf-8")),
        (
            "output_proposals",
            Fails("PolicyOverLimit", "its output exceeds"),
        ),
        (
            "output_sentence",
            Fails("PolicyOverLimit", "its output exceeds"),
        ),
        (
            "output_state",
            Fails("PolicyInvalidAnswer", "state has 769 bytes, at most 768"),
        ),
        (
            "output_ten_million",
            Fails("PolicyOverLimit", "bytes of memory"),
        ),
        (
            "proposals_wrong",
            Fails("PolicyInvalidAnswer", "2 proposals for 1 metrics"),
        ),
        ("relaxed_simd", unloadable!(Compile(_), "relaxed SIMD")),
        (
            "refusal",
            Fails("PolicyRefused", "MissingInput: no metric is given"),
        ),
        (
            "schema_explodes",
            unloadable!(
                Description {
                    field: "configuration-schema",
                    ..
                },
                "takes more than 10000 steps"
            ),
        ),
        (
            "schema_not_json",
            unloadable!(
                Description {
                    field: "configuration-schema",
                    ..
                },
                "is not JSON"
            ),
        ),
        (
            "schema_not_schema",
            unloadable!(
                Description {
                    field: "configuration-schema",
                    ..
                },
                "is no JSON Schema"
            ),
        ),
        (
            "sentence_too_long",
            Fails("PolicyInvalidAnswer", "reason.sentence has 10000 bytes"),
        ),
        (
            "small_blocks",
            unloadable!(CompileTime { .. }, "takes more than 10 s of CPU time"),
        ),
        (
            "start_loop",
            unloadable!(
                Describe {
                    failure: OutOfFuel(_),
                    ..
                },
                "it used up its fuel"
            ),
        ),
        (
            "start_section_loop",
            unloadable!(
                Describe {
                    failure: OutOfFuel(_),
                    ..
                },
                "it used up its fuel"
            ),
        ),
        ("state_in_static", Answers(1)),
        (
            "table_bomb",
            Fails("PolicyOverLimit", "it wants a table of"),
        ),
        ("table_declared", unloadable!(Compile(_), "table")),
        (
            "tables",
            unloadable!(Compile(_), "defined tables count of 2 exceeds"),
        ),
        ("trap", Fails("PolicyTrapped", "unreachable")),
        // Broken on other inputs than this one.
        ("trap_at_metric", Answers(3)),
        ("trap_at_own_answer", Answers(13)),
        ("trap_at_thirteen", Answers(3)),
        ("trap_in_team_a", Answers(3)),
        (
            "want_unknown",
            unloadable!(Description { field: "wants", .. }, "`weather`"),
        ),
        (
            "wide_blocks",
            unloadable!(
                CompileMemory { .. },
                "MiB of memory: raise --policy-compile-memory"
            ),
        ),
    ]
}
