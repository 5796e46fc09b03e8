//! The half of the daemon that orders nodes, on a real cluster.

use std::time::Duration;

use anyhow::Context as _;
use flyball_cloud::aws::{AwsAutoScaling, Connection};
use flyball_cloud::{Cloud, NodePrices};
use flyball_decision::ports::{Clock as _, DecisionPorts};
use flyball_kubernetes::{ClusterWatch, KubernetesNodesWriter};
use flyball_nodes::cloud::CloudProvider as _;
use flyball_nodes::cluster_configuration::ClusterConfiguration;
use flyball_nodes::control::NodeLoop;
use flyball_nodes::options::ExpanderChoice;
use flyball_nodes::ports::NodesReader as _;
use flyball_nodes::record::NodeDecisionRecord;
use flyball_nodes::scale_down::ScaleDownMode;

use super::Daemon;
use crate::cli::{self, CloudProvider, RunArgs};
use crate::clock::WallClock;
use crate::wiring;

/// Time between two looks at whether a list is complete.
const LISTING_POLL: Duration = Duration::from_millis(50);

/// The loop over node groups and its inputs.
pub struct Nodes {
    /// The expanders.
    chain: Vec<ExpanderChoice>,
    /// The scale-down policies, if nodes are scaled down.
    judges: Vec<ExpanderChoice>,
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
        let judges = match options.scale_down.mode {
            ScaleDownMode::Off => Vec::new(),
            _ => options.scale_down.policies.clone(),
        };
        wiring::check_configurations(&daemon.registry, &judges)?;
        for (flag, why) in &args.nodes.without_effect.given {
            tracing::info!("--{flag} has no effect: {why}");
        }
        let chain = options.expanders.clone();
        let cloud = connect(&args.nodes).await?;
        let clock = WallClock::new(daemon.stop.clone(), args.clock_offset, cluster.waiting());
        // A daemon that follows lists the groups too.
        Box::pin(log_groups(&cloud, &clock)).await;
        let leadership = writer.leadership();
        let cloud = cloud.while_leading(move || leadership.leads());
        let control_loop = NodeLoop::new(options, cluster.clone(), cloud, writer, clock, ports);
        Ok(Self {
            chain,
            judges,
            cluster,
            control_loop,
        })
    }

    /// Returns a function that returns the policies of this half, each with its current
    /// configuration.
    pub fn policies(&self) -> impl Fn() -> Vec<ExpanderChoice> + Clone + Send + Sync + 'static {
        let (chain, cluster) = (self.chain.clone(), self.cluster.clone());
        let judges = self.judges.clone();
        move || {
            let mut chain = chain.clone();
            for choice in &mut chain {
                cluster.configure(choice);
            }
            chain.extend(judges.iter().cloned());
            chain
        }
    }

    /// Waits until all objects of the cluster are known.
    pub async fn synced(&self) {
        self.cluster.synced().await;
    }

    /// Waits until all objects are listed with the annotations that the active policies
    /// want, so that the first pass need not do without those policies.
    pub async fn annotations_listed(&self) {
        while !self.control_loop.want_annotations() {
            tokio::time::sleep(LISTING_POLL).await;
        }
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

/// Returns the ConfigMaps that configure expanders of the chain: of those without a
/// configuration file.
pub fn cluster_configurations(args: &cli::Nodes) -> Vec<ClusterConfiguration> {
    let files = &args.planning.expander_config;
    let chain = args.planning.expander.split(',');
    chain
        .filter(|expander| files.iter().all(|file| file.name != **expander))
        .filter_map(|expander| ClusterConfiguration::of_expander(expander, &args.namespace))
        .collect()
}

/// Logs the node groups, or the error of the cloud, at the start. A cloud that fails now
/// may recover later.
async fn log_groups(cloud: &Cloud, clock: &WallClock) {
    match cloud.node_groups(clock.now()).await {
        Ok(groups) => {
            for group in &groups {
                let (min, max, target_size) = (group.min_size, group.max_size, group.target_size);
                tracing::info!(node_group = %group.name, min, max, target_size, "a node group");
            }
            if groups.is_empty() {
                tracing::warn!("the cloud has none of the node groups");
            }
        }
        Err(error) => tracing::warn!(class = error.class, %error, "the cloud does not answer"),
    }
}
