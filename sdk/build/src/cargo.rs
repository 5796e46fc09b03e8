//! Compiling a package to WebAssembly.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use crate::BuildRequest;
use crate::error::BuildError;
use crate::package::Package;
use crate::toolchain::Toolchain;

/// Small modules with names in their traces. Set here and not in the author's
/// manifest, so that the same source gives the same module everywhere.
pub(crate) const PROFILE: [&str; 6] = [
    "profile.release.opt-level=3",
    "profile.release.lto=true",
    "profile.release.codegen-units=1",
    "profile.release.panic=\"abort\"",
    "profile.release.debug=false",
    "profile.release.strip=\"debuginfo\"",
];

/// A stack of 256 KiB: ample for what policies do, and what is reserved is looked
/// at after each decision. And a heap of 256 KiB to start with: memory that grows
/// costs the host several microseconds, each time and once more to undo it.
const LINK_ARGUMENTS: [&str; 2] = [
    "-Clink-arg=-zstack-size=262144",
    "-Clink-arg=--initial-heap=262144",
];

/// The variable through which the SDK's macro gets the schema. Without one it is not
/// set, so that a policy with a configuration does not compile.
const SCHEMA_VARIABLE: &str = "FLYBALL_CONFIGURATION_SCHEMA";

/// The variable by which cargo gets the folder to compile in.
pub(crate) const BUILD_DIR_VARIABLE: &str = "CARGO_BUILD_BUILD_DIR";

/// A WebAssembly module that cargo made.
#[derive(Clone, Debug)]
pub(crate) struct Artifact {
    pub(crate) name: String,
    pub(crate) file: PathBuf,
    kinds: Vec<String>,
    manifest: PathBuf,
}

impl Artifact {
    pub(crate) fn is_cdylib_of(&self, package: &Package) -> bool {
        self.is_of(package, "cdylib")
    }

    pub(crate) fn is_example_of(&self, package: &Package) -> bool {
        self.is_of(package, "example")
    }

    fn is_of(&self, package: &Package, kind: &str) -> bool {
        self.manifest == package.manifest_path && self.kinds.iter().any(|one| one == kind)
    }
}

/// Returns the absolute folder to compile in.
pub(crate) fn build_dir(request: &BuildRequest) -> Result<PathBuf, BuildError> {
    let folder = &request.build_dir;
    std::path::absolute(folder).map_err(|source| BuildError::io(folder, source))
}

/// Compiles the targets that `what` selects, and returns the modules.
pub(crate) fn build(
    package: &Package,
    request: &BuildRequest,
    toolchain: &Toolchain,
    what: &[&str],
    schema: Option<&str>,
) -> Result<Vec<Artifact>, BuildError> {
    let build_dir = build_dir(request)?;
    let mut command = toolchain.cargo();
    command
        .args([
            "build",
            "--quiet",
            "--release",
            "--message-format",
            "json-render-diagnostics",
        ])
        .args(["--package", &package.name])
        .arg("--manifest-path")
        .arg(&package.manifest_path)
        .arg("--target-dir")
        .arg(&request.target_dir)
        .env(BUILD_DIR_VARIABLE, &build_dir)
        .env(
            "CARGO_ENCODED_RUSTFLAGS",
            flags(package, &build_dir, toolchain),
        );
    for setting in PROFILE {
        command.args(["--config", setting]);
    }
    // What comes later holds: a selection may have settings of its own.
    command.args(what);
    toolchain.for_target(&mut command);
    match schema {
        Some(schema) => command.env(SCHEMA_VARIABLE, schema),
        None => command.env_remove(SCHEMA_VARIABLE),
    };
    run(command, package).map(|output| artifacts(&output))
}

/// Runs a cargo command and returns what it wrote to standard output.
pub(crate) fn run(mut command: Command, package: &Package) -> Result<String, BuildError> {
    let output = command.output().map_err(|source| BuildError::Start {
        program: "cargo".into(),
        source,
    })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let output = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(BuildError::Cargo {
        package: package.name.clone(),
        output,
    })
}

/// Compiler flags: for the linker, and such that keep the machine's paths out of
/// the module. Paths in the workspace are relative already. The flags are the same for all
/// packages that have no dependency outside of their workspace and are compiled in one
/// folder, so that cargo compiles what these share only once.
fn flags(package: &Package, build_dir: &Path, toolchain: &Toolchain) -> String {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(env::home_dir()?.join(".cargo")));
    let remap = |from: &Path, to: &str| format!("--remap-path-prefix={}={to}", from.display());
    let outside = package.folders_outside();
    let mut flags: Vec<String> = outside
        .map(|(name, folder)| remap(folder, &format!("/{name}")))
        .collect();
    flags.extend(LINK_ARGUMENTS.map(str::to_owned));
    flags.push(remap(build_dir, "/target"));
    flags.extend(home.map(|home| remap(&home, "/cargo")));
    flags.extend(toolchain.sysroot().map(|root| remap(&root, "/rust")));
    flags.join("\x1f")
}

/// The modules that cargo's messages name.
fn artifacts(messages: &str) -> Vec<Artifact> {
    #[derive(Deserialize)]
    struct Message {
        target: Target,
        manifest_path: PathBuf,
        filenames: Vec<PathBuf>,
    }
    #[derive(Deserialize)]
    struct Target {
        name: String,
        kind: Vec<String>,
    }
    let messages = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Message>(line).ok());
    messages
        .filter_map(
            |Message {
                 target,
                 manifest_path,
                 filenames,
             }| {
                let is_module = |file: &PathBuf| file.extension().is_some_and(|end| end == "wasm");
                Some(Artifact {
                    file: filenames.into_iter().find(is_module)?,
                    name: target.name,
                    kinds: target.kind,
                    manifest: manifest_path,
                })
            },
        )
        .collect()
}
