//! Builders of objects for dumps, and test cases: a dump, its groups and the expected
//! plan.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::support::Workshop;

/// Merges a patch into an object, as `kubectl patch --type merge` does, except that the
/// first element of a list is merged with the first of the other.
pub fn merged(mut object: Value, patch: &Value) -> Value {
    merge(&mut object, patch);
    object
}

fn merge(into: &mut Value, patch: &Value) {
    match (into, patch) {
        (Value::Object(into), Value::Object(patch)) => {
            for (key, value) in patch {
                if value.is_null() {
                    into.remove(key);
                } else {
                    merge(into.entry(key.clone()).or_insert(Value::Null), value);
                }
            }
        }
        (Value::Array(into), Value::Array(patch)) if !into.is_empty() && !patch.is_empty() => {
            merge(&mut into[0], &patch[0]);
            into.extend_from_slice(&patch[1..]);
        }
        (into, patch) => *into = patch.clone(),
    }
}

/// Returns a ready node of a group with this number of cores.
pub fn node(name: &str, pool: &str, cpu: &str) -> Value {
    let amounts = json!({"cpu": cpu, "memory": "8Gi", "pods": "110"});
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {
            "name": name, "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": {"pool": pool, "kubernetes.io/hostname": name},
        },
        "status": {
            "capacity": amounts, "allocatable": amounts,
            "conditions": [{
                "type": "Ready", "status": "True", "lastHeartbeatTime": "2026-03-01T00:00:00Z",
            }],
        },
    })
}

/// Returns a node's labels.
pub fn labelled(node: Value, labels: &Value) -> Value {
    merged(node, &json!({"metadata": {"labels": labels}}))
}

/// Returns a running pod.
pub fn pod(name: &str, cpu: &str, node: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": name, "namespace": "default", "labels": {"app": "web"},
            "creationTimestamp": "2026-01-01T00:00:00Z",
        },
        "spec": {
            "nodeName": node,
            "containers": [{"name": "main", "resources": {"requests": {"cpu": cpu}}}],
        },
        "status": {"phase": "Running"},
    })
}

/// Returns a pod that the scheduler could not place.
pub fn waiting(name: &str, cpu: &str) -> Value {
    let unschedulable = json!({"spec": {"nodeName": null}, "status": {
        "phase": "Pending",
        "conditions": [
            {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"},
        ],
    }});
    merged(pod(name, cpu, ""), &unschedulable)
}

/// Adds claims to a pod's volumes.
pub fn mounting(pod: Value, claims: &[&str]) -> Value {
    let volume = |claim: &&str| {
        json!({
            "name": claim, "persistentVolumeClaim": {"claimName": claim},
        })
    };
    let volumes: Vec<Value> = claims.iter().map(volume).collect();
    merged(pod, &json!({"spec": {"volumes": volumes}}))
}

/// Cases of a kind, planned in one folder so that the policies are compiled once.
pub struct Table(Workshop);

impl Table {
    pub fn new() -> Self {
        Self(Workshop::new())
    }

    pub fn case(&self, what: &'static str) -> Case<'_> {
        Case {
            workshop: &self.0,
            what,
            items: Vec::new(),
            groups: String::new(),
            remaining: 0,
            reason: None,
            flags: Vec::new(),
        }
    }
}

/// A case: a cluster, its node groups, and the expected plan.
pub struct Case<'a> {
    workshop: &'a Workshop,
    what: &'static str,
    items: Vec<Value>,
    groups: String,
    remaining: u64,
    reason: Option<&'static str>,
    flags: Vec<&'static str>,
}

impl Case<'_> {
    /// Adds a group of the nodes that have its name as their pool.
    pub fn group(self, name: &str) -> Self {
        let group = format!("{{name: {name}, max: 9, nodeSelector: {{pool: {name}}}}}");
        self.listed(&group)
    }

    /// Adds a group, as listed in the file.
    pub fn listed(mut self, group: &str) -> Self {
        writeln!(self.groups, "- {group}").unwrap();
        self
    }

    pub fn item(mut self, item: Value) -> Self {
        self.items.push(item);
        self
    }

    pub fn items(mut self, items: impl IntoIterator<Item = Value>) -> Self {
        self.items.extend(items);
        self
    }

    /// Expects that no order helps this number of pods.
    pub fn remaining(mut self, pods: u64) -> Self {
        self.remaining = pods;
        self
    }

    /// Expects this reason for them.
    pub fn reason(mut self, reason: &'static str) -> Self {
        self.reason = Some(reason);
        self
    }

    pub fn flag(mut self, flag: &'static str) -> Self {
        self.flags.push(flag);
        self
    }

    /// Runs `flyball plan` on the case. Returns its output.
    pub fn run(&self, arguments: &[&str]) -> String {
        let workshop = self.workshop;
        let list = json!({"apiVersion": "v1", "kind": "List", "items": self.items});
        workshop.write("cluster.json", list.to_string());
        workshop.write("groups.yaml", format!("nodeGroups:\n{}", self.groups));
        let plan = ["plan", "cluster.json", "--node-groups", "groups.yaml"];
        workshop.succeed(&[&plan[..], &self.flags, arguments].concat())
    }

    /// Returns the plan for the case.
    pub fn plan(&self) -> Value {
        serde_json::from_str(&self.run(&["-o", "json"])).unwrap()
    }

    /// Asserts the orders: groups by name, with their sizes before and after.
    #[track_caller]
    pub fn orders(self, orders: &[(&str, u64, u64)]) {
        let plan = self.plan();
        let what = self.what;
        let ordered = plan["verdict"]["orders"].as_array().unwrap().iter();
        let mut ordered: Vec<_> = ordered
            .map(|order| {
                let size = |key: &str| order[key].as_u64().unwrap();
                (order["group"].as_str().unwrap(), size("from"), size("to"))
            })
            .collect();
        ordered.sort_unstable();
        assert_eq!(ordered, orders, "{what}: {plan:#}");
        let remaining = plan["remaining"].as_array().unwrap();
        let pods = remaining
            .iter()
            .map(|some| some["pods"]["count"].as_u64().unwrap());
        assert_eq!(pods.sum::<u64>(), self.remaining, "{what}: {remaining:#?}");
        if let Some(reason) = self.reason {
            assert!(
                plan["remaining"].to_string().contains(reason),
                "{what}: {remaining:#?}"
            );
        }
    }
}
