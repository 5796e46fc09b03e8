//! Creates the folder of a new policy: the template of its kind, and the SDK.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};

use crate::cli::NewKind;

include!(concat!(env!("OUT_DIR"), "/scaffold_files.rs"));

/// Placeholders in the template's files for the policy's name and for the path of the
/// SDK.
const NAME_MARK: &str = "{{name}}";
const SDK_MARK: &str = "{{sdk}}";

/// Name of the SDK's copy in the policy's folder.
const SDK_FOLDER: &str = "sdk";

/// Creates the folder of a policy of that kind, called `name`. `sdk` is the folder of an
/// SDK; with `None`, a copy of the embedded one is created.
pub fn create(folder: &Path, kind: NewKind, name: &str, sdk: Option<&Path>) -> anyhow::Result<()> {
    check_name(name)?;
    ensure!(
        !folder.exists(),
        "{} is there already: choose another name",
        folder.display()
    );
    let sdk = match sdk {
        None => SDK_FOLDER.to_owned(),
        Some(sdk) => existing_sdk(sdk)?.display().to_string(),
    };
    let template = match kind {
        NewKind::Replica => REPLICA_TEMPLATE,
        NewKind::Expander => EXPANDER_TEMPLATE,
        NewKind::ScaleDown => SCALE_DOWN_TEMPLATE,
    };
    for (path, text) in template {
        let text = text.replace(NAME_MARK, name).replace(SDK_MARK, &sdk);
        // Templates are called Cargo.toml.template: Cargo treats a folder with a
        // Cargo.toml as a package.
        write(&folder.join(path.trim_end_matches(".template")), &text)?;
    }
    if sdk == SDK_FOLDER {
        for (path, text) in SDK {
            write(&folder.join(SDK_FOLDER).join(path), text)?;
        }
    }
    Ok(())
}

/// A policy is named by its file, and its package has the same name.
fn check_name(name: &str) -> anyhow::Result<()> {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    ensure!(
        name.len() <= 63
            && name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.bytes().all(inner),
        "{name:?} is no name for a policy: use lower-case letters, digits and -, a letter first"
    );
    Ok(())
}

fn existing_sdk(folder: &Path) -> anyhow::Result<PathBuf> {
    let folder = folder
        .canonicalize()
        .with_context(|| format!("no SDK in {}", folder.display()))?;
    ensure!(
        folder.join("Cargo.toml").is_file(),
        "no SDK in {}: it has no Cargo.toml",
        folder.display()
    );
    Ok(folder)
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let written = path
        .parent()
        .map_or(Ok(()), fs::create_dir_all)
        .and_then(|()| fs::write(path, text));
    written.with_context(|| format!("cannot write {}", path.display()))
}
