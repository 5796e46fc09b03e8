//! Reads a cluster from a dump: the List that `kubectl get KINDS -A -o json` (or `-o
//! yaml`) prints.

mod list;

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::sync::Arc;

use flyball_decision::text::message;
use flyball_decision::time::Timestamp;
use flyball_nodes::state::{AnnotationKeys, ClusterState, OwnerKind};
use hashbrown::{HashMap, HashSet};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::slim::{
    BudgetObject, ClaimObject, CsiDriverObject, CsiNodeObject, DaemonSetObject, JobObject,
    NamespaceObject, NodeObject, PodObject, ReplicaSetObject, ReplicationControllerObject,
    StatefulSetObject, StorageCapacityObject, StorageClassObject, VolumeAttachmentObject,
    VolumeObject,
};
use crate::status::parse_time;

/// Kinds without which a plan is impossible, with the reason.
const NEEDED: [(&str, &str); 2] = [
    ("Node", "there is no node to place pods on"),
    ("Pod", "no pod waits for a node"),
];

/// Kinds whose absence changes the plan, with the consequence. A List does not say which kinds
/// were asked for, and a cluster may have none of a kind. So a kind is only missed if other
/// objects show that the cluster has it, or use it.
const USEFUL: [(&str, Evidence, &str); 5] = [
    (
        "Namespace",
        // Every cluster has some.
        |_| true,
        "selectors of namespaces match none",
    ),
    (
        "DaemonSet",
        |uses| uses.daemon_sets,
        "new nodes carry only the DaemonSets' pods that live nodes carry",
    ),
    (
        "PersistentVolumeClaim",
        |uses| uses.claims,
        "pods with claims fit nowhere",
    ),
    (
        "StorageClass",
        |uses| uses.storage_classes,
        "claims that are not bound can't be bound",
    ),
    (
        "CSINode",
        |uses| uses.claims,
        "nodes attach any number of volumes",
    ),
];

type Evidence = fn(&Uses) -> bool;

/// Kinds that objects of the dump use.
#[derive(Default)]
struct Uses {
    /// A pod belongs to a DaemonSet.
    daemon_sets: bool,
    /// A pod has a volume of a claim.
    claims: bool,
    /// A claim or a volume names its class.
    storage_classes: bool,
}

impl Uses {
    fn look_at(&mut self, kind: &str, item: &Value) {
        let any = |list: &Value, is_one: &dyn Fn(&Value) -> bool| {
            let mut list = list.as_array().into_iter().flatten();
            list.any(is_one)
        };
        match kind {
            "Pod" => {
                let owners = &item["metadata"]["ownerReferences"];
                self.daemon_sets |= any(owners, &|owner| owner["kind"] == "DaemonSet");
                let is_claim = |volume: &Value| {
                    volume.get("persistentVolumeClaim").is_some()
                        || volume.get("ephemeral").is_some()
                };
                self.claims |= any(&item["spec"]["volumes"], &is_claim);
            }
            "PersistentVolumeClaim" | "PersistentVolume" => {
                let class = item["spec"]["storageClassName"].as_str();
                self.storage_classes |= class.is_some_and(|class| !class.is_empty());
            }
            _ => {}
        }
    }
}

/// Kind of the budgets.
const BUDGET: &str = "PodDisruptionBudget";

/// A cluster read from a dump, and the problems of the dump.
#[derive(Default)]
pub struct Dump {
    /// The cluster. Owners and PodDisruptionBudgets count as unknown if the dump has none
    /// of the kind.
    pub state: ClusterState,
    /// The latest time in any object: shortly before the dump was taken, since nodes
    /// report their conditions every few minutes.
    pub latest: Option<Timestamp>,
    /// Sentences that name objects that were left out and kinds that are missing.
    pub problems: Vec<String>,
}

/// Why a text is not a dump.
#[derive(Debug, thiserror::Error)]
pub enum DumpError {
    /// It can't be read.
    #[error("{0}")]
    Read(#[from] io::Error),
    /// Invalid JSON.
    #[error("not JSON: {0}")]
    Json(serde_json::Error),
    /// Neither a JSON object nor valid YAML.
    #[error("neither JSON nor YAML: {0}")]
    Yaml(String),
    /// Not a List.
    #[error(
        "not a List of Kubernetes objects: write `kubectl get nodes,pods,… -A -o json` to a file"
    )]
    NoList,
}

/// Names and uids of the objects read so far. A name is what messages call the object: its
/// kind, its namespace if it has one, and its own name.
#[derive(Default)]
struct SeenObjects {
    names: HashSet<Arc<str>>,
    /// Names by uid.
    uids: HashMap<Box<str>, Arc<str>>,
}

impl Dump {
    /// Reads a dump in JSON or YAML, object by object. Objects that can't be read are
    /// left out and reported in [`Self::problems`].
    ///
    /// # Errors
    /// If the text is not a List of Kubernetes objects.
    pub fn read(text: impl Read) -> Result<Self, DumpError> {
        let mut dump = Self::default();
        let mut kinds: BTreeSet<String> = BTreeSet::new();
        let mut seen = SeenObjects::default();
        let mut uses = Uses::default();
        list::each_item(text, |index, item| {
            dump.latest = dump.latest.max(latest_time(&item));
            let kind = item["kind"].as_str().unwrap_or_default().to_owned();
            if !kinds.contains(&kind) {
                kinds.insert(kind.clone());
            }
            uses.look_at(&kind, &item);
            if let Err(problem) = dump.take(&kind, item, &mut seen) {
                dump.report(format!("items[{index}]: {problem}"));
            }
        })?;
        let used = USEFUL.iter().filter(|(_, is_used, _)| is_used(&uses));
        let used = used.map(|(kind, _, therefore)| (kind, therefore));
        let needed = NEEDED.iter().map(|(kind, therefore)| (kind, therefore));
        let needed = needed.chain(used);
        for (kind, therefore) in needed.filter(|(kind, _)| !kinds.contains(**kind)) {
            dump.report(format!("the dump has no {kind}: {therefore}"));
        }
        for kind in OwnerKind::ALL {
            if !kinds.contains(kind.as_str()) {
                dump.state.set_owner_kind_unavailable(kind);
            }
        }
        if !kinds.contains("DaemonSet") {
            dump.state.set_daemon_sets_unavailable();
        }
        if !kinds.contains(BUDGET) {
            dump.state.set_budgets_unavailable();
        }
        dump.report_absent_nodes();
        Ok(dump)
    }

    fn take(&mut self, kind: &str, mut item: Value, seen: &mut SeenObjects) -> Result<(), String> {
        let metadata = item.get_mut("metadata");
        let Some(metadata) = metadata.and_then(Value::as_object_mut) else {
            return Err(match kind {
                "" => "it is not a Kubernetes object, and is left out".to_owned(),
                _ => format!("a {kind} without metadata is left out"),
            });
        };
        let text = |field: &str| metadata.get(field).and_then(Value::as_str);
        let [name, namespace, uid] =
            ["name", "namespace", "uid"].map(|field| text(field).unwrap_or_default());
        let label: Arc<str> = match namespace {
            "" => format!("{kind} {name}").into(),
            _ => format!("{kind} {namespace}/{name}").into(),
        };
        if name.is_empty() {
            return Err(format!("a {kind} without a name is left out"));
        }
        if !seen.names.insert(Arc::clone(&label)) {
            return Err(format!("{label} occurs twice: the second is left out"));
        }
        if uid.is_empty() {
            // A dump written by hand may lack uids.
            let uid = format!("{namespace}/{name}");
            metadata.insert("uid".to_owned(), uid.into());
        } else if let Some(other) = seen.uids.insert(uid.into(), Arc::clone(&label)) {
            return Err(format!("{label} is left out: it has the uid of {other}"));
        }
        self.apply(kind, item)
            .map_err(|problem| format!("{label} is left out: {problem}"))
    }

    fn apply(&mut self, kind: &str, item: Value) -> Result<(), String> {
        let state = &mut self.state;
        match kind {
            "Node" => {
                let mut facts = read::<NodeObject>(item)?.into_facts_with(&AnnotationKeys::All);
                // Node groups find their nodes by the provider ID.
                let name = facts.node.name.clone();
                facts.provider_id.get_or_insert(name);
                refuse_negative(&facts.node.allocatable)?;
                refuse_negative(&facts.capacity)?;
                state.apply_node(facts);
            }
            "Pod" => {
                let (facts, pod) = read::<PodObject>(item)?.into_facts_with(&AnnotationKeys::All);
                refuse_negative(&pod.requests)?;
                state.apply_pod(facts, &pod);
            }
            "Namespace" => {
                let object: NamespaceObject = read(item)?;
                let name = object.metadata.name.clone();
                state.apply_namespace(&name, &object.into_labels());
            }
            "DaemonSet" => {
                let facts = read::<DaemonSetObject>(item)?.into_facts();
                refuse_negative(&facts.pod.requests)?;
                state.apply_daemon_set(facts);
            }
            "PersistentVolumeClaim" => state.apply_storage(read::<ClaimObject>(item)?.into()),
            "PersistentVolume" => state.apply_storage(read::<VolumeObject>(item)?.into()),
            "StorageClass" => state.apply_storage(read::<StorageClassObject>(item)?.into()),
            "CSIDriver" => state.apply_storage(read::<CsiDriverObject>(item)?.into()),
            "CSINode" => state.apply_storage(read::<CsiNodeObject>(item)?.into()),
            "CSIStorageCapacity" => {
                state.apply_storage(read::<StorageCapacityObject>(item)?.into());
            }
            "VolumeAttachment" => {
                state.apply_storage(read::<VolumeAttachmentObject>(item)?.into());
            }
            "ReplicaSet" => state.apply_owner(read::<ReplicaSetObject>(item)?.into_facts()),
            "StatefulSet" => state.apply_owner(read::<StatefulSetObject>(item)?.into_facts()),
            "ReplicationController" => {
                state.apply_owner(read::<ReplicationControllerObject>(item)?.into_facts());
            }
            "Job" => state.apply_owner(read::<JobObject>(item)?.into_facts()),
            BUDGET => state.apply_budget(read::<BudgetObject>(item)?.into_facts()),
            // Plans don't use other kinds.
            _ => {}
        }
        Ok(())
    }

    fn report_absent_nodes(&mut self) {
        let absent: Vec<_> = self.state.absent_nodes().collect();
        let problems = absent.iter().map(|(node, pods)| {
            message(format!(
                "node {node} is not in the dump: {pods} bound to it take part in nothing",
                pods = match pods {
                    1 => "the pod".to_owned(),
                    count => format!("the {count} pods"),
                }
            ))
        });
        self.problems.extend(problems);
    }

    /// Adds a problem. It is shortened: names and values in it come from the dump.
    fn report(&mut self, problem: String) {
        self.problems.push(message(problem));
    }
}

/// Fields with times in the past. (Other fields may be in the future: the
/// deletionTimestamp of a pod is the time by which it must be gone.)
const TIMES: [&str; 4] = [
    "creationTimestamp",
    "lastHeartbeatTime",
    "lastTransitionTime",
    "startTime",
];

fn latest_time(value: &Value) -> Option<Timestamp> {
    match value {
        Value::Object(fields) => {
            let times = fields.iter().map(|(name, value)| match value {
                Value::String(text) if TIMES.contains(&name.as_str()) => parse_time(text),
                _ => latest_time(value),
            });
            times.max().flatten()
        }
        Value::Array(values) => values.iter().map(latest_time).max().flatten(),
        _ => None,
    }
}

fn read<T: DeserializeOwned>(item: Value) -> Result<T, String> {
    serde_path_to_error::deserialize(item)
        .map_err(|error| format!("{}: {}", error.path(), error.inner()))
}

fn refuse_negative(resources: &flyball_placement::Resources) -> Result<(), String> {
    let named = [
        ("cpu", resources.cpu),
        ("memory", resources.memory),
        ("ephemeral-storage", resources.ephemeral_storage),
        ("pods", resources.pods),
    ];
    let extended = resources.extended.iter();
    let extended = extended.map(|(name, amount)| (name.as_ref(), *amount));
    match named
        .into_iter()
        .chain(extended)
        .find(|(_, amount)| *amount < 0)
    {
        Some((name, amount)) => Err(format!("its {name} is negative ({amount})")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Dump, DumpError};

    #[test]
    fn what_is_no_object_is_left_out_and_named() -> Result<(), DumpError> {
        let items = json!([
            {"kind": "Pod", "metadata": ["a"]},
            {"kind": "Node", "metadata": "b"},
            {"kind": "Node"},
            "c",
            {"kind": "Pod", "metadata": {"namespace": "default"}},
            {"kind": "Namespace", "metadata": {"name": "default"}},
        ]);
        let dump = Dump::read(
            json!({"kind": "List", "items": items})
                .to_string()
                .as_bytes(),
        )?;
        let of_items: Vec<_> = dump
            .problems
            .iter()
            .filter(|problem| problem.starts_with("items["))
            .collect();
        assert_eq!(
            of_items,
            [
                "items[0]: a Pod without metadata is left out",
                "items[1]: a Node without metadata is left out",
                "items[2]: a Node without metadata is left out",
                "items[3]: it is not a Kubernetes object, and is left out",
                "items[4]: a Pod without a name is left out",
            ]
        );
        Ok(())
    }

    #[test]
    fn owners_and_budgets_are_unknown_where_the_dump_has_none() -> Result<(), DumpError> {
        let metadata = |name: &str| json!({"name": name, "namespace": "shop", "uid": name});
        let labels = json!({"name": "cart-1", "namespace": "shop", "labels": {"app": "cart"}});
        let selector = json!({"matchLabels": {"app": "cart"}});
        let items = json!([
            {"kind": "Pod", "metadata": labels},
            {"kind": "ReplicaSet", "metadata": metadata("cart"), "spec": {"replicas": 2}},
            {"kind": "Job", "metadata": metadata("nightly"), "spec": {"parallelism": 4}},
            {"kind": "PodDisruptionBudget", "metadata": metadata("pdb"),
             "spec": {"selector": selector}, "status": {"disruptionsAllowed": 1}},
        ]);
        let read = |items| {
            Dump::read(
                json!({"kind": "List", "items": items})
                    .to_string()
                    .as_bytes(),
            )
        };
        let state = read(items)?.state;
        let desired: Vec<_> = state.owners().map(|owner| owner.desired).collect();
        assert_eq!(desired, [Some(2), Some(4)]);
        assert!(state.knows_owners_of("ReplicaSet") && state.knows_owners_of("Job"));
        assert!(!state.knows_owners_of("StatefulSet"));
        // A pod without a uid is known by namespace and name.
        let budgets = state.pod("shop/cart-1").map(|pod| {
            let budgets = state.budgets_of(&pod).named.iter();
            let budgets = budgets.filter_map(|id| state.budget(*id));
            budgets.map(|budget| budget.allowed()).collect::<Vec<_>>()
        });
        assert_eq!(budgets, Some(vec![1]));
        assert!(state.budgets_known());

        let state = read(json!([]))?.state;
        assert!(!state.budgets_known() && !state.knows_owners_of("ReplicaSet"));
        assert!(!state.knows_owners_of("DaemonSet"));
        Ok(())
    }
}
