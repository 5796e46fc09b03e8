//! Handling of panics. A panic on input from outside is catch_panic, and refuses the input.
//! Any other panic ends the process, which would otherwise go on without one of its
//! threads.

use std::any::Any;
use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::process;

use flyball_decision::text::readable;

const MESSAGE_BYTES: usize = 512;

thread_local! {
    /// Number of nested `catch_panic` calls of this thread.
    static CATCHING: Cell<u32> = const { Cell::new(0) };
}

/// Makes any panic end the process, unless it is a panic on input from outside that
/// `catch_panic` handles.
pub fn end_on_panic() {
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        usual(info);
        if CATCHING.get() == 0 {
            let thread = std::thread::current();
            let thread = thread.name().unwrap_or("without a name");
            tracing::error!(thread, "flyball ends after a panic: {info}");
            process::exit(101);
        }
    }));
}

/// Runs `work` on input from outside. Returns the panic's message if it panics.
///
/// The caller must not go on with what `work` was changing when it panicked.
pub(crate) fn catch_panic<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    /// Decrements the count even if it panics.
    struct Counted;
    impl Drop for Counted {
        fn drop(&mut self) {
            CATCHING.set(CATCHING.get() - 1);
        }
    }
    CATCHING.set(CATCHING.get() + 1);
    let _counted = Counted;
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| panic_message(&*panic))
}

/// Returns the message of a panic.
fn panic_message(panic: &(dyn Any + Send)) -> String {
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

    use super::{catch_panic, end_on_panic};

    /// Environment variable that selects the panic of this test's child process.
    const PANIC: &str = "FLYBALL_TEST_PANIC";
    /// Exit code of a child process that did not abort.
    const WENT_ON: i32 = 7;

    #[test]
    fn a_panic_of_a_thread_ends_the_process_unless_it_is_caught() {
        match std::env::var(PANIC).as_deref() {
            Ok("caught") => {
                end_on_panic();
                let outcome = catch_panic(|| panic!("on input"));
                exit(outcome.map_or(WENT_ON, |()| 1));
            }
            Ok(_) => {
                end_on_panic();
                // The result of the thread does not matter here.
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
        let refusal = |message: &str| Err(format!("flyball panicked on it: {message}"));
        let index = 7;
        assert_eq!(catch_panic(|| 3), Ok(3));
        assert_eq!(catch_panic::<()>(|| panic!("plain")), refusal("plain"));
        assert_eq!(
            catch_panic::<()>(|| panic!("at {index}\n")),
            refusal("at 7 ")
        );
    }
}
