//! Resources of pods and nodes: cpu, memory, and extended resources such as GPUs.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

use super::deserialize_quantity;

/// Requests of a pod.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "Amounts")]
pub struct Resources {
    /// Cores (100m).
    pub cpu: f64,
    /// Bytes (128Mi).
    pub memory: f64,
    /// Any other resource by its name in Kubernetes, such as `nvidia.com/gpu: 1`, in whole
    /// units (0). It needs nodes.
    pub extended: BTreeMap<String, i64>,
}

impl Default for Resources {
    fn default() -> Self {
        Self {
            cpu: 0.1,
            memory: 134_217_728.0,
            extended: BTreeMap::new(),
        }
    }
}

/// Resources of a node.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "Amounts")]
pub struct NodeResources {
    /// Cores (required).
    pub cpu: f64,
    /// Bytes (required).
    pub memory: f64,
    /// Pods (110).
    pub pods: u32,
    /// Any other resource by its name in Kubernetes, such as `nvidia.com/gpu: 8`, in whole
    /// units (0).
    pub extended: BTreeMap<String, i64>,
}

/// Pods of a node that names no number.
const PODS: u32 = 110;

/// Amounts by the names of resources, as they are written.
#[derive(Deserialize)]
struct Amounts(BTreeMap<String, Amount>);

struct Amount(f64);

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserialize_quantity(deserializer).map(Self)
    }
}

impl Amounts {
    fn take(&mut self, name: &str) -> Option<f64> {
        self.0.remove(name).map(|Amount(amount)| amount)
    }

    /// Returns what is left as extended resources; `known` are the others.
    fn extended(self, known: &str) -> Result<BTreeMap<String, i64>, String> {
        let amounts = self.0.into_iter().map(|(name, Amount(amount))| {
            let is_extended =
                name.contains('/') || name.starts_with("hugepages-") || name == "ephemeral-storage";
            if !is_extended {
                return Err(format!(
                    "unknown resource `{name}`: write {known}, or the name of an extended resource \
                     such as nvidia.com/gpu"
                ));
            }
            let is_whole = amount >= 0.0 && amount.fract() == 0.0;
            if !is_whole {
                return Err(format!("{name}: {amount} is not a whole number of units"));
            }
            // The conversion from float saturates.
            Ok((name, amount as i64))
        });
        // A resource of which there is none is as one that is not named.
        let is_some = |amount: &Result<(String, i64), String>| !matches!(amount, Ok((_, 0)));
        amounts.filter(is_some).collect()
    }
}

impl TryFrom<Amounts> for Resources {
    type Error = String;

    fn try_from(mut amounts: Amounts) -> Result<Self, String> {
        let default = Self::default();
        Ok(Self {
            cpu: amounts.take("cpu").unwrap_or(default.cpu),
            memory: amounts.take("memory").unwrap_or(default.memory),
            extended: amounts.extended("cpu, memory")?,
        })
    }
}

impl TryFrom<Amounts> for NodeResources {
    type Error = String;

    fn try_from(mut amounts: Amounts) -> Result<Self, String> {
        let mut required = |name: &str| {
            let amount = amounts.take(name);
            amount.ok_or_else(|| format!("missing field `{name}`"))
        };
        let (cpu, memory) = (required("cpu")?, required("memory")?);
        let pods = match amounts.take("pods") {
            None => PODS,
            Some(pods) if pods.fract() == 0.0 && (0.0..=1e9).contains(&pods) => pods as u32,
            Some(pods) => return Err(format!("pods: {pods} is not a number of pods")),
        };
        Ok(Self {
            cpu,
            memory,
            pods,
            extended: amounts.extended("cpu, memory, pods")?,
        })
    }
}
