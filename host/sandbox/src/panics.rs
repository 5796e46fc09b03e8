//! Panics on policies, which refuse the policy.

use flyball_decision::text::readable;

const MESSAGE_BYTES: usize = 512;

/// Runs `work` on input from outside. Returns the panic's message if it panics.
///
/// The caller must not go on with what `work` was changing when it panicked.
pub(crate) fn catch_panic<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    flyball_tasks::catch_panic(work).map_err(|panic| {
        let mut text = format!("flyball panicked on it: {panic}");
        readable(&mut text, MESSAGE_BYTES);
        text
    })
}

#[cfg(test)]
mod tests {
    use super::catch_panic;

    #[test]
    fn what_a_panic_said_is_the_refusal() {
        assert_eq!(catch_panic(|| 3), Ok(3));
        let refusal = "flyball panicked on it: at 7 ".to_owned();
        assert_eq!(catch_panic::<()>(|| panic!("at 7\n")), Err(refusal));
    }
}
