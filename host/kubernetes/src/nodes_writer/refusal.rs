//! Requests that were not carried out, and why.

use flyball_decision::text::note;
use flyball_nodes::ports::WriteError;
use kube::core::Status;

use crate::request::Unanswered;

/// A kind of request.
pub(super) struct Request {
    /// The right that it needs: verb and resource.
    verb: &'static str,
    /// Its name in messages, before the object's.
    subject: &'static str,
}

/// Why a request was not carried out. Messages name the request and the object.
pub(super) enum Refusal {
    /// This process does not lead: it was not sent.
    NotLeader,
    /// Status 403.
    Forbidden(&'static str, String),
    /// Status 404.
    NotFound,
    /// Status 409.
    Conflict(String),
    /// Another status, with its message.
    Status(Box<Status>, String),
    /// No answer.
    Failed(String),
}

impl Request {
    pub(super) const fn new(verb: &'static str, subject: &'static str) -> Self {
        Self { verb, subject }
    }
}

impl Refusal {
    /// Classifies the answer to a request about an object.
    pub(super) fn new(request: &Request, object: &str, error: Unanswered) -> Self {
        let message = |cause: &str| note(format!("{} {object}: {cause}", request.subject));
        match error {
            Unanswered::Failed(cause) => Self::Failed(message(&cause)),
            Unanswered::Refused(status) => match status.code {
                403 => Self::Forbidden(request.verb, note(&*status.message)),
                404 => Self::NotFound,
                409 => Self::Conflict(message(&status.message)),
                _ => {
                    let text = message(&status.message);
                    Self::Status(status, text)
                }
            },
        }
    }
}

impl From<Refusal> for WriteError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotLeader => Self::NotLeader,
            Refusal::Forbidden(verb, message) => Self::Forbidden { verb, message },
            Refusal::NotFound => Self::Gone,
            Refusal::Conflict(_) => Self::Conflict,
            Refusal::Status(_, message) | Refusal::Failed(message) => Self::Failed { message },
        }
    }
}
