//! Configurations from the command line.

use std::path::Path;

use anyhow::{Context as _, bail};
use flyball_sandbox::CompiledPolicy;
use serde_json::{Map, Value};

/// Reads a configuration: JSON or YAML itself, or a file with either.
pub fn read(text: &str) -> anyhow::Result<Map<String, Value>> {
    if let Ok(configuration) = parse(text) {
        return Ok(configuration);
    }
    // A document of several fields, or one that is broken, is no file's name.
    let is_document = text.trim_start().starts_with('{') || text.contains('\n');
    let document = match is_document {
        true => text.to_owned(),
        false => flyball_files::read_to_string(Path::new(text)).with_context(|| {
            format!("--config: {text:?} is neither a JSON or YAML object nor a file")
        })?,
    };
    parse(&document).context("--config")
}

/// Parses an object in YAML, of which JSON is a part.
fn parse(text: &str) -> anyhow::Result<Map<String, Value>> {
    match serde_saphyr::from_str(text)? {
        Value::Object(object) => Ok(object),
        _ => bail!("not a JSON or YAML object"),
    }
}

/// Returns why a policy cannot decide without a configuration. `None` if it can.
pub fn need(policy: &CompiledPolicy) -> Option<String> {
    let error = policy.check_configuration_text("").err()?;
    Some(error.to_string())
}
