//! The tables of `docs/sdk.md`: the functions of the SDK's views and builders, from their
//! sources.
//!
//! A part of the page is named by the file and the type of which it lists the functions.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, ensure};

use super::page::{parts, replace};

/// The page.
pub const PAGE: &str = "docs/sdk.md";

/// A function as the page has it.
struct Listed {
    name: String,
    arguments: String,
    returns: String,
    about: String,
}

/// Returns the page with its generated parts as they must be.
pub fn page(root: &Path) -> anyhow::Result<String> {
    let mut page =
        fs::read_to_string(root.join(PAGE)).with_context(|| format!("cannot read {PAGE}"))?;
    for part in parts(&page.clone()) {
        let (file, kind) = part.split_once(' ').with_context(|| part.to_owned())?;
        let source = fs::read_to_string(root.join("sdk/rust/src").join(file))
            .with_context(|| format!("{PAGE} names {file}"))?;
        let functions = functions(&source, kind);
        ensure!(
            !functions.is_empty(),
            "{PAGE}: {kind} has no function in {file}"
        );
        page = replace(PAGE, &page, part, &table(&functions)?)?;
    }
    Ok(page)
}

/// Returns the public functions of a type, or of a macro of that name, in their order.
fn functions(source: &str, kind: &str) -> Vec<Listed> {
    let mut functions = Vec::new();
    let mut is_inside = false;
    let mut about = String::new();
    let mut signature = String::new();
    for line in source.lines() {
        let text = line.trim();
        if !line.starts_with(' ') && line.ends_with('{') {
            is_inside = is_of(line, kind);
        }
        if !signature.is_empty() {
            signature = signature + " " + text;
        } else if let Some(doc) = text.strip_prefix("///") {
            about = about + " " + doc.trim();
            continue;
        } else if is_inside && (text.starts_with("pub fn ") || text.starts_with("pub const fn ")) {
            text.clone_into(&mut signature);
        } else if text.starts_with("#[") {
            continue;
        }
        if signature.ends_with('{') {
            functions.extend(listed(&signature, &about));
            signature.clear();
        }
        if signature.is_empty() {
            about.clear();
        }
    }
    functions
}

/// Reports whether a line begins an implementation of that type, or that macro.
fn is_of(line: &str, kind: &str) -> bool {
    let rest = match line.strip_prefix("impl") {
        Some(rest) if !line.contains(" for ") => rest,
        _ => return line == format!("macro_rules! {kind} {{"),
    };
    let rest = match rest.strip_prefix('<') {
        Some(parameters) => parameters.split_once("> ").map_or("", |(_, rest)| rest),
        None => rest.trim_start(),
    };
    rest.strip_prefix(kind)
        .is_some_and(|rest| !rest.starts_with(char::is_alphanumeric))
}

/// Reads a signature. Columns of the contract are not listed: they are for speed alone.
fn listed(signature: &str, about: &str) -> Option<Listed> {
    let (_, rest) = signature.split_once("fn ")?;
    let (name, rest) = rest.split_at(rest.find(['(', '<'])?);
    let rest = rest.split_once('(')?.1;
    let rest = rest.trim_end_matches('{').trim();
    let (arguments, after) = rest.split_at_checked(closing(rest)?)?;
    let returns = after.strip_prefix(") -> ").unwrap_or_default();
    let returns = returns
        .split(" where")
        .next()
        .unwrap_or_default()
        .replace("$crate::", "");
    let arguments = arguments
        .split(", ")
        .filter(|argument| !argument.ends_with("self"));
    let arguments = arguments.map(|argument| argument.trim_start_matches("mut "));
    let arguments: Vec<&str> = arguments.collect();
    // Without the sections about panics and errors.
    let summary = about.split(" # ").next().unwrap_or_default();
    let is_column = returns.contains("wire::");
    (!is_column).then(|| Listed {
        name: name.trim_start_matches("r#").to_owned(),
        arguments: simple(arguments.join(", ").trim_end_matches([',', ' '])),
        returns: simple(&returns),
        about: without_links(summary.trim()),
    })
}

/// Returns the place of the parenthesis that closes one before the text.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 1;
    text.find(|letter| {
        depth += match letter {
            '(' => 1,
            ')' => -1,
            _ => 0,
        };
        depth == 0
    })
}

/// Returns a comment without links to items: `` [`because`](Self::because) `` is
/// `` `because` ``.
fn without_links(about: &str) -> String {
    let mut text = String::new();
    let mut rest = about;
    while let Some((before, after)) = rest.split_once("[`") {
        let Some((item, after)) = after.split_once("`]") else {
            break;
        };
        text = text + before + "`" + item + "`";
        rest = match after
            .strip_prefix('(')
            .and_then(|target| target.split_once(')'))
        {
            Some((_, after)) => after,
            None => after,
        };
    }
    text + rest
}

/// Returns a type without lifetimes, and iterators by what they give.
fn simple(kind: &str) -> String {
    let mut text = kind
        .replace("<'_>", "")
        .replace("<'a>", "")
        .replace("&'a ", "&");
    for bound in [" + Clone", " + 'a", " + '_"] {
        text = text.replace(bound, "");
    }
    for iterator in [
        "ExactSizeIterator",
        "DoubleEndedIterator",
        "IntoIterator",
        "Iterator",
    ] {
        let begin = format!("impl {iterator}<Item = ");
        while let Some((before, rest)) = text.split_once(&begin) {
            let mut depth = 1;
            let end = rest.find(|letter| {
                depth += match letter {
                    '<' => 1,
                    '>' => -1,
                    _ => 0,
                };
                depth == 0
            });
            let end = end.unwrap_or(rest.len());
            let after = rest.get(end + 1..).unwrap_or_default();
            text = format!("{before}iterator of {}{after}", &rest[..end]);
        }
    }
    text
}

fn table(functions: &[Listed]) -> anyhow::Result<String> {
    let mut text = String::from("| function | returns | unit | meaning |\n|---|---|---|---|\n");
    for function in functions {
        let Listed {
            name,
            arguments,
            returns,
            about,
        } = function;
        let returns = match returns.as_str() {
            "" => "–".to_owned(),
            "Self" => "the same".to_owned(),
            returns => format!("`{returns}`"),
        };
        let unit = unit(&returns, arguments, about);
        writeln!(
            text,
            "| `{name}({arguments})` | {returns} | {unit} | {about} |"
        )?;
    }
    Ok(text)
}

/// Returns the unit of what a function returns, or takes.
fn unit(returns: &str, arguments: &str, about: &str) -> &'static str {
    let kinds = format!("{returns} {arguments}");
    let says = |word: &str| about.contains(word);
    match kinds.as_str() {
        _ if says("rice") => "price of an hour",
        _ if says("in milli") => "1/1000 of the metric's unit",
        _ if says("ercent") => "percent",
        _ if says("metric's unit") => "the metric's unit",
        _ if says("part of the requests") || says("olerance") || says("unanswered") => "1 is 100%",
        _ if says("from 0 to 1") || says("threshold") => "0 to 1",
        _ if says("in cores") => "cores",
        _ if says("in GiB") => "GiB",
        _ if says("GPUs.") => "GPUs",
        kinds if kinds.contains("Resources") => "1/1000 core, bytes, GPUs",
        kinds if kinds.contains("(Time, i32)") => "time, replicas",
        kinds if kinds.contains("Time") => "ms since 1970",
        kinds if kinds.contains("Duration") => "time",
        kinds if kinds.contains("u32") || kinds.contains("i32") || kinds.contains("i64") => {
            match about {
                _ if says("eplicas") => "replicas",
                _ if says("riority") => "priority",
                _ if says("isruption") => "budgets, disruptions",
                _ if says("odes") => "nodes",
                _ if says("ods") => "pods",
                _ => "–",
            }
        }
        _ => "–",
    }
}
