//! The built-in policies, compiled to components: ordinary policies, embedded so
//! that the daemon works with an empty policies directory.

macro_rules! built {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_bytes!(concat!(env!("OUT_DIR"), "/", $name, ".wasm")))),*]
    };
}

/// Name and component of each built-in policy: `hpa` decides on replicas, `drain-rules`,
/// `utilization` and `consolidate` on nodes that may leave, and the others are expanders.
pub const BUILTIN: &[(&str, &[u8])] = built![
    "consolidate",
    "drain-rules",
    "hpa",
    "least-nodes",
    "least-waste",
    "most-pods",
    "price",
    "priority",
    "random",
    "utilization",
];

/// The example expander `cheapest`, which takes over in the middle of the demo. It is
/// not a built-in policy.
pub const CHEAPEST: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/cheapest.wasm"));

/// The example policy `predictive`, which takes over in the middle of the demo. It is
/// not a built-in policy: no object can name it.
pub const PREDICTIVE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/predictive.wasm"));
