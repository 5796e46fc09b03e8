//! The child that compiles policies in tests without a `flyball` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    flyball_sandbox::compile_if_asked().unwrap_or(ExitCode::FAILURE)
}
