//! The half of the daemon that orders nodes, on a real cluster.

use anyhow::Context as _;
use flyball_cloud::aws::{AwsAutoScaling, Connection};
use flyball_cloud::{Cloud, NodePrices};
use flyball_decision::ports::{Clock as _, DecisionPorts};
use flyball_kubernetes::priorities::EXPANDER;
use flyball_kubernetes::{ClusterWatch, KubernetesNodesWriter};
use flyball_nodes::cloud::CloudProvider as _;
use flyball_nodes::control::NodeLoop;
use flyball_nodes::options::ExpanderChoice;
use flyball_nodes::ports::NodesReader as _;
use flyball_nodes::record::NodeDecisionRecord;

use super::Daemon;
use crate::cli::{self, CloudProvider, RunArgs};
use crate::clock::WallClock;
use crate::wiring;

/// The loop over node groups and its inputs.
pub struct Nodes {
    chain: Vec<ExpanderChoice>,
    cluster: ClusterWatch,
    control_loop: NodeLoop<ClusterWatch, Cloud, KubernetesNodesWriter, WallClock>,
}

impl Nodes {
    /// Connects to the cloud.
    pub async fn start(
        cluster: ClusterWatch,
        writer: KubernetesNodesWriter,
        daemon: &Daemon,
        args: &RunArgs,
        ports: DecisionPorts<NodeDecisionRecord>,
    ) -> anyhow::Result<Self> {
        let options = daemon.node_options(args)?;
        wiring::check_configurations(&daemon.registry, &options.expanders)?;
        let chain = options.expanders.clone();
        let cloud = connect(&args.nodes).await?;
        let clock = WallClock::new(daemon.stop.clone(), cluster.waiting());
        Box::pin(log_groups(&cloud, &clock)).await;
        let control_loop = NodeLoop::new(options, cluster.clone(), cloud, writer, clock, ports);
        Ok(Self {
            chain,
            cluster,
            control_loop,
        })
    }

    /// Returns a function that returns the expanders, each with its current
    /// configuration.
    pub fn expanders(&self) -> impl Fn() -> Vec<ExpanderChoice> + Clone + Send + Sync + 'static {
        let (chain, cluster) = (self.chain.clone(), self.cluster.clone());
        move || {
            let mut chain = chain.clone();
            for choice in &mut chain {
                cluster.configure(choice);
            }
            chain
        }
    }

    /// Waits until all objects of the cluster are known.
    pub async fn synced(&self) {
        self.cluster.synced().await;
    }

    /// Orders nodes until the stop.
    pub async fn run(&mut self) {
        // The futures of the cloud's client are large, so they are boxed.
        Box::pin(self.control_loop.run()).await;
    }
}

/// Connects to the cloud that the flags name.
async fn connect(args: &cli::Nodes) -> anyhow::Result<Cloud> {
    match args.cloud_provider {
        CloudProvider::Aws => {
            let connection = Connection {
                region: args.aws_region.clone(),
                ..Connection::default()
            };
            let discovery = &args.node_group_auto_discovery;
            let groups = args.nodes.clone();
            let prices = prices(args)?;
            let cloud = AwsAutoScaling::connect(&connection, groups, discovery).await?;
            Ok(Cloud::Aws(Box::new(cloud.with_prices(prices))))
        }
    }
}

/// Reads the file with the prices of nodes. Without one, there are no prices.
fn prices(args: &cli::Nodes) -> anyhow::Result<NodePrices> {
    let Some(path) = &args.node_prices else {
        return Ok(NodePrices::default());
    };
    let file = path.display();
    let text =
        flyball_files::read_to_string(path).with_context(|| format!("cannot read {file}"))?;
    NodePrices::parse(&text).with_context(|| format!("--node-prices={file}"))
}

/// Returns the namespace of the ConfigMap of the expander `priority`, if that expander is
/// used and has no configuration file.
pub fn priorities(args: &cli::Nodes) -> Option<&str> {
    let is_asked = args
        .planning
        .expander
        .split(',')
        .any(|name| name == EXPANDER);
    let mut files = args.planning.expander_config.iter();
    let has_file = files.any(|config| config.name == EXPANDER);
    (is_asked && !has_file).then_some(&args.namespace)
}

/// Logs the node groups, or the error of the cloud, at the start. A cloud that fails now
/// may recover later.
async fn log_groups(cloud: &Cloud, clock: &WallClock) {
    match cloud.node_groups(clock.now()).await {
        Ok(groups) => {
            for group in &groups {
                let (min, max, target) = (group.min_size, group.max_size, group.target_size);
                tracing::info!(node_group = %group.name, min, max, target, "a node group");
            }
            if groups.is_empty() {
                tracing::warn!("the cloud has none of the node groups");
            }
        }
        Err(error) => tracing::warn!(class = error.class, %error, "the cloud does not answer"),
    }
}
