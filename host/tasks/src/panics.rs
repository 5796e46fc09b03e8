//! Handling of panics.

use std::any::Any;
use std::cell::Cell;
use std::io::{self, Write as _};
use std::panic::{self, AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::pin::Pin;
use std::process;
use std::task::{Context, Poll};
use std::thread;

/// Maximum number of characters of a panic's message that are printed without a log.
const PRINTED: usize = 1_000;

thread_local! {
    /// Number of nested `catch_panic` calls of this thread.
    static CATCHING: Cell<u32> = const { Cell::new(0) };
}

/// Makes any panic end the process with exit code 101, unless it is a panic on input from
/// outside that [`catch_panic`] handles. Both are logged with their place and thread.
pub fn end_on_panic() {
    panic::set_hook(Box::new(|info| {
        if CATCHING.get() == 0 {
            report(info, "flyball ends after a panic");
            process::exit(101);
        }
        report(info, "a panic on input from outside was caught");
    }));
}

/// Logs a panic, or prints it in one line if errors are not logged (yet). Its message may
/// have any text from outside.
fn report(info: &PanicHookInfo<'_>, what: &str) {
    let thread = thread::current();
    let thread = thread.name().unwrap_or("without a name");
    let place = info.location().map(ToString::to_string);
    let place = place.unwrap_or_else(|| "unknown".to_owned());
    let message = message(info.payload());
    if tracing::event_enabled!(tracing::Level::ERROR) {
        tracing::error!(thread, place, "{what}: {message}");
        return;
    }
    let message: String = message.escape_debug().take(PRINTED).collect();
    // There is nowhere to report a failure of standard error.
    let _ = writeln!(io::stderr(), "{what}: {message} (thread {thread}, {place})");
}

/// Runs `work` on input from outside.
///
/// The caller must not go on with what `work` was changing when it panicked.
///
/// # Errors
/// The panic's message, if it panics.
pub fn catch_panic<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    /// Decrements the count even if it panics.
    struct Counted;
    impl Drop for Counted {
        fn drop(&mut self) {
            CATCHING.set(CATCHING.get() - 1);
        }
    }
    CATCHING.set(CATCHING.get() + 1);
    let _counted = Counted;
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| message(&*panic))
}

/// Returns the message of a panic.
fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("without a message").to_owned()
}

/// A future on input from outside, which catches its panics as [`catch_panic`] does.
pub struct CatchPanic<F> {
    /// `None` after a panic, and when it is done.
    work: Option<Pin<Box<F>>>,
}

impl<F: Future> CatchPanic<F> {
    /// Wraps a future.
    pub fn new(work: F) -> Self {
        Self {
            work: Some(Box::pin(work)),
        }
    }
}

impl<F: Future> Future for CatchPanic<F> {
    type Output = Result<F::Output, String>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(work) = &mut self.work else {
            return Poll::Pending;
        };
        let polled = match catch_panic(|| work.as_mut().poll(cx)) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(output)) => Ok(output),
            Err(panic) => Err(panic),
        };
        self.work = None;
        Poll::Ready(polled)
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::process::{Command, exit};
    use std::task::{Context, Poll, Waker};
    use std::thread::JoinHandle;

    use super::{CatchPanic, catch_panic, end_on_panic};

    /// Environment variable that selects the panic of this test's child process.
    const PANIC: &str = "FLYBALL_TEST_PANIC";
    /// Exit code of a child process that did not end at the panic.
    const WENT_ON: i32 = 7;

    /// Polls a future that waits for nothing.
    fn poll<F: Future>(work: F) -> Poll<F::Output> {
        pin!(work).poll(&mut Context::from_waker(Waker::noop()))
    }

    async fn panics_on(input: Option<u8>) -> u8 {
        assert!(input.is_some(), "no input");
        7
    }

    #[test]
    fn a_panic_of_a_thread_ends_the_process_unless_it_is_caught() {
        match std::env::var(PANIC).as_deref() {
            Ok("caught") => {
                end_on_panic();
                let outcome = catch_panic(|| panic!("on\n\u{1b}[2J{}", "x".repeat(10_000)));
                let polled = poll(CatchPanic::new(panics_on(None)));
                assert_eq!(polled, Poll::Ready(Err("no input".to_owned())));
                exit(outcome.map_or(WENT_ON, |()| 1));
            }
            Ok(_) => {
                end_on_panic();
                // The result of the thread does not matter here.
                let thread = std::thread::Builder::new().name("one".to_owned());
                let _ = thread.spawn(|| panic!("of a thread")).map(JoinHandle::join);
                exit(WENT_ON);
            }
            Err(_) => {}
        }
        let ran = |panic: &str| {
            let test = "panics::tests::a_panic_of_a_thread_ends_the_process_unless_it_is_caught";
            let program = std::env::current_exe()?;
            let mut command = Command::new(program);
            let output = command.args([test, "--exact"]).env(PANIC, panic).output()?;
            let printed = String::from_utf8_lossy(&output.stderr).into_owned();
            Ok::<_, std::io::Error>((output.status.code(), printed))
        };
        let (code, printed) = ran("caught").unwrap_or_default();
        assert_eq!(code, Some(WENT_ON));
        let lines: Vec<&str> = printed.lines().collect();
        let caught = "a panic on input from outside was caught: ";
        assert_eq!(lines.len(), 2, "{printed}");
        assert!(lines[0].starts_with(&format!(r"{caught}on\n\u{{1b}}[2Jxxx")));
        assert!(lines[0].len() < 2_000 && lines[0].contains("panics.rs:"));
        assert!(lines[1].starts_with(&format!("{caught}no input (thread ")));
        assert!(!printed.contains('\u{1b}'), "{printed:?}");

        let (code, printed) = ran("unexpected").unwrap_or_default();
        assert_eq!(code, Some(101));
        let expected = "flyball ends after a panic: of a thread (thread one, ";
        assert!(printed.starts_with(expected), "{printed}");
    }

    #[test]
    fn the_message_of_a_panic_is_returned() {
        let index = 7;
        assert_eq!(catch_panic(|| 3), Ok(3));
        assert_eq!(catch_panic::<()>(|| panic!("plain")), Err("plain".into()));
        assert_eq!(
            catch_panic::<()>(|| panic!("at {index}")),
            Err("at 7".into())
        );
        assert_eq!(
            poll(CatchPanic::new(panics_on(Some(1)))),
            Poll::Ready(Ok(7))
        );
    }
}
