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
/// The inputs that hosts can grant are about a scale target: an expander has none of
/// its `wants`.
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

/// Makes the crate a policy of several kinds at once, with the fields of
/// [`replica_policy!`] and [`expander_policy!`]: `decide`, `rank` or both, with a
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
            const KINDS: &'static [&'static str] = &[
                $($crate::__instead!($decide; "replica"),)?
                $($crate::__instead!($rank; "expander"),)?
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
