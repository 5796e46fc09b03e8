//! Test cases, and clusters built from them.

use std::collections::BTreeMap;

use flyball_kubernetes::slim::{
    ClaimObject, CsiDriverObject, CsiNodeObject, NamespaceObject, NodeObject, PodObject,
    StorageCapacityObject, StorageClassObject, VolumeAttachmentObject, VolumeObject,
};
use flyball_placement::{ClassId, Cluster, Misfit, Stage, StorageObject};
use flyball_test_support::vectors;
use serde::Deserialize;

/// A cluster, a pod, and the scheduler's verdict on each node.
#[derive(Deserialize)]
pub struct Case {
    id: String,
    form: String,
    objects: Objects,
    pending: serde_json::Value,
    verdicts: BTreeMap<String, Verdict>,
    /// Set if the scheduler has a bug: whether the pod should fit on each node.
    intended: Option<BTreeMap<String, bool>>,
}

#[derive(Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[derive(Default)]
struct Objects {
    nodes: Vec<NodeObject>,
    pods: Vec<PodObject>,
    namespaces: Vec<NamespaceObject>,
    persistent_volume_claims: Vec<ClaimObject>,
    persistent_volumes: Vec<VolumeObject>,
    storage_classes: Vec<StorageClassObject>,
    csi_nodes: Vec<CsiNodeObject>,
    csi_drivers: Vec<CsiDriverObject>,
    csi_storage_capacities: Vec<StorageCapacityObject>,
    volume_attachments: Vec<VolumeAttachmentObject>,
}

impl Objects {
    /// Returns the storage objects.
    fn storage(&self) -> Vec<StorageObject> {
        fn of<T: Clone + Into<StorageObject>>(
            objects: &[T],
        ) -> impl Iterator<Item = StorageObject> {
            objects.iter().cloned().map(Into::into)
        }
        of(&self.persistent_volume_claims)
            .chain(of(&self.persistent_volumes))
            .chain(of(&self.storage_classes))
            .chain(of(&self.csi_nodes))
            .chain(of(&self.csi_drivers))
            .chain(of(&self.csi_storage_capacities))
            .chain(of(&self.volume_attachments))
            .collect()
    }
}

#[derive(Deserialize)]
struct Verdict {
    ok: bool,
    #[serde(default)]
    plugin: String,
    #[serde(default)]
    reasons: Vec<String>,
    #[serde(default)]
    stage: String,
}

/// Returns all cases of a feature.
pub fn cases(feature: &str) -> Vec<Case> {
    vectors::read(&format!("scheduler/{feature}")).unwrap()
}

/// Returns our differences from the scheduler. The pod is checked in a cluster whose
/// other pods were placed before its class was added, and in one where they were placed
/// afterwards. Both must agree.
pub fn disagreements(case: &Case) -> Vec<String> {
    let mut wrong = Vec::new();
    for (order, pod_first) in [("pod last", false), ("pod first", true)] {
        let (cluster, class) = case.cluster(pod_first);
        for (node, verdict) in &case.verdicts {
            let id = cluster.find_node(node).unwrap();
            let ours = cluster.check(class, id);
            assert_eq!(ours.is_ok(), cluster.fits(class, id), "{} {node}", case.id);
            if let Some(why) = case.disagreement(node, verdict, &ours) {
                wrong.push(format!("{} {node} ({order}): {why}", case.id));
            }
        }
    }
    wrong
}

impl Case {
    fn cluster(&self, pod_first: bool) -> (Cluster, ClassId) {
        let mut cluster = Cluster::default();
        if pod_first {
            self.pending_class(&mut cluster);
        }
        for namespace in &self.objects.namespaces {
            let name = namespace.metadata.name.clone();
            cluster.set_namespace(&name, &namespace.clone().into_labels());
        }
        for node in &self.objects.nodes {
            cluster.add_node(node.clone().into_node());
        }
        for object in self.objects.storage() {
            cluster.set_storage(object);
        }
        for pod in &self.objects.pods {
            if pod.is_finished() {
                continue;
            }
            let node = pod.node_name().and_then(|node| cluster.find_node(node));
            if let Some(node) = node {
                let terminating = pod.metadata.is_terminating();
                let class = cluster.class(&pod.clone().into_pod());
                assert!(cluster.place(class, node, terminating));
            }
        }
        let class = self.pending_class(&mut cluster);
        (cluster, class)
    }

    fn pending_class(&self, cluster: &mut Cluster) -> ClassId {
        let mut object: PodObject = serde_json::from_value(self.pending.clone()).unwrap();
        if self.form == "submitted" {
            object.fill_in_defaults();
        }
        let node_name = object.node_name().cloned();
        let mut pod = object.into_pod();
        pod.node_name = node_name;
        cluster.class(&pod)
    }

    fn disagreement(
        &self,
        node: &str,
        verdict: &Verdict,
        ours: &Result<(), Misfit>,
    ) -> Option<String> {
        let intended = self.intended.as_ref().map(|intended| intended[node]);
        let ok = intended.unwrap_or(verdict.ok);
        if ok != ours.is_ok() {
            return Some(format!("should be {ok}: {ours:?}"));
        }
        if ok || verdict.ok {
            return None;
        }
        let Err(Misfit::Rejected { plugin, stage, .. }) = ours else {
            return Some("not rejected".to_owned());
        };
        let reasons = ours.as_ref().unwrap_err().reasons();
        let stage = match stage {
            Stage::PreFilter => "prefilter",
            Stage::Filter => "filter",
        };
        let same =
            plugin.name() == verdict.plugin && reasons == verdict.reasons && stage == verdict.stage;
        let theirs = (&verdict.plugin, &verdict.stage, &verdict.reasons);
        (!same).then(|| format!("{theirs:?}, not {:?}", (plugin.name(), stage, reasons)))
    }
}
