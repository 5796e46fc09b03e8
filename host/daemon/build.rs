//! Embeds the Rust SDK and the templates of new policies, so that `flyball policy new`
//! needs neither a published SDK nor a checkout of this repository.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// Folders of the SDK that a policy does not need.
const LEFT_OUT: [&str; 5] = [
    "target",
    "template",
    "template-expander",
    "template-scale-down",
    "tests",
];

fn main() -> io::Result<()> {
    let variable = |name| {
        env::var_os(name)
            .map(PathBuf::from)
            .ok_or(io::ErrorKind::NotFound)
    };
    let sdk = variable("CARGO_MANIFEST_DIR")?
        .join("../../sdk/rust")
        .canonicalize()?;
    println!("cargo::rerun-if-changed={}", sdk.display());
    let code = constant("SDK", &sdk)?
        + &constant("REPLICA_TEMPLATE", &sdk.join("template"))?
        + &constant("EXPANDER_TEMPLATE", &sdk.join("template-expander"))?
        + &constant("SCALE_DOWN_TEMPLATE", &sdk.join("template-scale-down"))?;
    fs::write(variable("OUT_DIR")?.join("scaffold_files.rs"), code)
}

/// Returns the code of a constant with the path and the text of each file below a folder.
fn constant(name: &str, folder: &Path) -> io::Result<String> {
    let mut files = Vec::new();
    collect(folder, &mut files)?;
    files.sort();
    let mut code = format!("const {name}: &[(&str, &str)] = &[\n");
    for file in files {
        let relative = file.strip_prefix(folder).map_err(io::Error::other)?;
        let _ = writeln!(code, "    ({relative:?}, include_str!({file:?})),");
    }
    Ok(code + "];\n")
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            files.push(entry.path());
        } else if !LEFT_OUT.iter().any(|name| entry.file_name() == *name) {
            collect(&entry.path(), files)?;
        }
    }
    Ok(())
}
