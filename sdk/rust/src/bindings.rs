//! The contract's types as `wit-bindgen` makes them from `wit/policy.wit`.

#![allow(
    missing_docs,
    unsafe_code,
    clippy::allow_attributes_without_reason,
    reason = "generated code"
)]

wit_bindgen::generate!({
    world: "replica-policy",
    path: "wit",
    pub_export_macro: true,
    export_macro_name: "export_replica_policy",
    default_bindings_module: "flyball_policy::bindings",
    additional_derives: [Clone, PartialEq],
});
