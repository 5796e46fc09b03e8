//! `flyball crd`.

use std::io::Write as _;

use super::Exit;
use crate::output;

pub fn run() -> anyhow::Result<Exit> {
    write!(output::out(), "{}", flyball_kubernetes::crd_yaml())?;
    Ok(Exit::Success)
}
