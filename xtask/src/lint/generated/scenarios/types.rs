//! Types of fields: their names, units and examples for a reader.

use syn::{GenericArgument, PathArguments, Type};

use super::{Field, Shape, Types, plain};

/// How a type is shown.
pub struct Shown {
    pub name: String,
    pub unit: &'static str,
    pub example: String,
}

/// Types of other crates: name in Rust, name and example for a reader.
const OTHERS: [(&str, &str, &str); 18] = [
    ("String", "text", "web"),
    ("PathBuf", "path", "file.csv"),
    ("bool", "`true` or `false`", "true"),
    ("u32", "whole number", "3"),
    ("u64", "whole number", "3"),
    ("i32", "whole number", "3"),
    ("i64", "whole number", "3"),
    ("f64", "number", "0.5"),
    ("Millis", "duration", "5m"),
    ("Delay", "duration or `never`", "never"),
    ("Timestamp", "time", "2026-03-01T08:00:00Z"),
    ("Formula", "formula", "40 + 30 * sin(2 * pi * t / 1d)"),
    ("Range", "`min:max`", "0:64"),
    ("MaxDisruption", "number, percentage or rate", "10%"),
    ("DrainPriorities", "text", "0:60,1000:100"),
    ("CountOrPercent", "number or percentage", "50%"),
    ("Operator", "text", "In"),
    ("Effect", "text", "NoSchedule"),
];

/// Types of a `ReplicaAutoscaler`, which are read as in its spec.
const OF_SPEC: [&str; 6] = [
    "MetricSpec",
    "Behavior",
    "PolicyRef",
    "Combine",
    "Mode",
    "CrossVersionObjectReference",
];

/// Returns the cells of a field's row.
pub fn row(types: &Types, field: &Field) -> [String; 6] {
    let about = Comment::read(&field.about);
    let mut shown = of(types, &field.kind, field.is_quantity, &field.about);
    if let Some(example) = about.example {
        shown.example = example;
    }
    let mut default = about.default;
    if default.is_empty() {
        let is_optional = ["Option", "Vec", "BTreeMap"];
        default = if is_optional.iter().any(|kind| is(&field.kind, kind)) {
            "none".to_owned()
        } else if is(&field.kind, "bool") {
            "`false`".to_owned()
        } else {
            "those of its fields".to_owned()
        };
    }
    if shown.example == "true" && default == "`true`" {
        shown.example = "false".to_owned();
    }
    let example = match shown.example.is_empty() {
        true => "see there".to_owned(),
        false => format!("`{}`", shown.example),
    };
    let name = match field.name.as_str() {
        "extended" => "the resource's name".to_owned(),
        name => format!("`{name}`"),
    };
    let unit = match shown.unit {
        "" => "–",
        unit => unit,
    };
    let meaning = plain(&about.meaning);
    [name, shown.name, unit.to_owned(), default, example, meaning]
}

/// A field's comment in its parts.
struct Comment {
    meaning: String,
    default: String,
    example: Option<String>,
}

impl Comment {
    fn read(text: &str) -> Self {
        let mut meaning = text.to_owned();
        let mut example = None;
        if let Some((before, rest)) = text.split_once("Example: `")
            && let Some((value, after)) = rest.split_once('`')
        {
            example = Some(value.to_owned());
            let after = after.strip_prefix('.').unwrap_or(after);
            meaning = format!("{}{after}", before.trim_end());
        } else if let Some((_, rest)) = text.split_once("such as `") {
            example = rest.split_once('`').map(|(value, _)| value.to_owned());
        }
        let mut default = String::new();
        if let Some((before, rest)) = split_left_out(&meaning) {
            let end = rest.find(['.', ';']).unwrap_or(rest.len());
            rest[..end].clone_into(&mut default);
            let after = rest[end..].strip_prefix(['.', ';']).unwrap_or("");
            let before = before.trim_end_matches(['.', ';', ' ']);
            meaning = format!("{before}.{after}");
        } else if let Some((before, rest)) = meaning.clone().split_once(" (")
            && let Some((value, after)) = rest.split_once(')')
        {
            default = match value {
                "required" => "required".to_owned(),
                _ if value.starts_with('`') || value.contains(' ') && !value.contains(": ") => {
                    value.to_owned()
                }
                _ => match value.split_once(": ") {
                    Some((value, note)) => format!("`{value}` ({note})"),
                    None => format!("`{value}`"),
                },
            };
            meaning = format!("{before}{after}");
        }
        Self {
            meaning,
            default,
            example,
        }
    }
}

/// Splits a comment at `left out: `, in either case.
fn split_left_out(text: &str) -> Option<(&str, &str)> {
    text.split_once("; left out: ")
        .or_else(|| text.split_once(". Left out: "))
}

/// Returns how a type is shown.
pub fn of(types: &Types, kind: &Type, is_quantity: bool, about: &str) -> Shown {
    let (name, inner) = parts(kind);
    match (name.as_str(), inner) {
        ("Option" | "Box", Some(inner)) => of(types, inner, is_quantity, about),
        ("Vec", Some(inner)) => {
            let one = of(types, inner, is_quantity, about);
            let example = match one.example.as_str() {
                "" => String::new(),
                example => format!("[{example}]"),
            };
            Shown {
                name: match one.name.strip_prefix("as in") {
                    Some(rest) => format!("list, as in{rest}"),
                    None => format!("list of {}s", one.name).replace("texts", "text"),
                },
                example,
                ..one
            }
        }
        ("BTreeMap", Some(_)) if is_quantity => shown("whole number", "units", "1"),
        ("BTreeMap", Some(_)) => shown("map of text", "", "{team: search}"),
        ("f64", _) if is_quantity => match about {
            _ if about.contains("ytes") => shown("quantity", "bytes", "512Mi"),
            _ if about.starts_with("Core-seconds") => shown("quantity", "core-seconds", "5m"),
            _ => shown("quantity", "cores", "250m"),
        },
        ("f64", _) if about.contains("from 0 to 1") => shown("number", "0 to 1", "0.1"),
        ("f64", _) if about.starts_with("Requests per second") => {
            shown("number", "requests/s", "120")
        }
        (name, _) => match types.get(name).map(|described| &described.shape) {
            Some(Shape::Words(words)) => {
                let names: Vec<String> = words.iter().map(|word| format!("`{}`", word.0)).collect();
                let last = words.last().map_or("", |word| &word.0);
                shown(&names.join(", "), "", last)
            }
            Some(_) if !OTHERS.iter().any(|other| other.0 == name) => shown("object", "", ""),
            _ => other(name, about),
        },
    }
}

fn other(name: &str, about: &str) -> Shown {
    if OF_SPEC.contains(&name) {
        return shown("as in a `ReplicaAutoscaler`", "", "");
    }
    let found = OTHERS.iter().find(|other| other.0 == name);
    let (_, text, example) = found.copied().unwrap_or(("", name, ""));
    let unit = match name {
        "Millis" | "Delay" => "ms, s, m, h, d",
        "u32" | "Range" if about.contains("GiB") => "GiB",
        "u32" | "i32" if about.contains("seconds") => "s",
        "u32" if about.contains("nodes") || about.contains("Nodes") => "nodes",
        "u32" | "i32" if about.contains("ods") || about.contains("eplicas") => "pods",
        "Range" => "cores",
        _ => "",
    };
    shown(text, unit, example)
}

fn shown(name: &str, unit: &'static str, example: &str) -> Shown {
    Shown {
        name: name.to_owned(),
        unit,
        example: example.to_owned(),
    }
}

/// Returns the type of a scenario that a field has, and whether it has several.
pub fn used<'a>(types: &'a Types, kind: &Type) -> Option<(&'a str, bool)> {
    let (name, inner) = parts(kind);
    match (name.as_str(), inner) {
        ("Option" | "Box", Some(inner)) => used(types, inner),
        ("Vec", Some(inner)) => used(types, inner).map(|(name, _)| (name, true)),
        (name, _) if OTHERS.iter().any(|other| other.0 == name) => None,
        (name, _) => types
            .get_key_value(name)
            .map(|(name, _)| (name.as_str(), false)),
    }
}

fn is(kind: &Type, wanted: &str) -> bool {
    parts(kind).0 == wanted
}

/// Returns the last name of a type's path, and its first argument.
fn parts(kind: &Type) -> (String, Option<&Type>) {
    let Type::Path(path) = kind else {
        return (String::new(), None);
    };
    let Some(segment) = path.path.segments.last() else {
        return (String::new(), None);
    };
    let inner = match &segment.arguments {
        PathArguments::AngleBracketed(arguments) => {
            arguments.args.iter().find_map(|argument| match argument {
                GenericArgument::Type(inner) => Some(inner),
                _ => None,
            })
        }
        _ => None,
    };
    (segment.ident.to_string(), inner)
}
