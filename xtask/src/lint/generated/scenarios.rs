//! The tables of `docs/scenarios.md`: the fields of a scenario, from the types that a
//! scenario is read into.
//!
//! A field's comment has its meaning. In it, `(required)` or a value in parentheses is the
//! default, `left out: …` says what holds without the field, and `such as` or `Example:`
//! begins an example. A test of the simulation crate reads the examples and the defaults
//! of the page.

mod types;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use super::page::replace;
use anyhow::Context as _;
use syn::{Attribute, Expr, ExprLit, Fields, Item, Lit, Meta};

/// Folder and file of the types, and the type that a file is read into.
const SOURCES: [&str; 2] = [
    "host/simulation/src/scenario.rs",
    "host/simulation/src/scenario",
];
const ROOT: &str = "Scenario";

/// File of the formulas' description.
const FORMULA: &str = "host/simulation/src/formula.rs";

/// The page.
pub const PAGE: &str = "docs/scenarios.md";

/// A type of a scenario.
struct Described {
    about: String,
    shape: Shape,
}

enum Shape {
    /// An object.
    Fields(Vec<Field>),
    /// One of these words.
    Words(Vec<(String, String)>),
    /// An object with one of these fields.
    OneOf(Vec<Variant>),
}

struct Variant {
    name: String,
    about: String,
    fields: Vec<Field>,
    /// The type of its value, if it has no fields of its own.
    value: Option<syn::Type>,
}

struct Field {
    name: String,
    about: String,
    kind: syn::Type,
    is_quantity: bool,
}

type Types = BTreeMap<String, Described>;

/// Returns the page with its generated parts as they must be.
pub fn page(root: &Path) -> anyhow::Result<String> {
    let page =
        fs::read_to_string(root.join(PAGE)).with_context(|| format!("cannot read {PAGE}"))?;
    let types = read(root)?;
    let page = replace(PAGE, &page, "fields", &fields(&types)?)?;
    replace(PAGE, &page, "formulas", &formulas(root)?)
}

/// Reads the types of a scenario from their sources.
fn read(root: &Path) -> anyhow::Result<Types> {
    let mut files = vec![root.join(SOURCES[0])];
    for entry in fs::read_dir(root.join(SOURCES[1])).context("no sources of scenarios")? {
        files.push(entry?.path());
    }
    let mut types = Types::new();
    for file in files.iter().filter(|file| file.is_file()) {
        let text = fs::read_to_string(file)?;
        let parsed = syn::parse_file(&text).with_context(|| file.display().to_string())?;
        for item in parsed.items {
            match item {
                Item::Struct(item) => {
                    let quantities = serde(&item.attrs, "try_from").is_some();
                    let shape = Shape::Fields(read_fields(item.fields, quantities));
                    let about = docs(&item.attrs);
                    types.insert(item.ident.to_string(), Described { about, shape });
                }
                Item::Enum(item) => {
                    types.insert(item.ident.to_string(), read_enum(item));
                }
                _ => {}
            }
        }
    }
    Ok(types)
}

fn read_enum(item: syn::ItemEnum) -> Described {
    let renames = serde(&item.attrs, "rename_all").is_some();
    let name = |variant: &syn::Variant| match renames {
        true => camel(&variant.ident.to_string()),
        false => variant.ident.to_string(),
    };
    let about = docs(&item.attrs);
    let mut variants = item.variants.iter();
    let shape = if variants.all(|variant| variant.fields.is_empty()) {
        let word = |variant: &syn::Variant| (name(variant), docs(&variant.attrs));
        Shape::Words(item.variants.iter().map(word).collect())
    } else {
        let variant = |variant: syn::Variant| {
            let (name, about) = (name(&variant), docs(&variant.attrs));
            let (fields, value) = match variant.fields {
                Fields::Unnamed(fields) => {
                    let value = fields.unnamed.into_iter().next();
                    (Vec::new(), value.map(|field| field.ty))
                }
                fields => (read_fields(fields, false), None),
            };
            Variant {
                name,
                about,
                fields,
                value,
            }
        };
        Shape::OneOf(item.variants.into_iter().map(variant).collect())
    };
    Described { about, shape }
}

fn read_fields(fields: Fields, quantities: bool) -> Vec<Field> {
    let mut read = Vec::new();
    for field in fields {
        let Some(ident) = &field.ident else { continue };
        if serde(&field.attrs, "skip").is_some() {
            continue;
        }
        let quantity = serde(&field.attrs, "deserialize_with");
        let renamed = serde(&field.attrs, "rename").filter(|name| !name.is_empty());
        read.push(Field {
            name: renamed.unwrap_or_else(|| camel(&ident.to_string())),
            about: docs(&field.attrs),
            kind: field.ty,
            is_quantity: quantities || quantity.is_some_and(|with| with.contains("quantity")),
        });
    }
    read
}

/// Returns the value of a serde attribute, empty if it has none.
fn serde(attributes: &[Attribute], wanted: &str) -> Option<String> {
    let mut found = None;
    for attribute in attributes.iter().filter(|a| a.path().is_ident("serde")) {
        // An attribute that can't be read here is not one of those that are asked for.
        let _ = attribute.parse_nested_meta(|meta| {
            let text = match meta.value() {
                Ok(value) => value.parse::<syn::LitStr>()?.value(),
                Err(_) => String::new(),
            };
            if meta.path.is_ident(wanted) {
                found = Some(text);
            }
            Ok(())
        });
    }
    found
}

/// Returns the doc comment in one line; tables keep their lines.
fn docs(attributes: &[Attribute]) -> String {
    let mut text = String::new();
    for attribute in attributes.iter().filter(|a| a.path().is_ident("doc")) {
        if let Meta::NameValue(pair) = &attribute.meta
            && let Expr::Lit(ExprLit {
                lit: Lit::Str(line),
                ..
            }) = &pair.value
        {
            let line = line.value();
            let line = line.trim();
            let separator = match (line.is_empty(), line.starts_with('|')) {
                (true, _) => "\n",
                (_, true) => "\n",
                _ if text.is_empty() || text.ends_with('\n') => "",
                _ => " ",
            };
            text = text + separator + line;
        }
    }
    text
}

/// Converts `SnakeCase` or `snake_case` to `snakeCase`.
fn camel(name: &str) -> String {
    let mut text = String::new();
    let mut upper = false;
    for (index, letter) in name.chars().enumerate() {
        match letter {
            '_' => upper = true,
            _ if upper => {
                text.extend(letter.to_uppercase());
                upper = false;
            }
            _ if index == 0 => text.extend(letter.to_lowercase()),
            _ => text.push(letter),
        }
    }
    text
}

/// Returns the description of formulas, from the comment of their type.
fn formulas(root: &Path) -> anyhow::Result<String> {
    let text = fs::read_to_string(root.join(FORMULA)).with_context(|| FORMULA.to_owned())?;
    let file = syn::parse_file(&text).with_context(|| FORMULA.to_owned())?;
    let found = file.items.into_iter().find_map(|item| match item {
        Item::Struct(item) if item.ident == "Formula" => Some(docs(&item.attrs)),
        _ => None,
    });
    let text = found.context("no type Formula")?;
    let (_, rest) = text
        .split_once('\n')
        .context("Formula has no description")?;
    Ok(rest.trim().replace("Functions:\n", "Functions:\n\n"))
}

/// Returns the sections of all types that a scenario uses, each after those that use it.
fn fields(types: &Types) -> anyhow::Result<String> {
    let mut text = String::new();
    let mut paths: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut order: Vec<&str> = Vec::new();
    walk(types, ROOT, String::new(), &mut order, &mut paths);
    for name in order {
        let described = types.get(name).with_context(|| format!("no type {name}"))?;
        let places = &paths[name];
        let heading = match places[0].as_str() {
            "" => "The file".to_owned(),
            _ => places
                .iter()
                .map(|path| format!("`{path}`"))
                .collect::<Vec<_>>()
                .join(", "),
        };
        write!(text, "### {heading}\n\n{}\n\n", plain(&described.about))?;
        write_shape(&mut text, types, described, &places[0])?;
    }
    Ok(text)
}

fn write_shape(
    text: &mut String,
    types: &Types,
    described: &Described,
    path: &str,
) -> anyhow::Result<()> {
    match &described.shape {
        Shape::Fields(fields) => write_table(text, types, fields)?,
        Shape::Words(words) => {
            text.push_str("| value | meaning |\n|---|---|\n");
            for (word, about) in words {
                writeln!(text, "| `{word}` | {} |", plain(about))?;
            }
            text.push('\n');
        }
        Shape::OneOf(variants) => {
            text.push_str("One of:\n\n| field | type | meaning |\n|---|---|---|\n");
            for Variant {
                name, about, value, ..
            } in variants
            {
                let kind = value
                    .as_ref()
                    .map(|kind| types::of(types, kind, false, "").name);
                let kind = kind.unwrap_or_else(|| "object".to_owned());
                writeln!(text, "| `{name}` | {kind} | {} |", plain(about))?;
            }
            text.push('\n');
            for variant in variants.iter().filter(|variant| !variant.fields.is_empty()) {
                write!(
                    text,
                    "### `{path}.{}`\n\n{}\n\n",
                    variant.name,
                    plain(&variant.about)
                )?;
                write_table(text, types, &variant.fields)?;
            }
        }
    }
    Ok(())
}

fn write_table(text: &mut String, types: &Types, fields: &[Field]) -> anyhow::Result<()> {
    text.push_str(
        "| field | type | unit | default | example | meaning |\n|---|---|---|---|---|---|\n",
    );
    for field in fields {
        let row = types::row(types, field);
        writeln!(
            text,
            "| {} |",
            row.map(|cell| cell.replace('|', "\\|")).join(" | ")
        )?;
    }
    text.push('\n');
    Ok(())
}

/// Collects the types in the order in which they are used, with their paths.
fn walk<'a>(
    types: &'a Types,
    name: &'a str,
    path: String,
    order: &mut Vec<&'a str>,
    paths: &mut BTreeMap<&'a str, Vec<String>>,
) {
    let known = paths.entry(name).or_default();
    known.push(path.clone());
    if known.len() > 1 {
        return;
    }
    order.push(name);
    let below = |field: &str, many: bool| {
        let dot = if path.is_empty() { "" } else { "." };
        let list = if many { "[]" } else { "" };
        format!("{path}{dot}{field}{list}")
    };
    match &types[name].shape {
        Shape::Words(_) => {}
        Shape::Fields(fields) => {
            for field in fields {
                if let Some((used, many)) = types::used(types, &field.kind) {
                    walk(types, used, below(&field.name, many), order, paths);
                }
            }
        }
        Shape::OneOf(variants) => {
            for variant in variants {
                let used = variant
                    .value
                    .as_ref()
                    .and_then(|kind| types::used(types, kind));
                // A sum of loads has loads.
                if let Some((used, many)) = used.filter(|(used, _)| *used != name) {
                    walk(types, used, below(&variant.name, many), order, paths);
                }
                for field in &variant.fields {
                    if let Some((used, many)) = types::used(types, &field.kind) {
                        let field = format!("{}.{}", variant.name, field.name);
                        walk(types, used, below(&field, many), order, paths);
                    }
                }
            }
        }
    }
}

/// Returns a comment for a reader of the page: without links to items of the source, and
/// with the names of fields as they are written in a file.
fn plain(about: &str) -> String {
    let about = about.replace("[`", "`").replace("`]", "`");
    let parts = about.split('`').enumerate().map(|(index, part)| {
        let is_field = index % 2 == 1 && part.contains('_');
        match is_field
            && part
                .chars()
                .all(|letter| letter.is_lowercase() || letter == '_')
        {
            true => camel(part),
            false => part.to_owned(),
        }
    });
    parts.collect::<Vec<_>>().join("`")
}
