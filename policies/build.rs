//! Builds the built-in policies, and the examples that the demo needs, to
//! components.

use std::env;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use flyball_build::{BuildRequest, build};

/// Names, and folders.
const POLICIES: [(&str, &str); 12] = [
    ("consolidate", "consolidate"),
    ("drain-rules", "drain-rules"),
    ("hpa", "hpa"),
    ("least-nodes", "least-nodes"),
    ("least-waste", "least-waste"),
    ("most-pods", "most-pods"),
    ("price", "price"),
    ("priority", "priority"),
    ("random", "random"),
    ("utilization", "utilization"),
    ("cheapest", "../examples/policies/cheapest"),
    ("predictive", "../examples/policies/predictive"),
];

fn main() -> Result<(), Box<dyn Error>> {
    let here = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let target = target_dir(&out)?;
    for changed in [
        "../sdk/rust",
        "../sdk/build",
        "../Cargo.toml",
        "../Cargo.lock",
    ] {
        println!("cargo::rerun-if-changed={changed}");
    }
    for (name, folder) in POLICIES {
        for source in ["Cargo.toml", "src"] {
            println!("cargo::rerun-if-changed={folder}/{source}");
        }
        let built = build(&BuildRequest::new(here.join(folder), &target))?;
        fs::write(out.join(format!("{name}.wasm")), built.component)?;
    }
    Ok(())
}

/// A target directory of the policies' own, beside the outer cargo's, which is
/// locked: `OUT_DIR` is `TARGET/PROFILE/build/PACKAGE/out`.
fn target_dir(out: &Path) -> Result<PathBuf, String> {
    let outer = out.ancestors().nth(4);
    let outer = outer.ok_or_else(|| format!("{}: not in a target directory", out.display()))?;
    Ok(outer.join("policies"))
}
