//! The JSON Schema of a policy's configuration, made natively: schemars inside a
//! guest would cost 50 KB. A small program is generated that calls what the
//! SDK's macro emitted, compiled for this machine and run.

use std::fs;

use crate::BuildRequest;
use crate::cargo;
use crate::error::BuildError;
use crate::package::Package;
use crate::toolchain::Toolchain;
use crate::write;

const MAIN: &str = "fn main() {\n    print!(\"{}\", policy::flyball_configuration_schema());\n}\n";

const SDK: &str = "flyball-policy";

/// Generates the schema. `None` if the policy takes no configuration. A type with a
/// schema needs schemars, through whatever crate: a package that depends on nothing but
/// the SDK can't have one, and checking its dependencies is quicker than running the
/// program.
pub(crate) fn of(
    package: &Package,
    request: &BuildRequest,
    toolchain: &Toolchain,
) -> Result<Option<String>, BuildError> {
    if !package.depends_on(SDK) || !package.depends_on_others_than(SDK) {
        return Ok(None);
    }
    let folder = request.target_dir.join("schema").join(&package.name);
    write(&folder.join("Cargo.toml"), manifest(package).as_bytes())?;
    write(&folder.join("src/main.rs"), MAIN.as_bytes())?;
    let lock = package.workspace_root.join("Cargo.lock");
    if lock.is_file() {
        let copy = folder.join("Cargo.lock");
        fs::copy(&lock, &copy).map_err(|source| BuildError::io(&lock, source))?;
    }
    let mut command = toolchain.cargo();
    command
        .args(["run", "--quiet", "--release", "--manifest-path"])
        .arg(folder.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(&request.target_dir)
        .env(cargo::BUILD_DIR_VARIABLE, cargo::build_dir(request)?);
    // The modules' profile, so that cargo compiles macros once for both; but what
    // runs once need not be fast.
    for setting in cargo::PROFILE {
        command.args(["--config", setting]);
    }
    command.args(["--config", "profile.release.opt-level=0"]);
    let schema = cargo::run(command, package)?;
    Ok(Some(schema).filter(|schema| !schema.is_empty()))
}

fn manifest(package: &Package) -> String {
    let folder = package
        .manifest_path
        .parent()
        .unwrap_or(&package.manifest_path);
    let path = serde_json::Value::from(folder.to_string_lossy());
    format!(
        "[package]\nname = \"schema-of-{name}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n\
         [dependencies]\npolicy = {{ package = \"{name}\", path = {path} }}\n\n[workspace]\n",
        name = package.name
    )
}
