//! The child that compiles policies for the tests, where there is no `flyball` to start.

use std::process::ExitCode;

fn main() -> ExitCode {
    flyball_sandbox::compile_if_asked().unwrap_or(ExitCode::FAILURE)
}
