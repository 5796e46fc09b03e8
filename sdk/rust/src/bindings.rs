//! The contract's types as `wit-bindgen` makes them from `wit/policy.wit`. Each
//! interface that a policy may export is a world of its own, so that a component
//! exports those that its author fills in, and no other.

#![allow(
    missing_docs,
    unsafe_code,
    clippy::allow_attributes_without_reason,
    reason = "generated code"
)]

pub mod description {
    wit_bindgen::generate!({
        path: "wit",
        inline: "
            package flyball:sdk;

            world describing {
                import flyball:policy/log@0.1.0-draft;
                export flyball:policy/description@0.1.0-draft;
            }
        ",
        world: "flyball:sdk/describing",
        generate_all,
        generate_unused_types: true,
        pub_export_macro: true,
        export_macro_name: "export_description",
        additional_derives: [Clone, PartialEq],
    });
}

pub mod replica {
    wit_bindgen::generate!({
        path: "wit",
        inline: "
            package flyball:sdk;

            world deciding {
                export flyball:policy/replica@0.1.0-draft;
            }
        ",
        world: "flyball:sdk/deciding",
        with: {
            "flyball:policy/replica@0.1.0-draft": generate,
            "flyball:policy/types@0.1.0-draft":
                crate::bindings::description::flyball::policy::types,
        },
        pub_export_macro: true,
        export_macro_name: "export_replica",
        additional_derives: [Clone, PartialEq],
    });
}

pub mod expander {
    wit_bindgen::generate!({
        path: "wit",
        inline: "
            package flyball:sdk;

            world ranking {
                export flyball:policy/expander@0.1.0-draft;
            }
        ",
        world: "flyball:sdk/ranking",
        with: {
            "flyball:policy/expander@0.1.0-draft": generate,
            "flyball:policy/types@0.1.0-draft":
                crate::bindings::description::flyball::policy::types,
        },
        pub_export_macro: true,
        export_macro_name: "export_expander",
        additional_derives: [Clone, PartialEq],
    });
}

pub mod scale_down_pods {
    wit_bindgen::generate!({
        path: "wit",
        inline: "
            package flyball:sdk;

            world judging-pods {
                export flyball:policy/scale-down-pods@0.1.0-draft;
            }
        ",
        world: "flyball:sdk/judging-pods",
        with: {
            "flyball:policy/scale-down-pods@0.1.0-draft": generate,
            "flyball:policy/scale-down-types@0.1.0-draft": generate,
            "flyball:policy/types@0.1.0-draft":
                crate::bindings::description::flyball::policy::types,
        },
        generate_unused_types: true,
        pub_export_macro: true,
        export_macro_name: "export_scale_down_pods",
        additional_derives: [Clone, PartialEq],
    });
}

pub mod scale_down_nodes {
    wit_bindgen::generate!({
        path: "wit",
        inline: "
            package flyball:sdk;

            world judging-nodes {
                export flyball:policy/scale-down-nodes@0.1.0-draft;
            }
        ",
        world: "flyball:sdk/judging-nodes",
        with: {
            "flyball:policy/scale-down-nodes@0.1.0-draft": generate,
            "flyball:policy/scale-down-types@0.1.0-draft":
                crate::bindings::scale_down_pods::flyball::policy::scale_down_types,
            "flyball:policy/types@0.1.0-draft":
                crate::bindings::description::flyball::policy::types,
        },
        generate_unused_types: true,
        pub_export_macro: true,
        export_macro_name: "export_scale_down_nodes",
        additional_derives: [Clone, PartialEq],
    });
}

pub mod scale_down_moves {
    wit_bindgen::generate!({
        path: "wit",
        inline: "
            package flyball:sdk;

            world judging-moves {
                export flyball:policy/scale-down-moves@0.1.0-draft;
            }
        ",
        world: "flyball:sdk/judging-moves",
        with: {
            "flyball:policy/scale-down-moves@0.1.0-draft": generate,
            "flyball:policy/scale-down-types@0.1.0-draft":
                crate::bindings::scale_down_pods::flyball::policy::scale_down_types,
            "flyball:policy/types@0.1.0-draft":
                crate::bindings::description::flyball::policy::types,
        },
        generate_unused_types: true,
        pub_export_macro: true,
        export_macro_name: "export_scale_down_moves",
        additional_derives: [Clone, PartialEq],
    });
}

pub use description::flyball::policy::{log, types};
pub use scale_down_pods::flyball::policy::scale_down_types;
