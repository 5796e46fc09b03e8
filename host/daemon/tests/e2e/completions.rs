//! Completion in shells: the script of each, and what flyball answers to it.

use std::env;
use std::path::Path;
use std::process::Command;

use crate::support::{Daemon, Ran, SCENARIO, Workshop};

#[test]
fn shells_complete_policies_and_objects() {
    let workshop = Workshop::new();
    workshop.write("day.yaml", SCENARIO);
    workshop.write("drop/my-policy.wasm", flyball_policies::PREDICTIVE);
    let daemon = Daemon::ready(&workshop, &["--cluster", "sim:day.yaml"]);
    let server = daemon.url.as_str();
    let lines: [(&[&str], &[&str]); 10] = [
        (&["policy", "inspect", "drain"], &["drain-rules"]),
        (&["policy", "inspect", "dro"], &["drop/"]),
        (&["policy", "inspect", "drop/"], &["drop/my-policy.wasm"]),
        (
            &["policy", "rollback", "--policies-dir", "drop", "my"],
            &["my-policy"],
        ),
        (
            &["simulate", "day.yaml", "--compare", "hpa,drop/my"],
            &["hpa,drop/my-policy.wasm"],
        ),
        (
            &["simulate", "day.yaml", "--expander", "price,rand"],
            &["price,random"],
        ),
        (&["why", "--server", server, "def"], &["default/web"]),
        (&["why", "--server", server, ""], &["default/web", "nodes"]),
        // No daemon, no names, and no message.
        (&["why", "--server", "127.0.0.1:9", "def"], &[]),
        (&["rep"], &["replay"]),
    ];
    for (line, expected) in lines {
        for (shell, complete) in SHELLS {
            let found = complete(&workshop, line);
            let names = found.iter().filter(|name| !name.starts_with('-'));
            let names: Vec<&str> = names.map(String::as_str).collect();
            assert_eq!(names, expected, "{shell}: {line:?}");
        }
    }
}

type Complete = fn(&Workshop, &[&str]) -> Vec<String>;

const SHELLS: [(&str, Complete); 3] = [("bash", bash), ("zsh", zsh), ("fish", fish)];

/// Lets bash itself complete the last word.
fn bash(workshop: &Workshop, line: &[&str]) -> Vec<String> {
    let script = r#"
        source <(flyball completions bash)
        COMP_WORDS=(flyball "$@") COMP_CWORD=$# COMP_TYPE=9
        _clap_complete_flyball flyball "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
        printf '%s\n' "${COMPREPLY[@]}"
    "#;
    let binary = Path::new(env!("CARGO_BIN_EXE_flyball")).parent().unwrap();
    let path = env::var_os("PATH").unwrap();
    let path = [binary.to_owned()]
        .into_iter()
        .chain(env::split_paths(&path));
    let mut command = workshop.command(&[]);
    let environment: Vec<_> = command
        .get_envs()
        .map(|(name, value)| (name.to_owned(), value.map(ToOwned::to_owned)))
        .collect();
    command = Command::new("bash");
    command.args(["-c", script, "bash"]).args(line);
    command.current_dir(workshop.path(""));
    for (name, value) in environment {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.env("PATH", env::join_paths(path).unwrap());
    lines(&mut command)
}

/// Asks as zsh does with the script.
fn zsh(workshop: &Workshop, line: &[&str]) -> Vec<String> {
    let script = workshop.succeed(&["completions", "zsh"]);
    for part in [
        "FLYBALL_COMPLETE=\"zsh\"",
        "_CLAP_COMPLETE_INDEX",
        "compdef",
    ] {
        assert!(script.contains(part), "no {part}: {script}");
    }
    let mut command = workshop.command(&[&["--", "flyball"], line].concat());
    command
        .env("FLYBALL_COMPLETE", "zsh")
        .env("_CLAP_COMPLETE_INDEX", line.len().to_string());
    without_descriptions(&lines(&mut command), ':')
}

/// Asks as fish does with the script.
fn fish(workshop: &Workshop, line: &[&str]) -> Vec<String> {
    let script = workshop.succeed(&["completions", "fish"]);
    for part in ["complete ", "FLYBALL_COMPLETE=fish flyball -- "] {
        assert!(script.contains(part), "no {part}: {script}");
    }
    let mut command = workshop.command(&[&["--", "flyball"], line].concat());
    command.env("FLYBALL_COMPLETE", "fish");
    without_descriptions(&lines(&mut command), '\t')
}

fn lines(command: &mut Command) -> Vec<String> {
    let ran: Ran = command.output().unwrap().into();
    assert!(ran.code == Some(0) && ran.stderr.is_empty(), "{ran:#?}");
    let lines = ran.stdout.lines().filter(|line| !line.is_empty());
    lines.map(str::to_owned).collect()
}

fn without_descriptions(lines: &[String], separator: char) -> Vec<String> {
    let names = lines.iter().map(|line| line.split(separator).next());
    names.map(|name| name.unwrap().to_owned()).collect()
}
