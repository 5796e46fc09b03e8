//! The rows and columns of the tables.

use crate::journal::FaultKind;

/// Where the daemon is killed.
pub struct Row {
    /// The last write that was carried out.
    pub name: &'static str,
    /// What is expected.
    pub expected: &'static str,
    pub scene: Scene,
    /// Texts that the write contains at which it is killed.
    pub texts: &'static [&'static str],
    /// Which of these writes it is (from 1).
    pub number: usize,
    /// Whether that write is carried out, and only its answer lost.
    pub is_carried_out: bool,
    /// The cell of this row that runs with all tests.
    pub in_ci: Restart,
}

/// What happens to the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scene {
    /// The load falls, so that one of two nodes is drained.
    Drain,
    /// The same, and the node must be unneeded for longer than a change of leader takes.
    LongTimer,
    /// The same, but the load is back when the next daemon starts.
    LoadReturns,
    /// The load returns as soon as the node is tainted, so that the drain is taken back.
    TakenBack,
    /// The same for a node that an administrator has cordoned.
    Cordoned,
    /// The load falls, and the Node stays when its instance is gone.
    NodeStays,
    /// The load rises, so that a node is ordered.
    ScaleUp,
    /// The load falls, so that a large node is replaced by a small one.
    Replacement,
}

/// How the next daemon starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Restart {
    AtOnce,
    /// Ten minutes later: its clock is that much ahead.
    Later,
    /// Another process waits for the lease. Its clock is two seconds behind, so that the
    /// times that it finds lie in its future.
    OtherLeader,
}

impl Scene {
    /// Whether the drain is taken back in the end.
    pub fn gives_back(self) -> bool {
        matches!(self, Self::LoadReturns | Self::TakenBack | Self::Cordoned)
    }
}

impl Restart {
    pub const ALL: [Self; 3] = [Self::AtOnce, Self::Later, Self::OtherLeader];

    pub fn name(self) -> &'static str {
        match self {
            Self::AtOnce => "restarted at once",
            Self::Later => "restarted after 10 min",
            Self::OtherLeader => "another leader, its clock 2 s behind",
        }
    }
}

const TAINTS: &str = "ToBeDeletedByClusterAutoscaler";
const UNTAINTS: &str = r#""flyball.dev/scale-down":null"#;
const NODE: &str = "PATCH /api/v1/nodes/";
const TERMINATES: &str = "CLOUD Action=TerminateInstanceInAutoScalingGroup";

/// The daemon writes taint, cordon and annotation of a node in one patch, and removes them
/// in one, so that no crash comes between them.
pub const ROWS: &[Row] = &[
    Row {
        name: "soft taint",
        expected: "the timer goes on from its value; after more than 5 min without a leader it \
                   begins anew",
        scene: Scene::LongTimer,
        texts: &[NODE, "DeletionCandidateOfClusterAutoscaler"],
        number: 1,
        is_carried_out: true,
        in_ci: Restart::Later,
    },
    Row {
        name: "hard taint and cordon (one write), before the first eviction",
        expected: "resumed",
        scene: Scene::Drain,
        texts: &[NODE, TAINTS],
        number: 1,
        is_carried_out: true,
        in_ci: Restart::OtherLeader,
    },
    Row {
        name: "the same, and the load has come back",
        expected: "both taken off",
        scene: Scene::LoadReturns,
        texts: &[NODE, TAINTS],
        number: 1,
        is_carried_out: true,
        in_ci: Restart::AtOnce,
    },
    Row {
        name: "second of three evictions",
        expected: "the third evicted; no successor evicted",
        scene: Scene::Drain,
        texts: &["POST /api/v1/namespaces/default/pods/", "/eviction"],
        number: 2,
        is_carried_out: true,
        in_ci: Restart::AtOnce,
    },
    Row {
        name: "last pod gone, before terminate",
        expected: "terminated once, target lowered once",
        scene: Scene::Drain,
        texts: &[TERMINATES],
        number: 1,
        is_carried_out: false,
        in_ci: Restart::AtOnce,
    },
    Row {
        name: "terminate sent, answer lost",
        expected: "terminated once, target lowered once",
        scene: Scene::Drain,
        texts: &[TERMINATES],
        number: 1,
        is_carried_out: true,
        in_ci: Restart::AtOnce,
    },
    Row {
        name: "terminate done, Node still there",
        expected: "nothing but waiting, told after 5 min",
        scene: Scene::NodeStays,
        texts: &["/events", "nodes removed by cluster autoscaler"],
        number: 1,
        is_carried_out: true,
        in_ci: Restart::AtOnce,
    },
    Row {
        name: "taking back, before taint and cordon are taken off (one write)",
        expected: "both taken off",
        scene: Scene::TakenBack,
        texts: &[NODE, UNTAINTS],
        number: 1,
        is_carried_out: false,
        in_ci: Restart::AtOnce,
    },
    Row {
        name: "taking back, taint and cordon are off",
        expected: "nothing is left to do",
        scene: Scene::TakenBack,
        texts: &[NODE, UNTAINTS],
        number: 1,
        is_carried_out: true,
        in_ci: Restart::AtOnce,
    },
    Row {
        name: "taking back a node that an administrator cordoned",
        expected: "the taint taken off, the cordon left",
        scene: Scene::Cordoned,
        texts: &[NODE, UNTAINTS],
        number: 1,
        is_carried_out: false,
        in_ci: Restart::AtOnce,
    },
    Row {
        name: "scale-up: order sent, answer lost",
        expected: "not ordered again",
        scene: Scene::ScaleUp,
        texts: &["CLOUD Action=SetDesiredCapacity"],
        number: 1,
        is_carried_out: true,
        in_ci: Restart::AtOnce,
    },
    Row {
        name: "replacement: annotation, before the order",
        expected: "ordered once",
        scene: Scene::Replacement,
        texts: &[NODE, "flyball.dev/replaced-by"],
        number: 1,
        is_carried_out: true,
        in_ci: Restart::Later,
    },
    Row {
        name: "replacement: order, before Ready",
        expected: "not ordered again; the new node is used",
        scene: Scene::Replacement,
        texts: &["CLOUD Action=SetDesiredCapacity"],
        number: 1,
        is_carried_out: true,
        in_ci: Restart::AtOnce,
    },
    Row {
        name: "replacement: Ready, before the first eviction",
        expected: "not ordered again; the new node is used",
        scene: Scene::Replacement,
        texts: &[NODE, TAINTS],
        number: 1,
        is_carried_out: false,
        in_ci: Restart::OtherLeader,
    },
];

/// What goes wrong with the cloud's calls while the daemon goes on.
pub const FAULTS: &[(&str, FaultKind)] = &[
    ("status 503", FaultKind::Unavailable),
    ("throttled", FaultKind::Throttled),
    ("connection reset before the deed", FaultKind::Reset),
    ("answer lost after the deed", FaultKind::Lost),
    ("carried out after the client gave up", FaultKind::Late),
];

/// The calls of [`FAULTS`]: their column, and the load that leads to them.
pub const CALLS: [(&str, &str, Scene); 2] = [
    (
        "terminate",
        "TerminateInstanceInAutoScalingGroup",
        Scene::Drain,
    ),
    ("scale-up: order", "SetDesiredCapacity", Scene::ScaleUp),
];

/// A drain or an order without a crash.
pub const fn undisturbed(scene: Scene) -> Row {
    Row {
        name: "a fault of the cloud",
        expected: "",
        scene,
        texts: &[],
        number: 1,
        is_carried_out: true,
        in_ci: Restart::AtOnce,
    }
}
