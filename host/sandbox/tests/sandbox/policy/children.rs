//! Compiling children that do not answer as they should: each is refused with a reason.

use std::time::Duration;

use flyball_sandbox::{CompiledPolicy, CompilerOptions, DEFAULT_BUDGET, Engine, EngineOptions};

use crate::guest::Guest;

fn refused(program: &str, script: &str) -> String {
    // Only for the one that never ends must the test wait.
    let wall = match script.contains("sleep") {
        true => Duration::from_millis(300),
        false => Duration::from_secs(300),
    };
    let compiler = CompilerOptions {
        arguments: ["-c", script].map(Into::into).into(),
        wall,
        ..CompilerOptions::program(program.into())
    };
    let engine = Engine::new(&EngineOptions {
        compiler: Some(compiler),
        ..EngineOptions::default()
    });
    let bytes = Guest::default().build();
    let error = CompiledPolicy::load(&engine.unwrap(), "guest", &bytes, DEFAULT_BUDGET);
    error.unwrap_err().to_string()
}

#[test]
fn a_child_that_gives_no_answer_is_a_refusal() {
    for (script, expected) in [
        ("kill -ABRT $$", "signal: 6"),
        ("kill -KILL $$", "it was killed"),
        ("kill -XCPU $$", "more than 60 s of CPU time"),
        (
            "echo 'memory allocation of 9 bytes failed' >&2; kill -ABRT $$",
            "MiB of memory",
        ),
        (
            "echo first >&2; echo last >&2; exit 3",
            "exit status: 3, and said: last",
        ),
        ("exec /bin/sleep 60", "it did not end within"),
        ("echo hello", "its answer makes no sense"),
        ("exit 0", "its answer makes no sense"),
        (
            "echo '{\"digest\":\"sha256:0\",\"refused\":null,\"bytes\":0}'",
            "it changed while",
        ),
        (
            "echo '{\"digest\":\"\",\"refused\":null,\"bytes\":99999999999}'; cat /dev/zero",
            "more than 64 MiB of code",
        ),
        // A full pipe must not block.
        (
            "head -c 300000 /dev/zero >&2; echo hello",
            "its answer makes no sense",
        ),
    ] {
        let error = refused("/bin/sh", script);
        assert!(error.contains(expected), "{script}: {error}");
    }
    let error = refused("/no/such/program", "");
    assert!(error.contains("cannot start the compiler"), "{error}");
}
