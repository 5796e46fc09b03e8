//! What an expander ranks.

use crate::bindings::expander::exports::flyball::policy::expander as wire;
use crate::given::{Given, NoConfig, NoState, show_given};
use crate::rows::{cell, figure, text};

/// Bits of the column `state`.
pub(crate) mod bits {
    pub(crate) const EXISTS: u32 = 1;
    pub(crate) const HAS_TEMPLATE: u32 = 2;
    pub(crate) const HAS_GPU: u32 = 4;
    pub(crate) const SPOT: u32 = 8;
    pub(crate) const ON_DEMAND: u32 = 16;
}

/// Bytes of a GiB.
const GIB: f64 = (1_u64 << 30) as f64;

/// Which node group should grow? This is all there is to know: the answer is a
/// function of it, and of nothing else.
#[derive(Clone, Debug, PartialEq)]
pub struct Expander<C = NoConfig, S = NoState> {
    pub(crate) input: wire::Input,
    pub(crate) given: Given<C, S>,
}

impl<C, S> Expander<C, S> {
    show_given!();

    /// The options, a row each: some nodes more of one node group.
    pub fn options(&self) -> impl ExactSizeIterator<Item = ScaleOption<'_>> + Clone {
        let columns = &self.input.options;
        (0..columns.node_group.len()).map(move |row| ScaleOption { columns, row })
    }

    /// The option in that row.
    #[must_use]
    pub fn option(&self, row: usize) -> Option<ScaleOption<'_>> {
        self.options().nth(row)
    }

    /// Names of the node groups in these rows, as a sentence has them: the first
    /// few options, and how many more there are. Groups of one option are joined: `a + b`.
    #[must_use]
    pub fn names(&self, rows: &[usize]) -> String {
        const NAMED: usize = 5;
        let (named, more) = match rows.len() {
            count if count <= NAMED => (count, 0),
            count => (NAMED - 1, count - NAMED + 1),
        };
        let mut text = String::new();
        for (position, &row) in rows[..named].iter().enumerate() {
            text += match position {
                0 => "",
                last if last + 1 == named && more == 0 => " and ",
                _ => ", ",
            };
            match self.option(row) {
                Some(option) => text += &option.label(),
                None => text += "?",
            }
        }
        if more > 0 {
            text += &format!(" and {more} more");
        }
        text
    }

    /// Nodes in the cluster, if that is known.
    #[must_use]
    pub const fn cluster_node_count(&self) -> Option<u32> {
        self.input.cluster_node_count
    }

    /// The input as the contract has it, columns and all.
    #[must_use]
    pub const fn columns(&self) -> &wire::Input {
        &self.input
    }
}

/// A way to place pending pods: some nodes more of one node group, or of one node group in
/// each of several topology domains ([`ScaleOption::parts`]). Of the latter, counts,
/// requests and sizes are sums over the groups; what a node has and its price are means
/// over the nodes.
#[derive(Clone, Copy, Debug)]
pub struct ScaleOption<'a> {
    columns: &'a wire::Options,
    row: usize,
}

/// Quantities of the resources that nodes are chosen by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    /// Cpu, in milli.
    pub cpu_milli: i64,
    /// Memory, in bytes.
    pub memory_bytes: i64,
    /// GPUs, in milli.
    pub gpu_milli: i64,
}

/// How nodes are bought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purchase {
    /// Spot instances, which the cloud may take back.
    Spot,
    /// On-demand instances.
    OnDemand,
}

impl Purchase {
    /// Returns what two bits of a column say. `None` if they say nothing.
    pub(crate) const fn of(spot: bool, on_demand: bool) -> Option<Self> {
        match (spot, on_demand) {
            (true, false) => Some(Self::Spot),
            (false, true) => Some(Self::OnDemand),
            _ => None,
        }
    }
}

impl Resources {
    /// Cpu, in cores.
    #[must_use]
    pub fn cores(self) -> f64 {
        self.cpu_milli as f64 / 1000.0
    }

    /// Memory, in GiB.
    #[must_use]
    pub fn gib(self) -> f64 {
        self.memory_bytes as f64 / GIB
    }

    /// GPUs.
    #[must_use]
    pub fn gpus(self) -> f64 {
        self.gpu_milli as f64 / 1000.0
    }
}

impl<'a> ScaleOption<'a> {
    /// Its row: what a ranking names it by.
    #[must_use]
    pub const fn row(self) -> usize {
        self.row
    }

    /// The node groups that would grow, and by how many nodes each.
    #[must_use]
    pub fn parts(self) -> Vec<(&'a str, u32)> {
        let columns = self.columns;
        let rows = columns.part_option.iter().enumerate();
        let rows = rows.filter(|(_, option)| usize::try_from(**option) == Ok(self.row));
        let parts: Vec<_> = rows
            .filter_map(|(at, _)| {
                let group = columns.part_node_group.get(at)?.as_str();
                Some((group, columns.part_node_count.get(at).copied()?))
            })
            .collect();
        if parts.is_empty() {
            return vec![(self.node_group(), self.node_count())];
        }
        parts
    }

    /// Names of the node groups that would grow, as a sentence has them: `a + b`.
    #[must_use]
    pub fn label(self) -> String {
        let mut text = String::new();
        for (group, _) in self.parts() {
            if !text.is_empty() {
                text += " + ";
            }
            text += group;
        }
        text
    }

    /// Name of the node group that would grow; of several, of the first.
    #[must_use]
    pub fn node_group(self) -> &'a str {
        let names = self.columns.node_group.get(self.row);
        names.map_or("", String::as_str)
    }

    /// Whether the group is there already; else it would be created.
    #[must_use]
    pub fn exists(self) -> bool {
        self.has(bits::EXISTS)
    }

    /// Whether there are GPUs on its nodes.
    #[must_use]
    pub fn has_gpu(self) -> bool {
        self.has(bits::HAS_GPU)
    }

    /// How its nodes are bought. `None` if that is not known, or it has several ways.
    #[must_use]
    pub fn purchase(self) -> Option<Purchase> {
        Purchase::of(self.has(bits::SPOT), self.has(bits::ON_DEMAND))
    }

    /// Zone of its nodes. `None` if that is not known, or it has several.
    #[must_use]
    pub fn zone(self) -> Option<&'a str> {
        text(&self.columns.texts, &self.columns.zone, self.row)
    }

    /// Instance type of its nodes. `None` if that is not known, or it has several.
    #[must_use]
    pub fn instance_type(self) -> Option<&'a str> {
        text(&self.columns.texts, &self.columns.instance_type, self.row)
    }

    /// Nodes to add.
    #[must_use]
    pub fn node_count(self) -> u32 {
        cell(&self.columns.node_count, self.row)
    }

    /// Pods that would find a place: on what is added, or elsewhere once pods run on it.
    #[must_use]
    pub fn pods(self) -> u32 {
        cell(&self.columns.pod_count, self.row)
    }

    /// What the pods on these nodes request together.
    #[must_use]
    pub fn requested(self) -> Resources {
        Resources {
            cpu_milli: cell(&self.columns.requested_cpu, self.row),
            memory_bytes: cell(&self.columns.requested_memory, self.row),
            gpu_milli: cell(&self.columns.requested_gpu, self.row),
        }
    }

    /// Capacity of one node. `None` if the shape of a new node is not known.
    #[must_use]
    pub fn capacity(self) -> Option<Resources> {
        self.has(bits::HAS_TEMPLATE).then(|| Resources {
            cpu_milli: cell(&self.columns.capacity_cpu, self.row),
            memory_bytes: cell(&self.columns.capacity_memory, self.row),
            gpu_milli: cell(&self.columns.capacity_gpu, self.row),
        })
    }

    /// What pods may request of one node. `None` if the shape of a new node is not known.
    #[must_use]
    pub fn allocatable(self) -> Option<Resources> {
        self.has(bits::HAS_TEMPLATE).then(|| Resources {
            cpu_milli: cell(&self.columns.allocatable_cpu, self.row),
            memory_bytes: cell(&self.columns.allocatable_memory, self.row),
            gpu_milli: cell(&self.columns.allocatable_gpu, self.row),
        })
    }

    /// Price of one node for an hour, if the host knows it.
    #[must_use]
    pub fn node_price(self) -> Option<f64> {
        figure(&self.columns.node_price, self.row)
    }

    /// Price of the option's pods for an hour, if the host knows it.
    #[must_use]
    pub fn pod_price(self) -> Option<f64> {
        figure(&self.columns.pod_price, self.row)
    }

    /// Nodes that the group has now.
    #[must_use]
    pub fn current_size(self) -> u32 {
        cell(&self.columns.current_size, self.row)
    }

    /// Fewest nodes of the group. The host enforces this bound.
    #[must_use]
    pub fn min_size(self) -> u32 {
        cell(&self.columns.min_size, self.row)
    }

    /// Most nodes of the group. The host enforces this bound.
    #[must_use]
    pub fn max_size(self) -> u32 {
        cell(&self.columns.max_size, self.row)
    }

    fn has(self, bit: u32) -> bool {
        cell(&self.columns.state, self.row) & bit != 0
    }
}
