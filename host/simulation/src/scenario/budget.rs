//! PodDisruptionBudgets of a scenario, with Kubernetes' fields.

use serde::Deserialize;

use super::scheduling::LabelSelector;

/// A PodDisruptionBudget. Its controller counts the pods of workloads.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BudgetSpec {
    /// Name (required).
    pub name: String,
    /// Its namespace (`default`).
    #[serde(default = "default_namespace")]
    pub namespace: String,
    /// The pods; left out: no pods. Pods have the label `app: NAME` of their workload.
    #[serde(default)]
    pub selector: Option<LabelSelector>,
    /// Number or percentage of the pods that must stay available, such as `1` or `50%`;
    /// left out: `maxUnavailable` counts. One of the two is required.
    #[serde(default)]
    pub min_available: Option<CountOrPercent>,
    /// Number or percentage of the pods that may be unavailable, such as `1` or `50%`; left
    /// out: `minAvailable` counts.
    #[serde(default)]
    pub max_unavailable: Option<CountOrPercent>,
    /// When pods that are not Ready may be evicted (`IfHealthyBudget`).
    #[serde(default)]
    pub unhealthy_pod_eviction_policy: UnhealthyPodEvictionPolicy,
}

/// When pods that run and are not Ready may be evicted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum UnhealthyPodEvictionPolicy {
    /// If enough other pods are available.
    #[default]
    IfHealthyBudget,
    /// Always.
    AlwaysAllow,
}

/// A number such as `2`, or a percentage such as `50%`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "CountOrText")]
pub enum CountOrPercent {
    /// A number.
    Count(u32),
    /// A percentage.
    Percent(u32),
}

impl CountOrPercent {
    /// Returns the number for a total; a percentage is rounded up, as in Kubernetes.
    #[must_use]
    pub fn of(self, total: u32) -> u32 {
        match self {
            Self::Count(count) => count,
            Self::Percent(percent) => {
                let part = (u64::from(total) * u64::from(percent)).div_ceil(100);
                u32::try_from(part).unwrap_or(u32::MAX)
            }
        }
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum CountOrText {
    Count(u32),
    Text(String),
}

impl TryFrom<CountOrText> for CountOrPercent {
    type Error = String;

    fn try_from(value: CountOrText) -> Result<Self, String> {
        match value {
            CountOrText::Count(count) => Ok(Self::Count(count)),
            CountOrText::Text(text) => {
                let percent = text.strip_suffix('%');
                let percent = percent.and_then(|number| number.parse().ok());
                percent
                    .map(Self::Percent)
                    .ok_or_else(|| format!("{text:?} is neither a number nor a percentage"))
            }
        }
    }
}

fn default_namespace() -> String {
    "default".to_owned()
}
