//! Panics on input from outside are caught where the input is taken, and become a
//! refusal of it. Any other panic ends the process: without one of its threads, a part of
//! it would be dead and nobody would know.

use std::any::Any;
use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::process;

use crate::text::readable;

const MESSAGE_BYTES: usize = 512;

thread_local! {
    /// How many times over a panic of this thread would be caught.
    static CAUGHT: Cell<u32> = const { Cell::new(0) };
}

/// Ends the process from now on when a thread panics, unless the panic is one on input
/// from outside, which is refused.
pub fn end_on_panic() {
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        usual(info);
        if CAUGHT.get() == 0 {
            let thread = std::thread::current();
            let thread = thread.name().unwrap_or("without a name");
            tracing::error!(thread, "flyball ends after a panic: {info}");
            process::exit(101);
        }
    }));
}

/// Runs what works on input from outside; the panic's message, if it panics.
///
/// The caller must not go on with what `work` was changing when it panicked.
pub(crate) fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    /// Also when it panics.
    struct Counted;
    impl Drop for Counted {
        fn drop(&mut self) {
            CAUGHT.set(CAUGHT.get() - 1);
        }
    }
    CAUGHT.set(CAUGHT.get() + 1);
    let _counted = Counted;
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| said(&*panic))
}

/// What a panic said.
fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("without a message");
    let mut text = format!("flyball panicked on it: {text}");
    readable(&mut text, MESSAGE_BYTES);
    text
}

#[cfg(test)]
mod tests {
    use std::process::{Command, exit};

    use super::{caught, end_on_panic};

    /// What a process of this test is to do.
    const PANIC: &str = "FLYBALL_TEST_PANIC";
    /// Exit code of a process that went on.
    const WENT_ON: i32 = 7;

    #[test]
    fn a_panic_of_a_thread_ends_the_process_unless_it_is_caught() {
        match std::env::var(PANIC).as_deref() {
            Ok("caught") => {
                end_on_panic();
                let told = caught(|| panic!("on input"));
                exit(told.map_or(WENT_ON, |()| 1));
            }
            Ok(_) => {
                end_on_panic();
                // Whether the thread panicked does not matter here.
                let _ = std::thread::spawn(|| panic!("of a thread")).join();
                exit(WENT_ON);
            }
            Err(_) => {}
        }
        let code = |panic: &str| {
            let test = "panics::tests::a_panic_of_a_thread_ends_the_process_unless_it_is_caught";
            let program = std::env::current_exe()?;
            let mut command = Command::new(program);
            let command = command.args([test, "--exact"]).env(PANIC, panic);
            Ok::<_, std::io::Error>(command.output()?.status.code())
        };
        assert_eq!(code("caught").ok(), Some(Some(WENT_ON)));
        assert_eq!(code("unexpected").ok(), Some(Some(101)));
    }

    #[test]
    fn what_a_panic_said_is_the_refusal() {
        let told = |message: &str| Err(format!("flyball panicked on it: {message}"));
        let index = 7;
        assert_eq!(caught(|| 3), Ok(3));
        assert_eq!(caught::<()>(|| panic!("plain")), told("plain"));
        assert_eq!(caught::<()>(|| panic!("at {index}\n")), told("at 7 "));
    }
}
