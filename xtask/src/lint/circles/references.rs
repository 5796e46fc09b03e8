//! Reads which modules of a crate refer to which.
//!
//! A reference is a path that begins with `crate`, or with as many `super` as lead to the
//! crate's root, also in a macro. A name that the root only re-exports stands for the
//! module that has the item. Not seen are paths in strings of attributes, and names that the
//! root re-exports with `*`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use syn::buffer::{Cursor, TokenBuffer};
use syn::visit::{self, Visit};
use syn::{Attribute, ImplItem, Item, ItemMod, ItemUse, Macro, Meta, UseTree};

use super::Arrows;

/// Reads the crate whose root is this file. Files are relative to the crate's folder.
///
/// # Errors
/// If a file cannot be read or parsed, or imports all names of the crate's root.
pub(super) fn arrows_of(folder: &Path, root: &Path) -> anyhow::Result<Arrows> {
    let mut reader = Reader {
        unread: vec![SourceFile {
            path: Vec::new(),
            candidates: vec![root.to_owned()],
        }],
        ..Reader::default()
    };
    while let Some(source) = reader.unread.pop() {
        let files = source.candidates;
        let Some(file) = files.iter().find(|file| file.is_file()) else {
            bail!("there is no file of module {}", source.path.join("::"));
        };
        let text = fs::read_to_string(file);
        let text = text.with_context(|| format!("cannot read {}", file.display()))?;
        let syntax =
            syn::parse_file(&text).with_context(|| format!("cannot parse {}", file.display()))?;
        reader.children = folder_of_children(file, source.path.is_empty());
        reader.path = source.path;
        reader.file = file.strip_prefix(folder).unwrap_or(file).to_owned();
        reader.visit_file(&syntax);
    }
    reader.arrows()
}

/// A file to read.
struct SourceFile {
    /// Path of its module.
    path: Vec<String>,
    /// The files that it may be.
    candidates: Vec<PathBuf>,
}

/// Returns the folder of the files of a file's modules.
fn folder_of_children(file: &Path, is_root: bool) -> PathBuf {
    if is_root || file.ends_with("mod.rs") {
        file.with_file_name("")
    } else {
        file.with_extension("")
    }
}

/// A path that leads through the crate's root.
struct Reference {
    /// Module that it is in.
    from: String,
    /// Its name in the root; `None` stands for all names.
    name: Option<String>,
    file: PathBuf,
}

#[derive(Default)]
struct Reader {
    unread: Vec<SourceFile>,
    /// Modules of the root.
    modules: BTreeSet<String>,
    /// Other names in the root, and the first name of the path that they stand for.
    names: BTreeMap<String, String>,
    references: Vec<Reference>,
    /// The file that is being read.
    file: PathBuf,
    /// The folder of its modules' files.
    children: PathBuf,
    /// Path of the module that is being read.
    path: Vec<String>,
}

impl Reader {
    fn arrows(self) -> anyhow::Result<Arrows> {
        let mut arrows = Arrows::new();
        for reference in &self.references {
            let Some(name) = &reference.name else {
                let file = reference.file.display();
                bail!("{file} imports all names of the crate's root: name those that it uses");
            };
            // A name in the root can stand for one that is there only in turn.
            let steps = std::iter::successors(Some(name), |name| self.names.get(*name));
            let mut steps = steps.take(self.names.len() + 1);
            let Some(module) = steps.find(|name| self.modules.contains(*name)) else {
                continue;
            };
            if *module != reference.from {
                let of_module = arrows.entry(reference.from.clone()).or_default();
                let first: &mut PathBuf = of_module
                    .entry(module.clone())
                    .or_insert_with(|| reference.file.clone());
                if reference.file < *first {
                    first.clone_from(&reference.file);
                }
            }
        }
        Ok(arrows)
    }

    /// Notes a path if it leads through the crate's root.
    fn refer(&mut self, path: &[String]) {
        let Some(from) = self.path.first() else {
            return;
        };
        let mut names = path.iter().map(String::as_str).peekable();
        if names.peek() == Some(&"crate") {
            names.next();
        } else {
            names.next_if_eq(&"self");
            let mut up = 0;
            while names.next_if_eq(&"super").is_some() {
                up += 1;
            }
            if up != self.path.len() {
                return;
            }
        }
        let name = match names.next() {
            Some("*") => None,
            Some(name) => Some(name.to_owned()),
            None => return,
        };
        self.references.push(Reference {
            from: from.clone(),
            name,
            file: self.file.clone(),
        });
    }

    /// Notes the paths in a macro's tokens.
    fn refer_in(&mut self, mut cursor: Cursor<'_>) {
        while !cursor.eof() {
            if let Some((inside, _, _, rest)) = cursor.any_group() {
                self.refer_in(inside);
                cursor = rest;
            } else if let Some((ident, rest)) = cursor.ident() {
                let mut path = vec![ident.to_string()];
                cursor = rest;
                while let Some((ident, rest)) = after_colons(cursor).and_then(Cursor::ident) {
                    path.push(ident.to_string());
                    cursor = rest;
                }
                self.refer(&path);
            } else if let Some((_, rest)) = cursor.token_tree() {
                cursor = rest;
            }
        }
    }
}

/// Returns what follows `::`.
fn after_colons(cursor: Cursor<'_>) -> Option<Cursor<'_>> {
    after_colon(cursor).and_then(after_colon)
}

fn after_colon(cursor: Cursor<'_>) -> Option<Cursor<'_>> {
    let (punct, rest) = cursor.punct()?;
    (punct.as_char() == ':').then_some(rest)
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item(&mut self, item: &'ast Item) {
        if !is_for_tests(attributes_of(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item(&mut self, item: &'ast ImplItem) {
        let is_for_tests = matches!(item, ImplItem::Fn(function) if is_for_tests(&function.attrs));
        if !is_for_tests {
            visit::visit_impl_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        let name = item.ident.to_string();
        if self.path.is_empty() {
            self.modules.insert(name.clone());
        }
        let children = self.children.join(&name);
        self.path.push(name);
        if item.content.is_some() {
            let outside = std::mem::replace(&mut self.children, children);
            visit::visit_item_mod(self, item);
            self.children = outside;
        } else {
            self.unread.push(SourceFile {
                path: self.path.clone(),
                candidates: vec![children.with_extension("rs"), children.join("mod.rs")],
            });
        }
        self.path.pop();
    }

    fn visit_item_macro(&mut self, item: &'ast syn::ItemMacro) {
        let is_exported = |attribute: &Attribute| attribute.path().is_ident("macro_export");
        if let (Some(name), Some(module)) = (&item.ident, self.path.first())
            && item.attrs.iter().any(is_exported)
        {
            self.names.insert(name.to_string(), module.clone());
        }
        visit::visit_item_macro(self, item);
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        let mut imports = Vec::new();
        add_imports(&item.tree, &mut Vec::new(), &mut imports);
        for (path, name) in imports {
            let mut from_root = path
                .iter()
                .filter(|name| *name != "crate" && *name != "self");
            if self.path.is_empty()
                && let Some(first) = from_root.next()
                && *first != name
            {
                self.names.insert(name, first.clone());
            }
            self.refer(&path);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names = path.segments.iter();
        let names: Vec<String> = names.map(|segment| segment.ident.to_string()).collect();
        self.refer(&names);
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast Macro) {
        self.refer_in(TokenBuffer::new2(call.tokens.clone()).begin());
        visit::visit_macro(self, call);
    }
}

/// Adds the paths that a `use` imports, each with its name in the module. The last name of
/// a path is `*` if it imports all names there.
fn add_imports(tree: &UseTree, prefix: &mut Vec<String>, imports: &mut Vec<(Vec<String>, String)>) {
    let (ident, name) = match tree {
        UseTree::Path(path) => {
            prefix.push(path.ident.to_string());
            add_imports(&path.tree, prefix, imports);
            prefix.pop();
            return;
        }
        UseTree::Group(group) => {
            for tree in &group.items {
                add_imports(tree, prefix, imports);
            }
            return;
        }
        UseTree::Name(name) => (name.ident.to_string(), None),
        UseTree::Rename(rename) => (rename.ident.to_string(), Some(rename.rename.to_string())),
        UseTree::Glob(_) => ("*".to_owned(), None),
    };
    let mut path = prefix.clone();
    // `a::{self}` imports `a`.
    if ident != "self" || path.is_empty() {
        path.push(ident);
    }
    let name = name.or_else(|| path.last().cloned()).unwrap_or_default();
    imports.push((path, name));
}

/// Reports whether an item is compiled for tests only.
fn is_for_tests(attributes: &[Attribute]) -> bool {
    let is_cfg_test = |attribute: &Attribute| match &attribute.meta {
        Meta::List(list) => list.path.is_ident("cfg") && list.tokens.to_string() == "test",
        _ => false,
    };
    attributes.iter().any(is_cfg_test)
}

fn attributes_of(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}
