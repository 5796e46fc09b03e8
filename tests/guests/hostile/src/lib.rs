//! What the hostile guests share: bindings to the contract, and a policy that
//! behaves. Each guest in `examples/` says only where it misbehaves.
//!
//! What Rust cannot express (tables, a module's start section) is in `text/`.

#![allow(
    missing_docs,
    reason = "generated bindings carry the contract's documents"
)]

pub use exports::flyball::policy::description::Description;
pub use exports::flyball::policy::replica::{Context, Decision, Input, Proposal};
pub use flyball::policy::log::log;
pub use flyball::policy::types::{Argument, Error, Reason, WantedInput};

wit_bindgen::generate!({
    path: "../../../wit/draft",
    world: "replica-policy",
    pub_export_macro: true,
    export_macro_name: "export_replica_policy",
    default_bindings_module: "hostile",
});

/// A policy that behaves, wherever it is not overridden.
pub trait Policy {
    fn describe() -> Description {
        description()
    }

    fn decide(_context: Context, _input: Input) -> Result<Decision, Error> {
        Ok(decision(Some(3)))
    }
}

/// A description without fault.
pub fn description() -> Description {
    Description {
        name: "hostile".into(),
        version: "1.0.0".into(),
        summary: "misbehaves".into(),
        kinds: vec!["replica".into()],
        configuration_schema: String::new(),
        state_version: 1,
        wants: Vec::new(),
    }
}

/// A decision without fault.
pub fn decision(replicas: Option<i64>) -> Decision {
    Decision {
        replicas,
        reason: reason("asked for what it pleased"),
        proposals: Vec::new(),
        leading: None,
        state: None,
        again_after_ms: None,
    }
}

/// A reason without fault.
pub fn reason(sentence: &str) -> Reason {
    Reason {
        code: "Hostile".into(),
        arguments: Vec::new(),
        sentence: sentence.into(),
    }
}

/// A proposal without fault.
pub fn proposal(replicas: i64) -> Proposal {
    Proposal {
        replicas: Some(replicas),
        utilization: None,
        average: None,
        value: None,
        error: String::new(),
        reason: reason("asked for what it pleased"),
    }
}

/// Joins a [`Policy`] to the exports of the contract.
pub struct Exported<P>(P);

impl<P: Policy> exports::flyball::policy::description::Guest for Exported<P> {
    fn describe() -> Description {
        P::describe()
    }
}

impl<P: Policy> exports::flyball::policy::replica::Guest for Exported<P> {
    fn decide(context: Context, input: Input) -> Result<Decision, Error> {
        P::decide(context, input)
    }
}

/// Exports a type that implements [`Policy`].
#[macro_export]
macro_rules! export {
    ($policy:ident) => {
        type ExportedPolicy = $crate::Exported<$policy>;
        $crate::export_replica_policy!(ExportedPolicy);
    };
}
