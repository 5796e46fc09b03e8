//! A case of `vectors/nodes/expander.jsonl.gz`, and what a host would make of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use flyball_decision::expander::{ExpanderInput, OptionColumns, option_state};
use flyball_decision::quantity::Nano;
use flyball_nodes::cluster_configuration::ClusterConfiguration;
use flyball_test_support::vectors;
use serde::Deserialize;
use serde_json::Value;

/// Resources that Cluster Autoscaler takes for GPUs.
const GPUS: [&str; 6] = [
    "nvidia.com/gpu",
    "amd.com/gpu",
    "microsoft.com/directx",
    "gpu.intel.com/xe",
    "gpu.intel.com/i915",
    "habana.ai/gaudi",
];
const UNPRICED: &str = "example.com/unpriced";
const GIB: f64 = (1_u64 << 30) as f64;

type Quantities = BTreeMap<String, String>;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Case {
    pub id: String,
    pub options: Vec<Offer>,
    pub priority_config_map: Option<ConfigMap>,
    pub pricing: Pricing,
    pub gpu_label: String,
    pub fragile: Vec<String>,
    pub degenerate: bool,
    pub expected: Expected,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Offer {
    pub group: String,
    pub exists: bool,
    pub node_count: u32,
    pub pods: Vec<Pods>,
    pub template: Option<Template>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Pods {
    pub count: u32,
    pub requests: Quantities,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Template {
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    pub capacity: Quantities,
    pub allocatable: Quantities,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfigMap {
    pub data: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Pricing {
    pub node_price_per_hour: BTreeMap<String, Option<f64>>,
    pub pod_price_per_core_hour: f64,
    #[serde(rename = "podPricePerGiBHour")]
    pub pod_price_per_gib_hour: f64,
    #[serde(rename = "podPricePerGPUHour")]
    pub pod_price_per_gpu_hour: f64,
    pub cluster_node_count: Option<u32>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Expected {
    pub least_waste: Vec<u32>,
    pub most_pods: Vec<u32>,
    pub least_nodes: Vec<u32>,
    pub priority: Vec<u32>,
    pub price: Vec<u32>,
    pub priority_events: Vec<String>,
    pub price_scores: Vec<Option<String>>,
    pub chains: Vec<Chain>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chain {
    pub expanders: Vec<String>,
    pub error: Option<String>,
    pub best: Option<Vec<u32>>,
}

pub fn all() -> Vec<Case> {
    vectors::read("nodes/expander").unwrap()
}

fn quantity(quantities: &Quantities, resource: &str) -> Nano {
    let text = quantities.get(resource).map_or("0", String::as_str);
    Nano::parse(text).unwrap()
}

fn cpu(quantities: &Quantities) -> i64 {
    quantity(quantities, "cpu").milli()
}

fn memory(quantities: &Quantities) -> i64 {
    quantity(quantities, "memory").units()
}

fn gpu(quantities: &Quantities) -> i64 {
    quantity(quantities, GPUS[0]).milli()
}

impl Case {
    /// Whether the vectors say of it that another answer than upstream's may be right.
    pub fn is_marked(&self, mark: &str, what: &str) -> bool {
        match mark {
            "degenerate" => self.degenerate,
            "fragile" => self.fragile.iter().any(|one| what.contains(one)),
            _ => false,
        }
    }

    /// What an expander gets of it.
    pub fn input(&self) -> ExpanderInput {
        let mut columns = OptionColumns::default();
        self.options
            .iter()
            .for_each(|offer| self.push(&mut columns, offer));
        ExpanderInput {
            options: Arc::new(columns),
            cluster_node_count: self.pricing.cluster_node_count,
        }
    }

    fn push(&self, columns: &mut OptionColumns, offer: &Offer) {
        let requested = |of: fn(&Quantities) -> i64| {
            let each = offer.pods.iter();
            each.map(|pods| i64::from(pods.count) * of(&pods.requests))
                .sum()
        };
        let none = (Quantities::new(), Quantities::new());
        let (capacity, allocatable) = match &offer.template {
            Some(template) => (&template.capacity, &template.allocatable),
            None => (&none.0, &none.1),
        };
        columns.node_group.push(offer.group.as_str().into());
        columns.state.push(self.state(offer));
        columns.node_count.push(offer.node_count);
        columns
            .pod_count
            .push(offer.pods.iter().map(|pods| pods.count).sum());
        columns.requested_cpu.push(requested(cpu));
        columns.requested_memory.push(requested(memory));
        columns.requested_gpu.push(requested(gpu));
        columns.capacity_cpu.push(cpu(capacity));
        columns.capacity_memory.push(memory(capacity));
        columns.capacity_gpu.push(gpu(capacity));
        columns.allocatable_cpu.push(cpu(allocatable));
        columns.allocatable_memory.push(memory(allocatable));
        columns.allocatable_gpu.push(gpu(allocatable));
        let price = self.pricing.node_price_per_hour.get(&offer.group);
        columns.node_price.push(price.copied().flatten());
        columns.pod_price.push(self.pod_price(offer));
        columns.current_size.push(0);
        columns.min_size.push(0);
        columns.max_size.push(1_000);
    }

    fn state(&self, offer: &Offer) -> u32 {
        let template = offer.template.as_ref();
        let has_gpu = template.is_some_and(|template| {
            let labelled = template.labels.contains_key(&self.gpu_label);
            let there = |gpu: &&str| quantity(&template.allocatable, gpu).milli() > 0;
            labelled || GPUS.iter().any(there)
        });
        let bit = |bit: u32, is: bool| if is { bit } else { 0 };
        bit(option_state::EXISTS, offer.exists)
            | bit(option_state::HAS_TEMPLATE, template.is_some())
            | bit(option_state::HAS_GPU, has_gpu)
    }

    /// Pod by pod, in their order.
    fn pod_price(&self, offer: &Offer) -> Option<f64> {
        let prices = &self.pricing;
        let mut price = 0.0;
        for pods in &offer.pods {
            if pods.requests.contains_key(UNPRICED) {
                return None;
            }
            let one = cpu(&pods.requests) as f64 / 1000.0 * prices.pod_price_per_core_hour
                + memory(&pods.requests) as f64 / GIB * prices.pod_price_per_gib_hour
                + quantity(&pods.requests, GPUS[0]).units() as f64 * prices.pod_price_per_gpu_hour;
            (0..pods.count).for_each(|_| price += one);
        }
        Some(price)
    }

    /// The configuration that an operator would give an expander.
    pub fn configuration(&self, expander: &str) -> String {
        match expander {
            "priority" => {
                let data = self.priority_config_map.as_ref();
                let data = data.map(|map| map.data.clone().unwrap_or_default());
                let configuration = ClusterConfiguration::of_expander(expander, "kube-system");
                let read = configuration.unwrap().read(None, data.as_ref());
                read.text.to_string()
            }
            "price" => {
                let small = 0.5 * self.pricing.pod_price_per_core_hour
                    + (500 << 20) as f64 / GIB * self.pricing.pod_price_per_gib_hour;
                serde_json::json!({ "stabilizationPrice": small }).to_string()
            }
            _ => Value::Object(serde_json::Map::new()).to_string(),
        }
    }
}
