//! Keeps what is marked: pods with a label or an annotation, pods of namespaces and pods
//! on nodes with a label, and nodes with an annotation.

use flyball_policy::{
    Granted, NodeVerdict, NodeVerdicts, PodVerdict, PodVerdicts, Refusal, ScaleDownNodes,
    ScaleDownPods, Want,
};

const POD_LABEL: usize = 0;
const POD_ANNOTATION: usize = 1;
const NAMESPACE_LABEL: usize = 2;
const NODE_LABEL: usize = 3;
const NODE_ANNOTATION: usize = 4;

fn granted(granted: Option<Granted<'_>>) -> Result<Granted<'_>, Refusal> {
    let granted = granted.ok_or_else(|| Refusal::new("MissingInput", "a wish is not answered"))?;
    match granted.error() {
        Some(error) => Err(Refusal::new("MissingInput", error)),
        None => Ok(granted),
    }
}

fn judge_pods(input: &ScaleDownPods) -> Result<PodVerdicts, Refusal> {
    let [label, annotation, namespace, node] =
        [POD_LABEL, POD_ANNOTATION, NAMESPACE_LABEL, NODE_LABEL]
            .map(|at| granted(input.granted(at)));
    let (label, annotation, namespace, node) = (label?, annotation?, namespace?, node?);
    Ok(PodVerdicts::each(input, |pod| {
        let row = pod.row();
        if let Some(keep) = label.of_row(row) {
            return PodVerdict::block().because("PodLabel", format!("label keep={keep}"));
        }
        if annotation.is_too_long(row) {
            return PodVerdict::block().because("LongAnnotation", "its annotation is too long");
        }
        if let Some(keep) = annotation.of_row(row) {
            return PodVerdict::block().because("PodAnnotation", format!("annotation {keep}"));
        }
        if namespace.of_row(row) == Some("yes") {
            return PodVerdict::block().because("NamespaceLabel", "its namespace is kept");
        }
        if node.of_row(pod.node().row()) == Some("yes") {
            return PodVerdict::block().because("NodeLabel", "its node is kept");
        }
        PodVerdict::evict()
    }))
}

fn judge_nodes(input: &ScaleDownNodes) -> Result<NodeVerdicts, Refusal> {
    let annotation = granted(input.granted(NODE_ANNOTATION))?;
    Ok(NodeVerdicts::each(input, |node| {
        match annotation.of_row(node.row()) {
            Some(keep) => {
                NodeVerdict::must_stay().because("NodeAnnotation", format!("annotation {keep}"))
            }
            None => NodeVerdict::may_go(),
        }
    }))
}

flyball_policy::scale_down_policy! {
    summary: "Keeps what is marked",
    wants: [
        Want::pod_label("keep"),
        Want::pod_annotation("example.com/keep"),
        Want::namespace_label("keep"),
        Want::node_label("keep"),
        Want::node_annotation("example.com/keep"),
    ],
    judge_pods: judge_pods,
    judge_nodes: judge_nodes,
}
