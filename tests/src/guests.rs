//! The guests under `tests/guests`, compiled from source once for each test program that
//! needs them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use flyball_build::{BuildRequest, Example, build_examples, component};
use wasmparser::{Parser, Payload};
use wit_component::StringEncoding;
use wit_parser::Resolve;

/// Common part of the guests in text form.
pub(crate) const FRAME: &str = include_str!("../guests/hostile/text/frame.txt");

/// Components by the guests' names.
pub type Components = BTreeMap<String, Vec<u8>>;

/// Returns the root of the repository.
#[must_use]
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Returns the guests of a package in `tests/guests`: its examples, and the files in
/// `text/`.
///
/// # Errors
/// If a guest does not compile.
pub fn components(package: &str) -> anyhow::Result<Arc<Components>> {
    static COMPILED: Mutex<BTreeMap<String, Arc<Components>>> = Mutex::new(BTreeMap::new());
    let mut compiled = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(components) = compiled.get(package) {
        return Ok(Arc::clone(components));
    }
    let components = Arc::new(compile(package)?);
    compiled.insert(package.to_owned(), Arc::clone(&components));
    Ok(components)
}

fn compile(package: &str) -> anyhow::Result<Components> {
    let mut components = BTreeMap::new();
    for example in modules(package)? {
        let component = example.component()?;
        components.insert(example.name, component);
    }
    let text = folder(package).join("text");
    if text.is_dir() {
        for file in fs::read_dir(&text)? {
            let path = file?.path();
            if path.extension().is_some_and(|extension| extension == "wat") {
                let (name, component) =
                    from_text(&path).with_context(|| path.display().to_string())?;
                components.insert(name, component);
            }
        }
    }
    Ok(components)
}

/// Compiles the examples of a package in `tests/guests` to core modules.
///
/// # Errors
/// If a guest does not compile.
pub fn modules(package: &str) -> anyhow::Result<Vec<Example>> {
    let target = repository().join("target/guests");
    Ok(build_examples(&BuildRequest::new(folder(package), target))?)
}

fn folder(package: &str) -> PathBuf {
    repository().join("tests/guests").join(package)
}

fn from_text(path: &Path) -> anyhow::Result<(String, Vec<u8>)> {
    let name = path
        .file_stem()
        .context("a guest has a name")?
        .to_string_lossy()
        .into_owned();
    let guest = repeated(&fs::read_to_string(path)?)?;
    let mut component = of_text(&name, &guest)?;
    if let Some((count, fields)) = core_instances(&guest)? {
        add_core_instances(&mut component, count, fields)?;
    }
    Ok((name, component))
}

/// Returns a policy that answers 5, of this number of small blocks. Its compilation time
/// grows faster than their number.
///
/// # Errors
/// If it does not compile.
pub fn of_small_blocks(blocks: usize) -> anyhow::Result<Vec<u8>> {
    let block = "(block (br_if 0 (local.get $n)) (local.set $n (i32.const 1)))\n";
    let guest = format!(
        "(func (export \"flyball:policy/replica@0.1.0-draft#decide\") (param i32) (result i32)
           (local $n i32)
           {}
           (i32.store8 (i32.const 520) (i32.const 1))
           (i64.store (i32.const 528) (i64.const 5))
           (i32.const 512))",
        block.repeat(blocks)
    );
    of_text("slow", &guest)
}

/// Returns a policy that never comes to a decision. `stores` instructions stand before its
/// loop, and decide at which address the loop's machine code lies.
///
/// # Errors
/// If it does not compile.
pub fn of_endless_loop(stores: usize) -> anyhow::Result<Vec<u8>> {
    let guest = format!(
        "(func (export \"flyball:policy/replica@0.1.0-draft#decide\") (param i32) (result i32)
           {}
           (loop $again (br $again))
           unreachable)",
        "(i32.store (i32.const 512) (local.get 0))\n".repeat(stores)
    );
    of_text("endless", &guest)
}

/// Returns a component that exports what a policy does, with imports that none may have. The
/// name of each import has more than `bytes` bytes; the host reads names of 100,000 at most.
///
/// # Errors
/// If it does not compile.
pub fn of_unknown_imports(imports: usize, bytes: usize) -> anyhow::Result<Vec<u8>> {
    let long = "y".repeat(bytes);
    let imports: String = (0..imports)
        .map(|number| format!("(import \"evil:package/i{number}-{long}\" (instance))"))
        .collect();
    let exports = r#"(instance $i) (export "flyball:policy/replica@0.1.0-draft" (instance $i))"#;
    Ok(wat::parse_str(format!("(component {imports} {exports})"))?)
}

/// Returns the component of a guest in text form.
fn of_text(name: &str, guest: &str) -> anyhow::Result<Vec<u8>> {
    let mut module = wat::parse_str(format!("(module {guest}\n{FRAME})"))?;
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(repository().join("wit/draft"))?;
    let world = resolve.select_world(&[package], Some("replica-policy"))?;
    wit_component::embed_component_metadata(
        &mut module,
        &resolve,
        world,
        StringEncoding::UTF8,
        false,
    )?;
    Ok(component(name, &module)?)
}

/// Expands repetitions in a guest: `{3 nop}` becomes `nop nop nop`.
fn repeated(guest: &str) -> anyhow::Result<String> {
    let mut text = String::new();
    let mut rest = guest;
    while let Some((before, repeated)) = rest.split_once('{') {
        let (repeated, after) = repeated.split_once('}').context("a brace is not closed")?;
        let (count, what) = repeated.split_once(' ').context("what is repeated?")?;
        text += before;
        text += &format!("{what} ").repeat(count.parse()?);
        rest = after;
    }
    Ok(text + rest)
}

/// Parses a guest's first line `;; @core-instances N FIELDS`: instances of a module with
/// these fields, which no toolchain makes of a core module.
fn core_instances(guest: &str) -> anyhow::Result<Option<(u8, &str)>> {
    let first = guest.lines().next().unwrap_or_default();
    let Some(rest) = first.strip_prefix(";; @core-instances ") else {
        return Ok(None);
    };
    let (count, fields) = rest.split_once(' ').unwrap_or((rest, ""));
    Ok(Some((count.parse()?, fields)))
}

/// Appends a core module of these fields and this number of instances of it to a
/// component. All numbers are below 128, where LEB128 is the byte itself.
///
/// # Errors
/// If the module does not compile, or a number is larger.
pub fn add_core_instances(component: &mut Vec<u8>, count: u8, fields: &str) -> anyhow::Result<()> {
    let module = wat::parse_str(format!("(module {fields})"))?;
    const CORE_MODULE: u8 = 1;
    const CORE_INSTANCE: u8 = 2;
    let sections = Parser::new(0).parse_all(component);
    let mut modules = 0u8;
    let mut depth = 0u32;
    for payload in sections {
        match payload? {
            Payload::ModuleSection { .. } => {
                modules += u8::from(depth == 0);
                depth += 1;
            }
            Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    anyhow::ensure!(module.len() < 128, "the module is too large");
    component.extend([CORE_MODULE, module.len() as u8]);
    component.extend(&module);
    let mut instances = vec![count];
    for _ in 0..count {
        instances.extend([0, modules, 0]);
    }
    let size = instances.len();
    anyhow::ensure!(size < 1 << 14, "{count} instances are too many");
    component.extend([CORE_INSTANCE, size as u8 | 0x80, (size >> 7) as u8]);
    component.extend(instances);
    Ok(())
}
