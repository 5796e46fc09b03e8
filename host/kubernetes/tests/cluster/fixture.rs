//! A cluster with the custom resource, and access to it.

use std::time::Duration;

use flyball_decision::time::Timestamp;
use flyball_kubernetes::{Caches, ConnectOptions, KubernetesReader, connect, crd_yaml};
use flyball_replicas::observe::Prepared;
use flyball_replicas::options::ReplicaOptions;
use flyball_replicas::ports::{Autoscaler, NoRowsLeft, Observation, Question, Reader};
use flyball_sources::{MetricsApis, TIMEOUT};
use flyball_test_support::{Cluster, ClusterOptions, wait_for};
use std::sync::Arc;

pub const MINUTE: Duration = Duration::from_secs(60);

/// Two pods that use 400m of the 500m of cpu that they request.
pub const DEPLOYMENT: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: { name: web, annotations: { example.com/owner: shop } }
spec:
  replicas: 2
  selector: { matchLabels: { app: web } }
  template:
    metadata:
      labels: { app: web }
      annotations: { kwok.x-k8s.io/usage-cpu: 400m }
    spec:
      containers:
      - { name: web, image: web, resources: { requests: { cpu: 500m } } }
"#;

/// Returns a `ReplicaAutoscaler` with this name. `spec` has fields in YAML flow style.
pub fn autoscaler(name: &str, spec: &str) -> String {
    format!(
        "apiVersion: flyball.dev/v1alpha1\nkind: ReplicaAutoscaler\n\
         metadata: {{ name: {name} }}\nspec: {{ {spec} }}\n"
    )
}

/// Fields of a spec that scales `web`.
pub const WEB: &str =
    "scaleTargetRef: { apiVersion: apps/v1, kind: Deployment, name: web }, maxReplicas: 10";

pub fn cluster() -> Cluster {
    let cluster = Cluster::start(ClusterOptions::default()).unwrap();
    cluster.apply(&crd_yaml()).unwrap();
    // The resource is established before it is served: discovery follows shortly after.
    let served = || cluster.kubectl(&["get", "ra", "-o", "name"]).map(Some);
    wait_for("the custom resource to be served", MINUTE, served).unwrap();
    cluster
}

/// The daemon's access to a cluster.
pub struct Flyball {
    pub runtime: tokio::runtime::Runtime,
    pub client: kube::Client,
    pub caches: Caches,
    pub reader: KubernetesReader<MetricsApis>,
}

impl Flyball {
    pub fn connect(cluster: &Cluster) -> Self {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let options = ConnectOptions {
            kubeconfig: Some(cluster.kubeconfig()),
            ..Default::default()
        };
        let client = runtime.block_on(connect(&options)).unwrap();
        Self::with_client(runtime, client)
    }

    pub fn with_client(runtime: tokio::runtime::Runtime, client: kube::Client) -> Self {
        let caches = runtime.block_on(async {
            let caches = Caches::start(client.clone()).await;
            caches.synced().await;
            caches
        });
        let metrics = MetricsApis::new(client.clone(), caches.kinds().clone(), TIMEOUT);
        let reader = KubernetesReader::new(client.clone(), caches.clone(), metrics);
        Self {
            runtime,
            client,
            caches,
            reader,
        }
    }

    /// Returns the autoscaler with this name. `None` if it is not known yet.
    pub fn autoscaler(&self, name: &str) -> Option<Arc<Autoscaler>> {
        self.reader
            .autoscalers()
            .into_iter()
            .find(|autoscaler| &*autoscaler.key.name == name)
    }

    /// Observes the target of the autoscaler with this name.
    pub fn observe(&self, name: &str) -> Option<Observation> {
        let autoscaler = self.autoscaler(name)?;
        self.observe_all(vec![autoscaler]).pop()?.ok()
    }

    /// Observes the targets of autoscalers.
    pub fn observe_all(
        &self,
        autoscalers: Vec<Arc<Autoscaler>>,
    ) -> Vec<Result<Observation, NoRowsLeft>> {
        let question = |autoscaler: Arc<Autoscaler>| {
            let prepared = Prepared::new(&autoscaler, &ReplicaOptions::default());
            Question {
                autoscaler,
                target_metadata: true,
                metric_selectors: prepared.metric_selectors,
            }
        };
        let questions: Vec<_> = autoscalers.into_iter().map(question).collect();
        let observed = self.reader.observe(Timestamp(0), &questions);
        self.runtime.block_on(observed)
    }
}
