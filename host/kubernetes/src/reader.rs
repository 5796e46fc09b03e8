//! Reads what the core asks for from the caches, the scale subresources and a source of
//! metrics.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use flyball_decision::context::GrantedInput;
use flyball_decision::key::ObjectKey;
use flyball_decision::text;
use flyball_decision::time::Timestamp;
use flyball_replicas::pods::Pod;
use flyball_replicas::ports::{
    Autoscaler, MetricAnswer, MetricQuestion, MetricsSource, NoRowsLeft, Observation,
    ObservationError, Question, Reader, Scale,
};
use flyball_replicas::rows::{self, RowBudget};
use flyball_replicas::selector::Selector;
use flyball_replicas::spec::{CrossVersionObjectReference, Mode};
use kube::Client;

use crate::cache::{Caches, TargetKey};
use crate::fair_requests::{FairRequests, RequestLimits};
use crate::request::CONCURRENCY;
use crate::scale::{Scales, unavailable};
use crate::selectors::{MatchedGroups, Others, Selectors, TooManyComparisons};

/// Limits of reading the targets of a tick. An API of an aggregated server, whose kinds a
/// spec may name, can hang; the namespaces share the places all the same. They weigh what
/// their selectors, labels and annotations take.
const TARGETS: RequestLimits = RequestLimits {
    concurrency: CONCURRENCY,
    per_namespace: CONCURRENCY,
    request: Duration::from_secs(3),
    begin: Duration::from_secs(7),
    weight: 16 << 20,
    weight_of_all: 128 << 20,
};

/// Comparisons of labels with the requirements of selectors for a namespace in one call: a
/// tenth of a second. A selector that requires a label with a value takes a few.
const COMPARISONS: usize = 4_000_000;

/// Maximum size of a selector in a message.
const SELECTOR_BYTES: usize = 256;

/// Maximum size of a list of autoscalers in a message.
const NAMES_BYTES: usize = 512;

/// Reads a Kubernetes cluster.
pub struct KubernetesReader<M> {
    caches: Caches,
    scales: Scales,
    metrics: M,
    selectors: Mutex<Selectors>,
    requests: FairRequests,
}

/// The selector of a target. `None` if it has none or its scale could not be read.
type ParsedSelector = Result<Option<Arc<Selector>>, ObservationError>;

/// The pods of a target, or why they are not known.
type SelectedPods = Result<Arc<[Pod]>, ObservationError>;

/// What the objects of a namespace may take in one call.
#[derive(Default)]
struct Budgets {
    rows: RowBudget,
    /// Comparisons of labels with selectors that are left, by namespace.
    comparisons: BTreeMap<Arc<str>, usize>,
}

/// The data of a target that is read before its pods and metrics.
struct Target {
    scale: Result<Scale, ObservationError>,
    labels: GrantedInput,
    annotations: GrantedInput,
}

impl<M: MetricsSource> KubernetesReader<M> {
    /// Creates a reader of the caches, with metrics from `metrics`.
    #[must_use]
    pub fn new(client: Client, caches: Caches, metrics: M) -> Self {
        Self {
            scales: Scales::new(client, caches.kinds().clone()),
            caches,
            metrics,
            selectors: Mutex::default(),
            requests: FairRequests::new(TARGETS),
        }
    }

    /// Reads each target, at the index of its question, within a time limit.
    async fn targets(&self, questions: &[Question]) -> Vec<Target> {
        let read = |question| self.target(question);
        let read = self
            .requests
            .send_each(
                questions,
                |question| &question.autoscaler.key,
                read,
                Target::weight,
            )
            .await;
        let targets = questions.iter().zip(read).map(|(question, target)| {
            let reference = &question.autoscaler.spec.scale_target_ref;
            target.unwrap_or_else(|undone| Target::unread(reference, &undone.to_string()))
        });
        targets.collect()
    }

    async fn target(&self, question: &Question) -> Target {
        let autoscaler = &question.autoscaler;
        let reference = &autoscaler.spec.scale_target_ref;
        let namespace = &autoscaler.key.namespace;
        let scale = match self.precheck(autoscaler) {
            Some(error) => Err(error),
            None => self.scales.get(namespace, reference).await,
        };
        let (labels, annotations) = if question.target_metadata && scale.is_ok() {
            self.scales.metadata(namespace, reference).await
        } else {
            Default::default()
        };
        Target {
            scale,
            labels,
            annotations,
        }
    }

    /// Returns the error of a target that must not be read.
    fn precheck(&self, autoscaler: &Autoscaler) -> Option<ObservationError> {
        if let Some(problem) = self.caches.autoscalers().problem(&autoscaler.key) {
            return Some(ObservationError {
                class: "invalidSpec",
                message: format!("the spec can't be read: {problem}"),
            });
        }
        self.conflict(autoscaler)
    }

    /// Returns an error if a HorizontalPodAutoscaler scales the target too. The core
    /// finds conflicts with other `ReplicaAutoscaler`s.
    fn conflict(&self, autoscaler: &Autoscaler) -> Option<ObservationError> {
        if autoscaler.spec.mode == Mode::Observe {
            return None;
        }
        let reference = &autoscaler.spec.scale_target_ref;
        let target = TargetKey::new(&autoscaler.key.namespace, reference);
        let hpas = self.caches.hpas();
        let hpa = hpas.of(&target)?;
        Some(ObservationError {
            class: "targetConflict",
            message: format!(
                "{} {} is scaled by HorizontalPodAutoscaler {hpa} too: delete one of the two, \
                 or set mode: Observe here",
                reference.kind, reference.name
            ),
        })
    }

    /// Returns the parsed selector of each target, at the index of its question.
    fn selectors_of(
        &self,
        selectors: &mut Selectors,
        questions: &[Question],
        targets: &[Target],
    ) -> Vec<ParsedSelector> {
        {
            let autoscalers = self.caches.autoscalers();
            selectors.retain(|key| autoscalers.mode(key));
        }
        let of_targets = questions.iter().zip(targets);
        of_targets
            .map(|(question, target)| selector(selectors, &question.autoscaler, target))
            .collect()
    }

    /// Returns the pods of each target, at the index of its question, as far as the rows of
    /// the namespaces suffice.
    fn pods(
        &self,
        selectors: &Selectors,
        questions: &[Question],
        targets: &[Target],
        parsed: &[ParsedSelector],
    ) -> Vec<Result<SelectedPods, NoRowsLeft>> {
        let mut matched = MatchedGroups::default();
        let mut budgets = Budgets::default();
        let selected = questions.iter().zip(targets).zip(parsed);
        selected
            .map(
                |((question, target), parsed)| match (parsed, &target.scale) {
                    (Ok(Some(selector)), Ok(scale)) => {
                        let autoscaler = &question.autoscaler;
                        let others = (selectors, &mut matched);
                        self.select(others, &mut budgets, autoscaler, scale, selector)
                    }
                    (Err(error), _) => Ok(Err(error.clone())),
                    _ => Ok(Ok(Arc::new([]) as Arc<[Pod]>)),
                },
            )
            .collect()
    }

    fn select<'a>(
        &self,
        (selectors, matched): (&'a Selectors, &mut MatchedGroups<'a>),
        budgets: &mut Budgets,
        autoscaler: &Autoscaler,
        scale: &Scale,
        selector: &Selector,
    ) -> Result<SelectedPods, NoRowsLeft> {
        let key = &autoscaler.key;
        let mut pods = self.caches.pods();
        let comparisons = budgets.comparisons.entry(Arc::clone(&key.namespace));
        let comparisons = comparisons.or_insert(COMPARISONS);
        let is_first = *comparisons == COMPARISONS;
        // One object has them in any case. Metrics of pods are selected in the same way.
        let times = rows::of(&autoscaler.spec, 1);
        let own = pods.cost_of_label_sets(&key.namespace, selector) * times;
        if own > *comparisons && !is_first {
            return Err(no_comparisons_left(own));
        }
        *comparisons = comparisons.saturating_sub(own);
        let label_sets = pods.label_sets(&key.namespace, selector);
        if autoscaler.spec.mode == Mode::Active {
            let others = selectors.others(key, &label_sets, matched, comparisons);
            match others.map(|others| ambiguous_selector(key, &scale.selector, &others)) {
                Ok(None) => {}
                Ok(Some(error)) => return Ok(Err(error)),
                Err(TooManyComparisons) if is_first => {
                    return Ok(Err(incomparable(&scale.selector)));
                }
                Err(TooManyComparisons) => return Err(no_comparisons_left(COMPARISONS)),
            }
        }
        let count = pods.count_with(&key.namespace, &label_sets);
        let rows = rows::of(&autoscaler.spec, count);
        let limit = || rows::limit(pods.count(&key.namespace));
        if !budgets.rows.take(&key.namespace, rows, limit) {
            return Err(NoRowsLeft { rows });
        }
        Ok(Ok(pods.select(
            &key.namespace,
            &scale.selector,
            &label_sets,
        )))
    }

    /// Measures the metrics of each target, at the index of its question. Measures none
    /// if the scale or the pods could not be read, the scale has no selector, or there are no
    /// rows left for the object.
    async fn measure(
        &self,
        questions: &[Question],
        targets: &[Target],
        parsed: &[ParsedSelector],
        pods: &[Result<SelectedPods, NoRowsLeft>],
    ) -> Vec<Vec<Result<MetricAnswer, ObservationError>>> {
        let mut asked = Vec::new();
        let mut owners = Vec::new();
        for (index, question) in questions.iter().enumerate() {
            let (Ok(scale), Ok(Ok(selected))) = (&targets[index].scale, &pods[index]) else {
                continue;
            };
            let Ok(Some(pods)) = &parsed[index] else {
                continue;
            };
            let metrics = question.autoscaler.spec.effective_metrics().iter();
            for (metric, metric_selector) in metrics.zip(&*question.metric_selectors) {
                let namespace = &question.autoscaler.key.namespace;
                asked.push(MetricQuestion {
                    namespace,
                    selector: &scale.selector,
                    pods,
                    selected: selected.len(),
                    metric,
                    metric_selector,
                });
                owners.push(index);
            }
        }
        let answers = self.metrics.measure(&asked).await;
        let mut measured: Vec<_> = questions.iter().map(|_| Vec::new()).collect();
        for (owner, answer) in owners.into_iter().zip(answers) {
            measured[owner].push(answer);
        }
        measured
    }

    fn selectors(&self) -> MutexGuard<'_, Selectors> {
        self.selectors
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl<M: MetricsSource> Reader for KubernetesReader<M> {
    fn autoscalers(&self) -> Vec<Arc<Autoscaler>> {
        if self.caches.are_synced() {
            self.caches.autoscalers().all()
        } else {
            Vec::new()
        }
    }

    async fn observe(
        &self,
        _now: Timestamp,
        questions: &[Question],
    ) -> Vec<Result<Observation, NoRowsLeft>> {
        self.caches.synced().await;
        let targets = self.targets(questions).await;
        let (parsed, pods) = {
            let mut selectors = self.selectors();
            let parsed = self.selectors_of(&mut selectors, questions, &targets);
            let pods = self.pods(&selectors, questions, &targets, &parsed);
            (parsed, pods)
        };
        let metrics = self.measure(questions, &targets, &parsed, &pods).await;
        let parts = targets.into_iter().zip(pods).zip(metrics);
        parts
            .map(|((target, pods), metrics)| {
                Ok(Observation {
                    scale: target.scale,
                    pods: pods?,
                    metrics,
                    labels: target.labels,
                    annotations: target.annotations,
                })
            })
            .collect()
    }

    fn row_limit(&self, namespace: &str) -> usize {
        rows::limit(self.caches.pods().count(namespace))
    }

    fn ready_pods(&self, namespace: &str) -> usize {
        self.caches.pods().count_ready(namespace)
    }
}

impl Target {
    /// Returns the bytes of the selector, the labels and the annotations.
    fn weight(&self) -> usize {
        let selector = self.scale.as_ref().map_or(0, |scale| scale.selector.len());
        let texts = self.labels.bytes().saturating_add(self.annotations.bytes());
        texts.saturating_add(selector)
    }

    /// Returns the result for a target that could not be read in time.
    fn unread(target: &CrossVersionObjectReference, problem: &str) -> Self {
        Self {
            scale: Err(unavailable(target, problem)),
            labels: GrantedInput::default(),
            annotations: GrantedInput::default(),
        }
    }
}

/// Returns the parsed selector of a target. `None` if it has no selector or its scale
/// could not be read.
fn selector(selectors: &mut Selectors, autoscaler: &Autoscaler, target: &Target) -> ParsedSelector {
    let Ok(scale) = &target.scale else {
        return Ok(None);
    };
    if scale.selector.is_empty() {
        return Ok(None);
    }
    let spec = &autoscaler.spec;
    let is_off = scale.spec_replicas == 0 && spec.min_replicas != Some(0);
    let parsed = selectors.set(&autoscaler.key, &scale.selector, spec.mode, is_off);
    let parsed = parsed.map_err(|error| ObservationError {
        class: "invalidSelector",
        message: format!(
            "couldn't convert selector into a corresponding internal selector object: {error}"
        ),
    })?;
    Ok(Some(parsed))
}

/// Returns the result for an object for which labels would have to be compared so many times,
/// which counts as rows.
fn no_comparisons_left(comparisons: usize) -> NoRowsLeft {
    NoRowsLeft {
        rows: comparisons / rows::COMPARISONS,
    }
}

/// Returns the error of a target for which it is not known whether others select its pods.
fn incomparable(selector: &str) -> ObservationError {
    let selector = text::within(selector, SELECTOR_BYTES);
    ObservationError {
        class: "ambiguousSelector",
        message: format!(
            "pods by selector {selector} can't be compared with the selectors of all \
             ReplicaAutoscalers of the namespace, which are too many or too long: let them \
             require a label with a value"
        ),
    }
}

/// Returns the error of the target of `key`, whose pods others select too. `None` if there are
/// no others.
#[must_use]
pub fn ambiguous_selector(
    key: &ObjectKey,
    selector: &str,
    others: &Others<'_>,
) -> Option<ObservationError> {
    if others.count == 0 {
        return None;
    }
    let names = std::iter::once(&key.name).chain(others.first.iter().map(|key| &key.name));
    let selector = text::within(selector, SELECTOR_BYTES);
    Some(ObservationError {
        class: "ambiguousSelector",
        message: format!(
            "pods by selector {selector} are controlled by multiple ReplicaAutoscalers: [{}]",
            text::list(names, others.count + 1, " ", NAMES_BYTES)
        ),
    })
}
