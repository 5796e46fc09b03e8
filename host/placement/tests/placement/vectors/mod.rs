//! Placements from Kubernetes objects, compared with the results of kube-scheduler and
//! Cluster Autoscaler.

mod estimates;
mod scheduler;
