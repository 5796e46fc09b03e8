//! Requests and answers of the eviction API, policy/v1
//! (<https://kubernetes.io/docs/concepts/scheduling-eviction/api-eviction/>).

use flyball_nodes::ports::{EvictError, Eviction};
use k8s_openapi::api::policy::v1;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{DeleteOptions, ObjectMeta, Preconditions};
use kube::core::Status;

use super::refusal::Refusal;

/// The cause in an answer that names a PodDisruptionBudget, and how its message begins.
const BUDGET_CAUSE: &str = "DisruptionBudget";
const BUDGET_PREFIX: &str = "The disruption budget ";
/// Part of the message about a pod with several PodDisruptionBudgets.
const SEVERAL: &str = "more than one PodDisruptionBudget";
/// Part of the message about a pod with another uid. Other conflicts pass by themselves.
const OTHER_UID: &str = "UID in ";

/// Returns the body of a request. kube's own (`Api::evict`) names the field of the
/// options wrongly, so that the API server ignores grace and uid.
pub(super) fn body(eviction: &Eviction) -> v1::Eviction {
    v1::Eviction {
        metadata: ObjectMeta {
            namespace: Some(eviction.key.namespace.to_string()),
            name: Some(eviction.key.name.to_string()),
            ..ObjectMeta::default()
        },
        delete_options: Some(DeleteOptions {
            grace_period_seconds: eviction.grace_seconds,
            preconditions: Some(Preconditions {
                uid: Some(eviction.uid.to_string()),
                ..Preconditions::default()
            }),
            ..DeleteOptions::default()
        }),
    }
}

/// Converts the API server's refusal.
pub(super) fn error(refusal: Refusal) -> EvictError {
    match refusal {
        Refusal::NotLeader => EvictError::NotLeader,
        Refusal::Forbidden(verb, message) => EvictError::Forbidden { verb, message },
        Refusal::NotFound => EvictError::Gone,
        Refusal::Conflict(message) if message.contains(OTHER_UID) => EvictError::Gone,
        Refusal::Status(status, message) if status.code == 429 => EvictError::Blocked {
            budget: budget(&status),
            message,
        },
        Refusal::Status(status, message) if status.code == 500 && message.contains(SEVERAL) => {
            EvictError::SeveralBudgets { message }
        }
        Refusal::Status(_, message) | Refusal::Conflict(message) | Refusal::Failed(message) => {
            EvictError::Failed { message }
        }
    }
}

/// Returns the name of the PodDisruptionBudget that an answer names. It is only in the
/// message of a cause.
fn budget(status: &Status) -> Option<String> {
    let causes = &status.details.as_ref()?.causes;
    let cause = causes.iter().find(|cause| cause.reason == BUDGET_CAUSE)?;
    let rest = cause.message.strip_prefix(BUDGET_PREFIX)?;
    Some(rest.split(' ').next()?.to_owned())
}

#[cfg(test)]
mod tests {
    use flyball_decision::text::NOTE_BYTES;
    use flyball_nodes::ports::{EvictError, Eviction};
    use kube::core::Status;
    use serde_json::json;

    use super::{Refusal, body, error};
    use crate::nodes_writer::EVICT;
    use crate::request::Unanswered;

    fn refused(status: serde_json::Value) -> Option<EvictError> {
        let status: Box<Status> = serde_json::from_value(status).ok()?;
        let refusal = Refusal::new(&EVICT, "shop/web-1", Unanswered::Refused(status));
        Some(error(refusal))
    }

    #[test]
    fn the_options_have_the_names_that_the_api_server_reads() {
        let eviction = Eviction {
            key: flyball_decision::key::ObjectKey {
                namespace: "shop".into(),
                name: "web-1".into(),
            },
            uid: "u".into(),
            grace_seconds: Some(30),
        };
        let expected = json!({
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": { "namespace": "shop", "name": "web-1" },
            "deleteOptions": { "gracePeriodSeconds": 30, "preconditions": { "uid": "u" } },
        });
        assert_eq!(serde_json::to_value(body(&eviction)).ok(), Some(expected));
    }

    #[test]
    fn a_rate_limit_is_a_block_without_a_budget() {
        let blocked = refused(json!({ "code": 429, "message": "too many requests" }));
        let expected = EvictError::Blocked {
            message: "eviction of pod shop/web-1: too many requests".to_owned(),
            budget: None,
        };
        assert_eq!(blocked, Some(expected));
    }

    #[test]
    fn a_conflict_that_is_not_about_the_uid_is_no_proof_that_the_pod_is_gone() {
        let message =
            "Operation cannot be fulfilled on pods \"web-1\": the object has been modified";
        let failed = refused(json!({ "code": 409, "message": message }));
        assert!(matches!(failed, Some(EvictError::Failed { .. })));
        let message = "Precondition failed: UID in precondition: u, UID in object meta: v";
        let gone = refused(json!({ "code": 409, "message": message }));
        assert_eq!(gone, Some(EvictError::Gone));
    }

    #[test]
    fn a_long_message_is_cut() {
        let failed = refused(json!({ "code": 500, "message": "é".repeat(2000) }));
        let Some(EvictError::Failed { message }) = failed else {
            unreachable!("{failed:?}");
        };
        assert!(message.len() <= NOTE_BYTES);
        assert!(message.starts_with("eviction of pod shop/web-1: é"));
    }
}
