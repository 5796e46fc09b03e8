//! `flyball policy new`.

use std::io::Write as _;
use std::path::Path;

use super::Exit;
use crate::cli::NewArgs;
use crate::output::{self, DIM, POLICY, styled};
use crate::scaffold;

pub fn run(args: &NewArgs) -> anyhow::Result<Exit> {
    let folder = Path::new(&args.name);
    scaffold::create(folder, args.kind, &args.name, args.sdk.as_deref())?;
    if flyball_policies::BUILTIN
        .iter()
        .any(|(name, _)| *name == args.name)
    {
        tracing::warn!(
            "{0} is the name of a built-in policy, which {0}.wasm replaces in a policies directory",
            args.name
        );
    }
    let mut out = output::out();
    writeln!(out, "created {}", styled(POLICY, folder.display()))?;
    for (command, what) in [
        (format!("cd {}", args.name), ""),
        (
            "flyball policy test".into(),
            "run the cases in cases/ in the sandbox",
        ),
        ("cargo test".into(), "run the unit tests natively"),
        ("flyball policy build".into(), "make the component"),
    ] {
        writeln!(out, "  {command:<24}{}", styled(DIM, what))?;
    }
    writeln!(out, "edit {}", folder.join("src/lib.rs").display())?;
    Ok(Exit::Success)
}
