//! The service of a workload's pods: load distributed evenly over the Ready pods, cpu
//! usage from load, saturation at the limit, a queue, and unserved requests.

use crate::scenario::WorkloadSpec;

/// The service of a workload.
#[derive(Clone, Copy, Debug)]
pub struct Service {
    cpu_per_request: f64,
    base_cpu: f64,
    /// Requests per second that a pod can serve.
    pub pod_capacity: f64,
    /// Length of the queue in seconds at full capacity.
    queue: f64,
    /// Number of requests in the queue.
    pub waiting: f64,
}

/// Requests and usage of a service in a step.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Flow {
    /// Number of requests.
    pub offered: f64,
    /// Number of requests that were served.
    pub served: f64,
    /// Number of requests that were not served.
    pub unserved: f64,
    /// Number of requests that could have been served.
    pub capacity: f64,
    /// Cores that each Ready pod used.
    pub pod_cpu: f64,
    /// Requests that each Ready pod served.
    pub pod_requests: f64,
}

impl Service {
    /// Creates a service with an empty queue.
    pub fn new(spec: &WorkloadSpec) -> Self {
        Self {
            cpu_per_request: spec.service.cpu_per_request,
            base_cpu: spec.service.base_cpu,
            pod_capacity: spec.pod_capacity(),
            queue: spec.service.queue.seconds(),
            waiting: 0.0,
        }
    }

    /// Serves for `seconds` at `load` requests per second with `ready` pods.
    pub fn step(&mut self, load: f64, ready: usize, seconds: f64) -> Flow {
        let pods = ready as f64;
        let offered = load * seconds;
        let capacity = pods * self.pod_capacity * seconds;
        let served = (self.waiting + offered).min(capacity);
        let left = (self.waiting + offered - served).max(0.0);
        self.waiting = left.min(pods * self.pod_capacity * self.queue);
        let pod_requests = if ready == 0 { 0.0 } else { served / pods };
        let busy = pod_requests * self.cpu_per_request / seconds;
        Flow {
            offered,
            served,
            unserved: left - self.waiting,
            capacity,
            pod_cpu: if ready == 0 {
                0.0
            } else {
                self.base_cpu + busy
            },
            pod_requests,
        }
    }

    /// Returns how many pods serve `load` requests per second with `cpu` cores each, or
    /// with as many as they can use if `cpu` is `None`.
    pub fn demand(&self, load: f64, cpu: Option<f64>) -> f64 {
        let room = cpu.map(|cpu| (cpu - self.base_cpu) / self.cpu_per_request);
        load / room.filter(|room| *room > 0.0).unwrap_or(self.pod_capacity)
    }
}
