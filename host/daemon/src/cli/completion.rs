//! Completion of arguments: names of policies, of ReplicaAutoscalers and of nodes. What
//! cannot be read or reached gives no candidates.

use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use clap_complete::engine::{ArgValueCandidates, ArgValueCompleter, CompletionCandidate};
use flyball_report::document::ABOUT_NODES;
use serde_json::Value;

use super::values::server;
use crate::output::plain;

/// Maximum time to wait for a daemon: somebody is typing.
const TIMEOUT: Duration = Duration::from_millis(500);
/// Where a daemon is asked if no other one is named.
const SERVER: &str = "http://127.0.0.1:8085";

/// Completes the name of a policy.
pub fn policy_names() -> ArgValueCandidates {
    ArgValueCandidates::new(|| candidates(names()))
}

/// Completes policies by name or file.
pub fn policies() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| {
        let current = current.to_string_lossy();
        let policies = builtin().chain(files(&current));
        candidates(policies.filter(|policy| policy.starts_with(&*current)))
    })
}

/// Completes the last policy of a list by name or file.
pub fn compared() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| {
        let current = current.to_string_lossy();
        let start = current.rfind([',', '+']).map_or(0, |at| at + 1);
        let (before, last) = current.split_at(start);
        let policies = names().chain(files(last));
        let policies = policies.filter(|policy| policy.starts_with(last));
        candidates(policies.map(|policy| format!("{before}{policy}")))
    })
}

/// Completes what `why` explains.
pub fn objects() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let text = |value: &Value, field: &str| value[field].as_str().map(str::to_owned);
        let autoscalers = asked("/v1/autoscalers").into_iter();
        let autoscalers = autoscalers.filter_map(|found| {
            let (namespace, name) = (text(&found, "namespace")?, text(&found, "name")?);
            Some(format!("{namespace}/{name}"))
        });
        let nodes = asked("/v1/nodes").into_iter();
        let nodes = nodes.filter_map(|node| Some(format!("node/{}", text(&node, "node")?)));
        let all = autoscalers.chain([ABOUT_NODES.to_owned()]).chain(nodes);
        candidates(all)
    })
}

/// Leaves out names that could control the terminal.
fn candidates(values: impl Iterator<Item = String>) -> Vec<CompletionCandidate> {
    let mut values: Vec<String> = values.filter(|value| plain(value) == *value).collect();
    values.sort();
    values.dedup();
    values.into_iter().map(CompletionCandidate::new).collect()
}

fn builtin() -> impl Iterator<Item = String> {
    let policies = flyball_policies::BUILTIN.iter();
    policies.map(|(name, _)| (*name).to_owned())
}

/// Returns the names of the built-in policies and of those in the policies directory.
fn names() -> impl Iterator<Item = String> {
    let directory = given("--policies-dir").or_else(|| std::env::var("FLYBALL_POLICIES_DIR").ok());
    let files = directory.map(|directory| in_directory(&directory));
    let names = files.into_iter().flatten().filter_map(|file| {
        let stem = PathBuf::from(file);
        Some(stem.file_stem()?.to_string_lossy().into_owned())
    });
    builtin().chain(names)
}

/// Returns the paths in the folder of an incomplete path that may lead to a policy's file.
fn files(current: &str) -> impl Iterator<Item = String> {
    let start = current.rfind('/').map_or(0, |at| at + 1);
    let folder = current[..start].to_owned();
    let read = match &*folder {
        "" => ".",
        folder => folder,
    };
    let found = in_directory(read).into_iter();
    found.map(move |file| format!("{folder}{file}"))
}

/// Returns the files of policies and the folders in a folder, these with a `/`.
fn in_directory(folder: &str) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let name = |entry: fs::DirEntry| {
        let name = entry.file_name().into_string().ok()?;
        let is_policy = name.ends_with(".wasm") && !name.starts_with('.');
        match entry.path().is_dir() {
            true if !name.starts_with('.') => Some(format!("{name}/")),
            false if is_policy => Some(name),
            _ => None,
        }
    };
    entries.filter_map(name).collect()
}

/// Asks the daemon for a list.
fn asked(path: &str) -> Vec<Value> {
    let given = given("--server").unwrap_or_else(|| SERVER.to_owned());
    let Ok(server) = server(&given) else {
        return Vec::new();
    };
    let url = format!("{}{path}", server.trim_end_matches('/'));
    let request = ureq::get(url)
        .config()
        .timeout_global(Some(TIMEOUT))
        .build();
    let answer = request.call().ok();
    let text = answer.and_then(|mut answer| answer.body_mut().read_to_string().ok());
    text.and_then(|text| serde_json::from_str(&text).ok())
        .unwrap_or_default()
}

/// Returns the value of an option in the incomplete command line.
fn given(option: &str) -> Option<String> {
    let mut line = std::env::args().skip_while(|argument| argument != "--");
    line.find_map(|argument| match argument.strip_prefix(option)? {
        "" => Some(None),
        rest => Some(Some(rest.strip_prefix('=')?.to_owned())),
    })
    .and_then(|value| value.or_else(|| line.next()))
}
