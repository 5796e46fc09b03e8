//! Policies composed of two components that exchange text, as toolchains of interpreted
//! languages make them.

use std::fs;

use anyhow::{Context as _, ensure};
use wasm_encoder::{
    Alias, Component, ComponentAliasSection, ComponentExportKind, ComponentExportSection,
    ComponentInstanceSection, ComponentSectionId, RawSection,
};
use wasmparser::{Parser, Payload};
use wit_component::{ComponentEncoder, StringEncoding};
use wit_parser::Resolve;

use crate::guests::{FRAME, repository};

/// The interface between the two components.
const BETWEEN: &str = "acme:text/case";

/// Returns a policy that answers 5 with the help of the component inside it.
///
/// # Errors
/// If a part does not compile.
pub fn composed() -> anyhow::Result<Vec<u8>> {
    compose(&provider("provider")?, &policy()?)
}

/// Returns a policy like [`composed`], but the component inside it answers with a text
/// outside of its memory.
///
/// # Errors
/// If a part does not compile.
pub fn broken() -> anyhow::Result<Vec<u8>> {
    compose(&provider("broken_provider")?, &policy()?)
}

fn provider(name: &str) -> anyhow::Result<Vec<u8>> {
    encode(wat::parse_str(read(&format!("{name}.wat"))?)?, "provider")
}

fn policy() -> anyhow::Result<Vec<u8>> {
    let text = format!("(module {}\n{FRAME})", read("policy.wat")?);
    encode(wat::parse_str(text)?, "composed")
}

fn read(name: &str) -> anyhow::Result<String> {
    let path = repository().join("tests/guests/composed").join(name);
    fs::read_to_string(&path).with_context(|| path.display().to_string())
}

fn encode(mut module: Vec<u8>, world: &str) -> anyhow::Result<Vec<u8>> {
    let mut resolve = Resolve::default();
    resolve.push_dir(repository().join("wit/draft"))?;
    let text = resolve.push_str("world.wit", &read("world.wit")?)?;
    let policy = resolve.push_str("policy.wit", &read("policy.wit")?)?;
    let package = if world == "provider" { text } else { policy };
    let world = resolve.select_world(&[package], Some(world))?;
    let encoding = StringEncoding::UTF8;
    wit_component::embed_component_metadata(&mut module, &resolve, world, encoding, false)?;
    ComponentEncoder::default()
        .validate(true)
        .module(&module)?
        .encode()
}

/// Returns a component with the imports and exports of `policy` except for [`BETWEEN`],
/// which is an instance of `provider` inside it.
fn compose(provider: &[u8], policy: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut composed = Component::new();
    let imports = copy_imports(provider, policy, &mut composed)?;
    // Instances are numbered: first the imports, then that of the policy, then its
    // exports.
    let arguments: Vec<_> = imports.iter().map(String::as_str).zip(0..).collect();
    nest(&mut composed, policy);
    instantiate(&mut composed, 1, &arguments);
    let instance = u32::try_from(imports.len())?;
    for (index, name) in (instance + 1..).step_by(2).zip(exports(policy)?) {
        let mut aliases = ComponentAliasSection::new();
        aliases.alias(Alias::InstanceExport {
            instance,
            kind: ComponentExportKind::Instance,
            name: &name,
        });
        composed.section(&aliases);
        // An export is another instance.
        let mut exports = ComponentExportSection::new();
        exports.export(name.as_str(), ComponentExportKind::Instance, index, None);
        composed.section(&exports);
    }
    Ok(composed.finish())
}

fn nest(composed: &mut Component, component: &[u8]) {
    composed.section(&RawSection {
        id: ComponentSectionId::Component.into(),
        data: component,
    });
}

fn instantiate(composed: &mut Component, component: u32, arguments: &[(&str, u32)]) {
    let arguments = arguments.iter();
    let arguments = arguments.map(|(name, index)| (*name, ComponentExportKind::Instance, *index));
    let mut instances = ComponentInstanceSection::new();
    instances.instantiate(component, arguments);
    composed.section(&instances);
}

/// Copies the types and imports at the beginning of `policy`, with an instance of
/// `provider` in place of [`BETWEEN`]. Returns the names of the imports; each is the
/// instance with its index.
fn copy_imports(
    provider: &[u8],
    policy: &[u8],
    composed: &mut Component,
) -> anyhow::Result<Vec<String>> {
    let mut names = Vec::new();
    for payload in Parser::new(0).parse_all(policy) {
        let payload = payload?;
        match &payload {
            Payload::Version { .. } => continue,
            Payload::ComponentTypeSection(_) | Payload::ComponentAliasSection(_) => {}
            Payload::ComponentImportSection(section) => {
                let first = names.len();
                for import in section.clone() {
                    names.push(import?.name.name.to_owned());
                }
                if names[first..].iter().any(|name| name == BETWEEN) {
                    ensure!(names.len() == first + 1, "imported with others");
                    nest(composed, provider);
                    instantiate(composed, 0, &[]);
                    continue;
                }
            }
            _ => break,
        }
        if let Some((id, range)) = payload.as_section() {
            let data = &policy[range];
            composed.section(&RawSection { id, data });
        }
    }
    ensure!(names.iter().any(|name| name == BETWEEN), "not imported");
    Ok(names)
}

/// Returns the names of the instances that a component exports.
fn exports(component: &[u8]) -> anyhow::Result<Vec<String>> {
    let mut names = Vec::new();
    let mut depth = 0_usize;
    for payload in Parser::new(0).parse_all(component) {
        match payload? {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentExportSection(section) if depth == 0 => {
                for export in section {
                    names.push(export?.name.name.to_owned());
                }
            }
            _ => {}
        }
    }
    Ok(names)
}
