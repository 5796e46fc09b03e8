//! One workload in virtual time: its pods, their service and the autoscaler.

use std::sync::Arc;

use flyball_decision::key::ObjectKey;
use flyball_decision::time::Timestamp;
use flyball_nodes::state::{Owner, OwnerKind};
use flyball_replicas::pods::Pod;
use flyball_replicas::ports::{Autoscaler, Scale};
use flyball_replicas::spec::{AutoscalerSpec, ContainerResourceMetric, MetricSpec, ResourceMetric};
use flyball_replicas::status::AutoscalerStatus;

use super::meter::{Meter, Reading, Usage, Window};
use super::nodes::{Shape, WorkloadCounts};
use super::pods::{self, Change, PodEntry, Pods};
use super::service::{Flow, Service};
use super::{MAX_LOAD, Totals};
use crate::formula::Moment;
use crate::load::Load;
use crate::random;
use crate::scenario::{
    AutoscalerTemplate, MetricsSpec, Scenario, ScenarioError, WorkloadSpec, drain_facts,
    is_like_daemon_set, placement_pod,
};
use crate::timeline::{StepSample, Tally, Timeline};

/// A workload.
pub struct Workload {
    spec: Arc<WorkloadSpec>,
    key: ObjectKey,
    seed: u64,
    start: Timestamp,
    load: Load,
    moment: Moment,
    autoscaler: Option<Arc<Autoscaler>>,
    /// Cores per pod that the autoscaler aims at, if it has a cpu target.
    target_cpu: Option<f64>,
    replicas: i32,
    writes: u64,
    pods: Pods,
    service: Service,
    usage: Usage,
    offered: f64,
    meter: Meter,
    surges: Vec<(Timestamp, f64)>,
    /// Until when the API server refuses evictions of its pods.
    evictions_refused_until: Timestamp,
    flow: Flow,
    timeline: Timeline,
    tally: Tally,
}

/// A step of the world.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// Begin.
    pub begin: Timestamp,
    /// End.
    pub end: Timestamp,
    /// Begin in milliseconds since the start.
    pub since_start_ms: i64,
    /// Whether it belongs to the run, and not to the time before it.
    pub recorded: bool,
}

/// Creates all workloads of a scenario.
pub fn all(scenario: &Scenario) -> Result<Vec<Workload>, ScenarioError> {
    let mut workloads = Vec::new();
    for spec in &scenario.workloads {
        let load = Load::new(&spec.load, scenario)?;
        let spec = Arc::new(spec.clone());
        for (index, name) in (0u32..).zip(spec.names()) {
            workloads.push(Workload::new(scenario, &spec, &name, index, load.clone()));
        }
    }
    Ok(workloads)
}

impl Workload {
    fn new(
        scenario: &Scenario,
        spec: &Arc<WorkloadSpec>,
        name: &str,
        index: u32,
        load: Load,
    ) -> Self {
        let key = ObjectKey {
            namespace: spec.namespace.as_str().into(),
            name: name.into(),
        };
        let names = [random::name(&spec.namespace), random::name(name)];
        let seed = random::draw(&[scenario.seed, names[0], names[1]]);
        let mut pods = Pods::new(spec, name, seed, !scenario.node_groups.is_empty());
        let replicas = usize::try_from(spec.replicas).unwrap_or(0);
        pods.create_ready(scenario.start.plus(-3_600_000), replicas);
        let mut workload = Self {
            moment: Moment {
                t: 0.0,
                index: f64::from(index),
                count: f64::from(spec.count.unwrap_or(1)),
                seed,
                ..Moment::default()
            },
            autoscaler: None,
            target_cpu: None,
            replicas: spec.replicas,
            writes: 1,
            service: Service::new(spec),
            usage: Usage::default(),
            offered: 0.0,
            meter: Meter::default(),
            surges: Vec::new(),
            evictions_refused_until: Timestamp(i64::MIN),
            flow: Flow::default(),
            timeline: Timeline::new(scenario),
            tally: Tally::default(),
            spec: Arc::clone(spec),
            key,
            seed,
            start: scenario.start,
            load,
            pods,
        };
        if let Some(template) = &spec.autoscaler {
            workload.set_autoscaler(template);
        }
        workload
    }

    /// Returns namespace and name.
    pub fn key(&self) -> &ObjectKey {
        &self.key
    }

    /// Returns namespace and name as text.
    pub fn name(&self) -> String {
        format!("{}/{}", self.key.namespace, self.key.name)
    }

    /// Returns the spec.
    pub fn spec(&self) -> &WorkloadSpec {
        &self.spec
    }

    /// Returns the seed of its random numbers.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Returns its pods as input of the scheduler.
    pub fn shape(&self) -> Shape {
        let spec = &self.spec;
        let uid: Arc<str> = format!("{:016x}", random::draw(&[self.seed, 6])).into();
        let owner = spec.kind.controller().map(|kind| {
            let name = pods::controller_name(spec.kind, &self.key.name, self.seed);
            Arc::new(Owner {
                uid: Arc::clone(&uid),
                kind: kind.into(),
                name: name.into(),
            })
        });
        Shape {
            pod: placement_pod(spec, &self.key.name),
            uid,
            kind: spec.kind.controller().and_then(OwnerKind::find),
            owner,
            like_daemon_set: is_like_daemon_set(&spec.pod.annotations),
            drain: drain_facts(&spec.pod, spec.kind),
        }
    }

    /// Returns the numbers of its pods that controllers count.
    pub fn counts(&self) -> WorkloadCounts {
        WorkloadCounts {
            desired: self.replicas,
            pods: self.pods.entries().len(),
            ready: self.pods.ready(),
        }
    }

    /// Creates or deletes pods up to its replicas.
    pub fn reconcile(&mut self, now: Timestamp) {
        let replicas = usize::try_from(self.replicas).unwrap_or(0);
        self.pods.reconcile(now, replicas, self.usage);
    }

    /// Returns the changes of its pods that the nodes have not taken yet.
    pub fn take_pod_changes(&mut self) -> Vec<Change> {
        self.pods.take_changes()
    }

    /// Binds a pod to a node; `settled`: long ago.
    pub fn bind_pod(&mut self, now: Timestamp, id: u64, settled: bool) {
        self.pods.bind(now, id, settled, self.usage);
    }

    /// Removes a pod whose node is gone. `drained`: the node was removed on purpose.
    pub fn lose_pod(&mut self, now: Timestamp, id: u64, drained: bool) {
        self.pods.lose(now, id, drained, self.usage);
    }

    /// Deletes a pod for a drain, with a grace period in milliseconds; `None` for its own.
    pub fn evict_pod(&mut self, now: Timestamp, id: u64, grace_ms: Option<i64>) {
        self.pods.evict(now, id, grace_ms, self.usage);
    }

    /// Refuses evictions of its pods until then.
    pub fn refuse_evictions(&mut self, until: Timestamp) {
        self.evictions_refused_until = self.evictions_refused_until.max(until);
    }

    /// Reports whether the API server refuses evictions of its pods now.
    pub fn refuses_evictions(&self, now: Timestamp) -> bool {
        now < self.evictions_refused_until
    }

    /// Advances by a step. The error is the value of a load that is not valid.
    pub fn step(&mut self, step: &Step) -> Result<(), f64> {
        let seconds = step.end.since(step.begin) as f64 / 1000.0;
        // The middle of the step, which has the mean load if it changes evenly.
        let load = self.load_at(step, step.since_start_ms as f64 / 1000.0 + seconds / 2.0)?;
        let ready = self.pods.ready();
        self.flow = self.service.step(load, ready, seconds);
        self.usage.cpu += self.flow.pod_cpu * seconds;
        self.usage.requests += self.flow.pod_requests;
        self.offered += self.flow.offered;
        if step.recorded {
            let sample = self.sample(load, seconds);
            self.tally.add(&sample, self.target_utilization());
            self.timeline.add(step.since_start_ms, &sample);
        }
        Ok(())
    }

    fn load_at(&mut self, step: &Step, t: f64) -> Result<f64, f64> {
        self.moment.t = t;
        let value = self.load.value(&self.moment);
        if !(0.0..=MAX_LOAD).contains(&value) {
            return Err(value);
        }
        let noise = self.spec.noise.map_or(0.0, |noise| {
            noise.amplitude * random::smooth_noise(self.seed, t / noise.period.seconds())
        });
        self.surges.retain(|surge| surge.0 > step.begin);
        let surge: f64 = self.surges.iter().map(|surge| surge.1).product();
        Ok((value * (1.0 + noise) * surge).min(MAX_LOAD))
    }

    fn sample(&self, load: f64, seconds: f64) -> StepSample {
        let ready = self.pods.ready();
        StepSample {
            seconds,
            offered: self.flow.offered,
            served: self.flow.served,
            unserved: self.flow.unserved,
            capacity: self.flow.capacity,
            demand: self.service.demand(load, self.target_cpu),
            desired: self.desired(),
            replicas: self.replicas,
            ready: i32::try_from(ready).unwrap_or(i32::MAX),
            utilization: (ready > 0).then(|| self.flow.pod_cpu / self.spec.pod.requests.cpu),
        }
    }

    fn desired(&self) -> i32 {
        let status = self
            .autoscaler
            .as_ref()
            .map(|autoscaler| &autoscaler.status);
        let decided = status.filter(|status| status.observed_generation.is_some());
        decided.map_or(self.replicas, |status| status.desired_replicas)
    }

    fn target_utilization(&self) -> Option<f64> {
        self.target_cpu.map(|cpu| cpu / self.spec.pod.requests.cpu)
    }

    /// Reads the counters.
    pub fn measure(&mut self, at: Timestamp, metrics: &MetricsSpec) {
        let reading = Reading {
            at,
            usage: self.usage,
            offered: self.offered,
            waiting: self.service.waiting,
            ready: self.pods.ready(),
        };
        let kept = metrics.lag.0 + 2 * metrics.resolution.0;
        self.meter.push(reading, at.plus(-kept));
    }

    /// Returns the window that can be read at `now`.
    pub fn window(&self, now: Timestamp, metrics: &MetricsSpec) -> Option<Window> {
        self.meter.window(now.plus(-metrics.lag.0))
    }

    /// Returns the value of a metric of its own at the end of a window. `None` if it has no
    /// such metric.
    pub fn own_metric(&self, name: &str, window: &Window) -> Option<f64> {
        let mut metrics = self.spec.metrics.iter();
        let metric = metrics.find(|metric| metric.name == name)?;
        let moment = Moment {
            t: window.end.at.since(self.start) as f64 / 1000.0,
            load: window.load(),
            ready: window.end.ready as f64,
            ..self.moment
        };
        Some(metric.formula.value(&moment))
    }

    /// Returns its pods, oldest first.
    pub fn entries(&self) -> &[PodEntry] {
        self.pods.entries()
    }

    /// Returns its pods as the API server shows them.
    pub fn pods(&mut self) -> Arc<[Pod]> {
        self.pods.view()
    }

    /// Returns its autoscaler.
    pub fn autoscaler(&self) -> Option<&Arc<Autoscaler>> {
        self.autoscaler.as_ref()
    }

    /// Returns the scale subresource.
    pub fn scale(&self) -> Scale {
        Scale {
            spec_replicas: self.replicas,
            status_replicas: i32::try_from(self.pods.alive()).unwrap_or(i32::MAX),
            selector: format!("app={}", self.key.name).into(),
            resource_version: self.writes.to_string().into(),
        }
    }

    /// Sets the replicas; `from` is the scale that was read before.
    pub fn set_replicas(&mut self, from: &Scale, replicas: i32) -> Result<(), String> {
        if *from.resource_version != self.writes.to_string() {
            return Err(format!("the scale of {} has been modified", self.name()));
        }
        if replicas < 0 {
            return Err(format!("{replicas} replicas of {}", self.name()));
        }
        self.change_replicas(replicas);
        Ok(())
    }

    /// Sets the replicas for a user.
    pub fn change_replicas(&mut self, replicas: i32) {
        self.tally
            .change(i64::from(replicas) - i64::from(self.replicas));
        self.replicas = replicas;
        self.writes += 1;
    }

    /// Sets the autoscaler's status.
    pub fn set_status(&mut self, status: Arc<AutoscalerStatus>) {
        if let Some(autoscaler) = &mut self.autoscaler {
            Arc::make_mut(autoscaler).status = status;
        }
    }

    /// Creates its autoscaler, or replaces the spec.
    pub fn set_autoscaler(&mut self, template: &AutoscalerTemplate) {
        let spec = template.spec(&self.key.name);
        self.target_cpu = target_cpu(&spec, self.spec.pod.requests.cpu);
        let before = self.autoscaler.take();
        self.autoscaler = Some(Arc::new(Autoscaler {
            key: self.key.clone(),
            uid: format!("{:016x}", random::draw(&[self.seed, 4])).into(),
            generation: before.as_ref().map_or(1, |before| before.generation + 1),
            spec: Arc::new(spec),
            status: before.map_or_else(Arc::default, |before| Arc::clone(&before.status)),
        }));
    }

    /// Multiplies its load until then.
    pub fn surge(&mut self, until: Timestamp, factor: f64) {
        self.surges.push((until, factor));
    }

    /// Kills pods.
    pub fn kill_pods(&mut self, now: Timestamp, count: u32) {
        self.pods.kill(now, count, self.usage);
    }

    /// Adds it to the totals. Returns the sum of its Ready pods' utilization.
    pub fn add_to(&self, totals: &mut Totals) -> f64 {
        let ready = self.pods.ready();
        let seconds = self.tally.last_step_seconds();
        totals.workloads += 1;
        totals.load += self.flow.offered / seconds;
        totals.capacity += ready as f64 * self.service.pod_capacity;
        totals.offered += self.tally.offered;
        totals.unserved += self.tally.unserved;
        totals.replicas += i64::from(self.replicas);
        totals.ready += i64::try_from(ready).unwrap_or(i64::MAX);
        ready as f64 * self.flow.pod_cpu / self.spec.pod.requests.cpu
    }

    /// Returns its key, timeline and sums.
    pub fn history(&self) -> (&ObjectKey, &Timeline, &Tally) {
        (&self.key, &self.timeline, &self.tally)
    }
}

/// Returns the cores per pod that an autoscaler aims at, by its first metric of cpu.
/// `None` if it has no such metric.
fn target_cpu(spec: &AutoscalerSpec, request: f64) -> Option<f64> {
    let metrics = spec.effective_metrics().iter();
    let target = { metrics }.find_map(|metric| match metric {
        MetricSpec::Resource(ResourceMetric { name, target })
        | MetricSpec::ContainerResource(ContainerResourceMetric { name, target, .. })
            if name == "cpu" =>
        {
            Some(target)
        }
        _ => None,
    })?;
    match (target.average_utilization, target.average_value) {
        (Some(percent), _) => Some(f64::from(percent) / 100.0 * request),
        (None, Some(value)) => Some(value.milli.0 as f64 / 1000.0),
        (None, None) => None,
    }
}
