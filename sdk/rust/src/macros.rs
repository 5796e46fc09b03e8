//! The macros that make a crate a policy.

/// Makes the crate a replica policy: on `wasm32` it exports what the contract
/// asks for, elsewhere only what tests and the builder need.
///
/// The fields stand in this order; those in parentheses may be left out.
///
/// | field | meaning |
/// |---|---|
/// | `summary` | one line for a list of policies |
/// | (`config`) | type of the configuration: `serde::Deserialize` and `schemars::JsonSchema`; the manifest names schemars, or the crate that the type is from |
/// | (`state`) | type of the state: `serde::Serialize`, `serde::Deserialize` and `Default` |
/// | (`state_version`) | raised when an older state can no longer be read; 1 at first |
/// | (`wants`) | list of [`Want`](crate::Want)s: inputs beyond the standard ones |
/// | `decide` | `fn(&Replica<Config, State>)` to a `Decision` or a `Result<Decision, Refusal>` |
///
/// Name and version are those of the package.
#[macro_export]
macro_rules! replica_policy {
    (
        summary: $summary:expr,
        $(config: $config:ty,)?
        $(state: $state:ty,)?
        $(state_version: $state_version:expr,)?
        $(wants: [$($want:expr),* $(,)?],)?
        decide: $decide:path $(,)?
    ) => {
        $crate::policy! {
            summary: $summary,
            $(config: $config,)?
            $(state: $state,)?
            $(state_version: $state_version,)?
            $(wants: [$($want),*],)?
            decide: $decide,
        }
    };
}

/// Makes the crate an expander, as [`replica_policy!`] makes it a replica policy.
/// In place of `decide` it has
///
/// | field | meaning |
/// |---|---|
/// | `rank` | `fn(&Expander<Config, State>)` to a `Ranking` or a `Result<Ranking, Refusal>` |
///
/// Its `wants` are labels and annotations of nodes: those of each option's template.
#[macro_export]
macro_rules! expander_policy {
    (
        summary: $summary:expr,
        $(config: $config:ty,)?
        $(state: $state:ty,)?
        $(state_version: $state_version:expr,)?
        $(wants: [$($want:expr),* $(,)?],)?
        rank: $rank:path $(,)?
    ) => {
        $crate::policy! {
            summary: $summary,
            $(config: $config,)?
            $(state: $state,)?
            $(state_version: $state_version,)?
            $(wants: [$($want),*],)?
            rank: $rank,
        }
    };
}

/// Makes the crate a scale-down policy, as [`replica_policy!`] makes it a replica policy.
/// In place of `decide` it has one or more of
///
/// | field | meaning |
/// |---|---|
/// | `judge_pods` | `fn(&ScaleDownPods<Config, State>)` to `PodVerdicts` or a `Result<PodVerdicts, Refusal>` |
/// | `judge_nodes` | `fn(&ScaleDownNodes<Config, State>)` to `NodeVerdicts` or a `Result<NodeVerdicts, Refusal>` |
/// | `judge_moves` | `fn(&ScaleDownMoves<Config, State>)` to `MoveVerdicts` or a `Result<MoveVerdicts, Refusal>` |
///
/// with a comma behind each. Only moves have a state. Its `wants` are labels and
/// annotations of pods, nodes and namespaces.
#[macro_export]
macro_rules! scale_down_policy {
    (
        summary: $summary:expr,
        $(config: $config:ty,)?
        $(state: $state:ty,)?
        $(state_version: $state_version:expr,)?
        $(wants: [$($want:expr),* $(,)?],)?
        $(judge_pods: $judge_pods:path,)?
        $(judge_nodes: $judge_nodes:path,)?
        $(judge_moves: $judge_moves:path,)?
    ) => {
        $crate::policy! {
            summary: $summary,
            $(config: $config,)?
            $(state: $state,)?
            $(state_version: $state_version,)?
            $(wants: [$($want),*],)?
            $(judge_pods: $judge_pods,)?
            $(judge_nodes: $judge_nodes,)?
            $(judge_moves: $judge_moves,)?
        }
    };
}

/// Makes the crate a policy of several kinds at once, with the fields of
/// [`replica_policy!`], [`expander_policy!`] and [`scale_down_policy!`]: one or more of
/// `decide`, `rank`, `judge_pods`, `judge_nodes` and `judge_moves`, in this order, with a
/// comma behind each. The kinds share one type of configuration and one of state.
#[macro_export]
macro_rules! policy {
    (
        summary: $summary:expr,
        $(config: $config:ty,)?
        $(state: $state:ty,)?
        $(state_version: $state_version:expr,)?
        $(wants: [$($want:expr),* $(,)?],)?
        $(decide: $decide:path,)?
        $(rank: $rank:path,)?
        $(judge_pods: $judge_pods:path,)?
        $(judge_nodes: $judge_nodes:path,)?
        $(judge_moves: $judge_moves:path,)?
    ) => {
        /// The policy, as the contract describes it.
        #[allow(dead_code, reason = "elsewhere than on wasm32 only tests may name it")]
        struct FlyballPolicy;

        impl $crate::runtime::Policy for FlyballPolicy {
            type Config = $crate::__or!($($config)?; $crate::NoConfig);
            type State = $crate::__or!($($state)?; $crate::NoState);
            const NAME: &'static str = ::core::env!("CARGO_PKG_NAME");
            const VERSION: &'static str = ::core::env!("CARGO_PKG_VERSION");
            const SUMMARY: &'static str = $summary;
            const INTERFACES: &'static [&'static str] = &[
                $($crate::__instead!($decide; "replica"),)?
                $($crate::__instead!($rank; "expander"),)?
                $($crate::__instead!($judge_pods; "scale-down-pods"),)?
                $($crate::__instead!($judge_nodes; "scale-down-nodes"),)?
                $($crate::__instead!($judge_moves; "scale-down-moves"),)?
            ];
            const STATE_VERSION: u32 = $crate::__or!($($state_version)?; 1);

            fn wants() -> ::std::vec::Vec<$crate::Want> {
                ::std::vec![$($($want),*)?]
            }

            fn config(
                text: &str,
            ) -> ::core::result::Result<Self::Config, $crate::Refusal> {
                $crate::__read_config!(text $(, $config)?)
            }

            fn state(text: &str) -> ::core::result::Result<Self::State, $crate::Refusal> {
                $crate::__read_state!(text $(, $state)?)
            }
        }

        $($crate::__replica!($decide);)?
        $($crate::__expander!($rank);)?
        $($crate::__judge!(
            $judge_pods, PodJudge, judge_pods, ScaleDownPods, PodVerdicts, scale_down_pods,
            export_scale_down_pods
        );)?
        $($crate::__judge!(
            $judge_nodes, NodeJudge, judge_nodes, ScaleDownNodes, NodeVerdicts, scale_down_nodes,
            export_scale_down_nodes
        );)?
        $($crate::__judge!(
            $judge_moves, MoveJudge, judge_moves, ScaleDownMoves, MoveVerdicts, scale_down_moves,
            export_scale_down_moves
        );)?

        /// JSON Schema of the configuration, for the builder; empty: it takes none.
        #[cfg(not(target_arch = "wasm32"))]
        #[doc(hidden)]
        #[must_use]
        pub fn flyball_configuration_schema() -> ::std::string::String {
            $crate::__schema!($($config)?)
        }

        #[cfg(target_arch = "wasm32")]
        const _: () = {
            use $crate::bindings::description::exports::flyball::policy::description;

            impl description::Guest for FlyballPolicy {
                fn describe() -> description::Description {
                    $crate::runtime::describe::<Self>($crate::__schema_text!($($config)?))
                }
            }

            $crate::bindings::description::export_description!(
                FlyballPolicy with_types_in $crate::bindings::description
            );
        };
    };
}

/// The kind `replica`.
#[doc(hidden)]
#[macro_export]
macro_rules! __replica {
    ($decide:path) => {
        impl $crate::runtime::ReplicaPolicy for FlyballPolicy {
            fn decide(
                input: &$crate::Replica<Self::Config, Self::State>,
            ) -> ::core::result::Result<$crate::Decision, $crate::Refusal> {
                $crate::Answer::<$crate::Decision>::into_result($decide(input))
            }
        }

        #[cfg(target_arch = "wasm32")]
        const _: () = {
            use $crate::bindings::replica::exports::flyball::policy::replica;
            use $crate::bindings::types;

            impl replica::Guest for FlyballPolicy {
                fn decide(
                    context: types::Context,
                    input: replica::Input,
                ) -> ::core::result::Result<replica::Decision, types::Error> {
                    $crate::runtime::decide::<Self>(context, input)
                }
            }

            $crate::bindings::replica::export_replica!(
                FlyballPolicy with_types_in $crate::bindings::replica
            );
        };
    };
}

/// The kind `expander`.
#[doc(hidden)]
#[macro_export]
macro_rules! __expander {
    ($rank:path) => {
        impl $crate::runtime::ExpanderPolicy for FlyballPolicy {
            fn rank(
                input: &$crate::Expander<Self::Config, Self::State>,
            ) -> ::core::result::Result<$crate::Ranking, $crate::Refusal> {
                $crate::Answer::<$crate::Ranking>::into_result($rank(input))
            }
        }

        #[cfg(target_arch = "wasm32")]
        const _: () = {
            use $crate::bindings::expander::exports::flyball::policy::expander;
            use $crate::bindings::types;

            impl expander::Guest for FlyballPolicy {
                fn rank(
                    context: types::Context,
                    input: expander::Input,
                ) -> ::core::result::Result<expander::Ranking, types::Error> {
                    $crate::runtime::rank::<Self>(context, input)
                }
            }

            $crate::bindings::expander::export_expander!(
                FlyballPolicy with_types_in $crate::bindings::expander
            );
        };
    };
}

/// One question of the kind `scale-down`.
#[doc(hidden)]
#[macro_export]
macro_rules! __judge {
    (
        $judge:path, $trait:ident, $method:ident, $input:ident, $verdicts:ident, $module:ident,
        $export:ident
    ) => {
        impl $crate::runtime::$trait for FlyballPolicy {
            fn $method(
                input: &$crate::$input<Self::Config, Self::State>,
            ) -> ::core::result::Result<$crate::$verdicts, $crate::Refusal> {
                $crate::Answer::<$crate::$verdicts>::into_result($judge(input))
            }
        }

        #[cfg(target_arch = "wasm32")]
        const _: () = {
            use $crate::bindings::types;
            use $crate::bindings::$module::exports::flyball::policy::$module;

            impl $module::Guest for FlyballPolicy {
                fn judge(
                    context: types::Context,
                    input: $module::Input,
                ) -> ::core::result::Result<$module::Verdicts, types::Error> {
                    $crate::runtime::$method::<Self>(context, input)
                }
            }

            $crate::bindings::$module::$export!(
                FlyballPolicy with_types_in $crate::bindings::$module
            );
        };
    };
}

/// The second in place of the first.
#[doc(hidden)]
#[macro_export]
macro_rules! __instead {
    ($given:path; $instead:expr) => {
        $instead
    };
}

/// The first, if it is there.
#[doc(hidden)]
#[macro_export]
macro_rules! __or {
    (; $($default:tt)*) => { $($default)* };
    ($given:tt; $($default:tt)*) => { $given };
}

/// The configuration, read.
#[doc(hidden)]
#[macro_export]
macro_rules! __read_config {
    ($text:ident) => {
        $crate::runtime::read_no_config($text)
    };
    ($text:ident, $config:ty) => {
        $crate::runtime::read_config::<$config>($text)
    };
}

/// The state, read.
#[doc(hidden)]
#[macro_export]
macro_rules! __read_state {
    ($text:ident) => {{
        let _ = $text;
        ::core::result::Result::Ok($crate::NoState {})
    }};
    ($text:ident, $state:ty) => {
        $crate::runtime::read_state::<$state>($text)
    };
}

/// The schema, made from the type.
#[doc(hidden)]
#[macro_export]
macro_rules! __schema {
    () => {
        ::std::string::String::new()
    };
    ($config:ty) => {
        $crate::runtime::schema::<$config>()
    };
}

/// The schema, as the builder hands it to the compiler: schemars inside a guest
/// would cost 50 KB.
#[doc(hidden)]
#[macro_export]
macro_rules! __schema_text {
    () => {
        ""
    };
    ($config:ty) => {{
        const SCHEMA: &str = match ::core::option_env!("FLYBALL_CONFIGURATION_SCHEMA") {
            ::core::option::Option::Some(schema) => schema,
            ::core::option::Option::None => ::core::panic!(
                "the configuration has no schema: a policy with one names schemars among its \
                 dependencies and is built by `flyball policy build`"
            ),
        };
        SCHEMA
    }};
}
