//! `flyball policy build`.

use std::env;
use std::io::Write as _;
use std::path::Path;
use std::time::Instant;

use anyhow::Context as _;
use flyball_build::{BuildRequest, Built};
use flyball_decision::policy::Policy as _;
use flyball_sandbox::{CompiledPolicy, DEFAULT_BUDGET};
use serde_json::json;

use super::Exit;
use crate::cli::{BuildArgs, Format};
use crate::output::{self, DIM, POLICY, plain, styled};
use crate::wiring;

pub fn run(args: &BuildArgs) -> anyhow::Result<Exit> {
    let start = Instant::now();
    let built = build(&args.dir)?;
    let engine = wiring::engine(None, &args.compilation)?;
    let policy = CompiledPolicy::load(&engine, &built.name, &built.component, DEFAULT_BUDGET)
        .with_context(|| format!("a host would refuse {}", built.path.display()))?;
    let version = policy.version();
    if args.output.format == Format::Json {
        output::print_json(&json!({
            "file": built.path,
            "bytes": built.component.len(),
            "version": &**version,
        }))?;
        return Ok(Exit::Success);
    }
    let size = output::bytes(u64::try_from(built.component.len()).unwrap_or(u64::MAX));
    let mut out = output::out();
    let name = styled(
        POLICY,
        format!("{}@{}", version.name, version.short_digest()),
    );
    writeln!(
        out,
        "{name}  version {}, {size}, in {}",
        version.version,
        output::elapsed(start.elapsed())
    )?;
    writeln!(out, "{}", plain(built.path.display()))?;
    writeln!(
        out,
        "{}",
        styled(
            DIM,
            "copy it into the policies directory of a running flyball, and it decides"
        )
    )?;
    Ok(Exit::Success)
}

/// Builds the policy in a folder into the folder's own target directory. Compiles in the
/// folder that `CARGO_BUILD_BUILD_DIR` names, if it is the same for all packages.
pub fn build(folder: &Path) -> anyhow::Result<Built> {
    let mut request = BuildRequest::new(folder, folder.join("target"));
    // Cargo fills in what stands in braces for each workspace.
    let is_one_folder = |folder: &String| !folder.is_empty() && !folder.contains('{');
    if let Some(build_dir) = env::var("CARGO_BUILD_BUILD_DIR").ok().filter(is_one_folder) {
        request.build_dir = build_dir.into();
    }
    // Cargo's progress is not shown, and the first build takes a while.
    let text = match request.build_dir.join("wasm32-unknown-unknown").exists() {
        true => "building",
        false => "building (the first time takes a minute or two)",
    };
    writeln!(anstream::stderr(), "{}", styled(DIM, text))?;
    flyball_build::build(&request)
        .with_context(|| format!("cannot build the policy in {}", folder.display()))
}
