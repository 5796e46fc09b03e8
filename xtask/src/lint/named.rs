//! Checks that the functions and types that the documents name exist where they say.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, bail};

use crate::workspace;

/// Documents that name functions with their files.
const DOCUMENTS: [&str; 2] = ["ARCHITECTURE.md", "docs/development.md"];

/// Words before the name of an item.
const ITEMS: [&str; 6] = ["fn", "struct", "enum", "trait", "type", "const"];

/// Fails if a document names an item that its file does not have.
pub fn check() -> anyhow::Result<()> {
    let root = workspace::root();
    let mut missing = Vec::new();
    for document in DOCUMENTS {
        let path = root.join(document);
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {document}"))?;
        for named in named(&text) {
            if !exists(&root, &named) {
                let Named { item, file } = named;
                missing.push(format!("{document} names `{item}`, which is not in {file}"));
            }
        }
    }
    if !missing.is_empty() {
        bail!("{}", missing.join("; "));
    }
    Ok(())
}

/// An item and its file, as a document names them.
#[derive(Debug, PartialEq, Eq)]
struct Named<'a> {
    item: &'a str,
    file: &'a str,
}

/// Returns what a document names as `` `Type::function` (`host/…/file.rs`) ``.
fn named(text: &str) -> Vec<Named<'_>> {
    let mut named = Vec::new();
    for (at, _) in text.match_indices("` (`") {
        let item = text[..at].rsplit('`').next().unwrap_or_default();
        let after = &text[at + "` (`".len()..];
        let Some((file, _)) = after.split_once("`)") else {
            continue;
        };
        if Path::new(file).extension().is_some_and(|kind| kind == "rs") {
            named.push(Named { item, file });
        }
    }
    named
}

/// Whether the file defines the item: the last part of its path, or its only one.
fn exists(root: &Path, Named { item, file }: &Named<'_>) -> bool {
    let Ok(text) = fs::read_to_string(root.join(file)) else {
        return false;
    };
    let name = item.rsplit("::").next().unwrap_or(item);
    ITEMS.iter().any(|kind| {
        let definition = format!("{kind} {name}");
        text.match_indices(&definition).any(|(at, _)| {
            let next = text[at + definition.len()..].chars().next();
            next.is_none_or(|next| !next.is_alphanumeric() && next != '_')
        })
    })
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        reason = "a panic is how a test says what is wrong"
    )]

    use super::{Named, check, exists, named};
    use crate::workspace;

    #[test]
    fn the_documents_name_what_is_there() {
        check().unwrap();
    }

    #[test]
    fn an_item_is_sought_in_the_file_that_is_named_with_it() {
        let text = "1. `check` (`xtask/src/lint/named.rs`) calls `named`, see `a` (b).";
        let file = "xtask/src/lint/named.rs";
        assert_eq!(
            named(text),
            [Named {
                item: "check",
                file
            }]
        );
        let exists = |item, file| exists(&workspace::root(), &Named { item, file });
        assert!(exists("lint::check", file));
        assert!(!exists("chec", file));
        assert!(!exists("check", "xtask/src/lint/nowhere.rs"));
    }
}
