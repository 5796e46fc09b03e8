//! Inputs of expanders for native tests, put together in a few lines.

use crate::bindings::expander::exports::flyball::policy::expander as wire;
use crate::expander::{Expander, Purchase, Resources, bits};
use crate::given::{Given, build_given};
use crate::rows::text_row;

/// Puts an [`Expander`] together.
#[derive(Clone, Debug)]
#[must_use]
pub struct ExpanderBuilder<C, S>(Expander<C, S>);

impl<C: Default, S: Default> Expander<C, S> {
    /// Starts an input for a native test: no option, and a cluster of ten nodes.
    pub fn build() -> ExpanderBuilder<C, S> {
        ExpanderBuilder::new()
    }
}

/// An option for an [`ExpanderBuilder`]: one node more of a group that exists and
/// has no node yet, for one pod, unless said otherwise.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct OptionSpec {
    node_group: String,
    exists: bool,
    gpu: bool,
    node_count: u32,
    pods: u32,
    requested: Resources,
    template: Option<(Resources, Resources)>,
    node_price: Option<f64>,
    pod_price: Option<f64>,
    sizes: (u32, u32, u32),
    purchase: Option<Purchase>,
    zone: Option<String>,
    instance_type: Option<String>,
    parts: Vec<(String, u32)>,
}

impl<C: Default, S: Default> ExpanderBuilder<C, S> {
    fn new() -> Self {
        let options = wire::Options {
            node_group: Vec::new(),
            state: Vec::new(),
            node_count: Vec::new(),
            pod_count: Vec::new(),
            requested_cpu: Vec::new(),
            requested_memory: Vec::new(),
            requested_gpu: Vec::new(),
            capacity_cpu: Vec::new(),
            capacity_memory: Vec::new(),
            capacity_gpu: Vec::new(),
            allocatable_cpu: Vec::new(),
            allocatable_memory: Vec::new(),
            allocatable_gpu: Vec::new(),
            node_price: Vec::new(),
            pod_price: Vec::new(),
            current_size: Vec::new(),
            min_size: Vec::new(),
            max_size: Vec::new(),
            part_option: Vec::new(),
            zone: Vec::new(),
            instance_type: Vec::new(),
            texts: Vec::new(),
            part_node_group: Vec::new(),
            part_node_count: Vec::new(),
        };
        let input = wire::Input {
            options,
            cluster_node_count: Some(10),
        };
        Self(Expander {
            input,
            given: Given::default(),
        })
    }
}

impl<C, S> ExpanderBuilder<C, S> {
    build_given!();

    /// Sets how many nodes the cluster has. `None` if that is not known.
    pub fn cluster_node_count(mut self, count: Option<u32>) -> Self {
        self.0.input.cluster_node_count = count;
        self
    }

    /// An option, in the next row.
    pub fn option(mut self, option: OptionSpec) -> Self {
        let columns = &mut self.0.input.options;
        let known = |bit: u32, is: bool| if is { bit } else { 0 };
        let state = known(bits::EXISTS, option.exists)
            | known(bits::HAS_GPU, option.gpu)
            | known(bits::HAS_TEMPLATE, option.template.is_some());
        let state = state
            | match option.purchase {
                Some(Purchase::Spot) => bits::SPOT,
                Some(Purchase::OnDemand) => bits::ON_DEMAND,
                None => 0,
            };
        let (capacity, allocatable) = option.template.unwrap_or_default();
        let row = u32::try_from(columns.node_group.len()).unwrap_or(u32::MAX);
        for (group, nodes) in option.parts {
            columns.part_option.push(row);
            columns.part_node_group.push(group);
            columns.part_node_count.push(nodes);
        }
        let zone = text_row(&mut columns.texts, option.zone.as_deref());
        columns.zone.push(zone);
        let instance_type = text_row(&mut columns.texts, option.instance_type.as_deref());
        columns.instance_type.push(instance_type);
        columns.node_group.push(option.node_group);
        columns.state.push(state);
        columns.node_count.push(option.node_count);
        columns.pod_count.push(option.pods);
        columns.requested_cpu.push(option.requested.cpu_milli);
        columns.requested_memory.push(option.requested.memory_bytes);
        columns.requested_gpu.push(option.requested.gpu_milli);
        columns.capacity_cpu.push(capacity.cpu_milli);
        columns.capacity_memory.push(capacity.memory_bytes);
        columns.capacity_gpu.push(capacity.gpu_milli);
        columns.allocatable_cpu.push(allocatable.cpu_milli);
        columns.allocatable_memory.push(allocatable.memory_bytes);
        columns.allocatable_gpu.push(allocatable.gpu_milli);
        columns
            .node_price
            .push(option.node_price.unwrap_or(f64::NAN));
        columns.pod_price.push(option.pod_price.unwrap_or(f64::NAN));
        let (current, min, max) = option.sizes;
        columns.current_size.push(current);
        columns.min_size.push(min);
        columns.max_size.push(max);
        self
    }

    /// The input.
    #[must_use]
    pub fn done(self) -> Expander<C, S> {
        self.0
    }
}

impl Resources {
    /// So many cores and GiB, and no GPU.
    #[must_use]
    pub const fn of(cores: i64, gib: i64) -> Self {
        Self {
            cpu_milli: cores * 1000,
            memory_bytes: gib << 30,
            gpu_milli: 0,
        }
    }

    /// The same with so many GPUs.
    #[must_use]
    pub const fn with_gpus(mut self, gpus: i64) -> Self {
        self.gpu_milli = gpus * 1000;
        self
    }
}

impl OptionSpec {
    /// One node more of that group.
    pub fn group(name: &str) -> Self {
        Self {
            node_group: name.into(),
            exists: true,
            gpu: false,
            node_count: 1,
            pods: 1,
            requested: Resources::default(),
            template: None,
            node_price: None,
            pod_price: None,
            sizes: (0, 0, 10),
            purchase: None,
            zone: None,
            instance_type: None,
            parts: Vec::new(),
        }
    }

    /// So many nodes more of each of several groups, which have different topology
    /// domains. The option is named after the first.
    pub fn groups(parts: &[(&str, u32)]) -> Self {
        let (first, _) = parts.first().copied().unwrap_or_default();
        let parts = parts.iter();
        let mut option = Self::group(first);
        option.parts = parts.map(|&(group, nodes)| (group.into(), nodes)).collect();
        option.node_count = option.parts.iter().map(|(_, nodes)| nodes).sum();
        option
    }

    /// So many nodes.
    pub fn nodes(mut self, count: u32) -> Self {
        self.node_count = count;
        self
    }

    /// For so many pods that request this together.
    pub fn pods(mut self, count: u32, requested: Resources) -> Self {
        (self.pods, self.requested) = (count, requested);
        self
    }

    /// What a node would be like: all of its capacity can be requested.
    pub fn node(self, capacity: Resources) -> Self {
        self.node_with(capacity, capacity)
    }

    /// What a node would be like: its capacity, and what of it can be requested.
    pub fn node_with(mut self, capacity: Resources, allocatable: Resources) -> Self {
        self.gpu = capacity.gpu_milli > 0;
        self.template = Some((capacity, allocatable));
        self
    }

    /// Prices for an hour, of one node and of the pods.
    pub fn prices(mut self, node: f64, pods: f64) -> Self {
        (self.node_price, self.pod_price) = (Some(node), Some(pods));
        self
    }

    /// Nodes that the group has, and its bounds.
    pub fn sizes(mut self, current: u32, min: u32, max: u32) -> Self {
        self.sizes = (current, min, max);
        self
    }

    /// How its nodes are bought.
    pub fn bought(mut self, purchase: Purchase) -> Self {
        self.purchase = Some(purchase);
        self
    }

    /// Zone of its nodes.
    pub fn zone(mut self, zone: impl Into<String>) -> Self {
        self.zone = Some(zone.into());
        self
    }

    /// Instance type of its nodes.
    pub fn instance_type(mut self, instance_type: impl Into<String>) -> Self {
        self.instance_type = Some(instance_type.into());
        self
    }

    /// The group would have to be created.
    pub fn not_there_yet(mut self) -> Self {
        self.exists = false;
        self
    }
}
