//! Takes fuel for what a policy answers, which takes few of its own instructions.

use flyball_decision::policy::PolicyFailure;
use flyball_decision::text::readable;
use wasmtime::{AsContextMut as _, Store};

use crate::answer::texts::{self, Explained};
use crate::contract::Refusal;
use crate::guest::{self, Guest};

const REFUSAL_CODE_BYTES: usize = 64;
pub(super) const REFUSAL_MESSAGE_BYTES: usize = 1024;

/// Asks, checks the answer, and takes fuel for the texts of an answer that is accepted, or
/// of a refusal. Other answers are failures that count towards a quarantine.
pub(super) fn answer<A: Explained>(
    store: &mut Store<Guest>,
    call: impl FnOnce(&mut Store<Guest>) -> wasmtime::Result<Result<A, Refusal>>,
    accept: impl FnOnce(A) -> Result<A, String>,
) -> wasmtime::Result<Result<A, PolicyFailure>> {
    let (answer, bytes) = match call(store)? {
        Ok(answer) => match accept(answer) {
            Ok(answer) => {
                let bytes = texts::bytes(answer.reasons());
                (Ok(answer), bytes)
            }
            Err(fault) => (Err(PolicyFailure::InvalidAnswer(fault)), 0),
        },
        Err(refusal) => {
            let bytes = refusal.code.len().saturating_add(refusal.message.len());
            (Err(refused(refusal)), bytes)
        }
    };
    guest::take_fuel(&mut store.as_context_mut(), texts::fuel(bytes))?;
    Ok(answer)
}

/// Returns the failure that a refusal is, with texts that are short and readable.
pub(super) fn refused(mut refusal: Refusal) -> PolicyFailure {
    readable(&mut refusal.code, REFUSAL_CODE_BYTES);
    readable(&mut refusal.message, REFUSAL_MESSAGE_BYTES);
    PolicyFailure::Refused(format!("{}: {}", refusal.code, refusal.message))
}
