//! Errors of scenarios.

use std::path::{Path, PathBuf};

use serde_saphyr::{DefaultMessageFormatter, MessageFormatter as _};

/// Why a scenario can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// The file can't be read.
    #[error("cannot read scenario {file}: {source}", file = file.display())]
    Read {
        /// The scenario's file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is not YAML with a scenario's fields.
    #[error("{file}:{line}:{column}: {field}: {message}", file = file.display())]
    Syntax {
        /// The scenario's file.
        file: PathBuf,
        /// Line, from 1.
        line: u64,
        /// Column, from 1.
        column: u64,
        /// Path of the field.
        field: String,
        /// The error.
        message: String,
    },
    /// A value has the right type but is not valid.
    #[error("{file}: {field}: {message}", file = file.display())]
    Invalid {
        /// The scenario's file.
        file: PathBuf,
        /// Path of the field.
        field: String,
        /// The error.
        message: String,
    },
    /// A file that the scenario names can't be used.
    #[error("{file}:{line}: {message}", file = file.display())]
    Csv {
        /// The file with the load.
        file: PathBuf,
        /// Line, from 1; 0 for the whole file.
        line: usize,
        /// The error.
        message: String,
    },
}

/// Converts an error of the YAML reader; `path` is the field it had reached.
pub(super) fn syntax(file: &Path, path: &str, error: &serde_saphyr::Error) -> ScenarioError {
    let location = error.location();
    let field = if path.is_empty() || path == "." {
        "scenario"
    } else {
        path
    };
    ScenarioError::Syntax {
        file: file.to_owned(),
        line: location.map_or(0, |location| location.line()),
        column: location.map_or(0, |location| location.column()),
        field: field.to_owned(),
        message: DefaultMessageFormatter
            .format_message(error.without_snippet())
            .into_owned(),
    }
}
