//! What can be wrong with a scenario.

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
    /// It is not YAML of a scenario's shape.
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
        /// What is wrong.
        message: String,
    },
    /// A value has the right shape and makes no sense.
    #[error("{file}: {field}: {message}", file = file.display())]
    Invalid {
        /// The scenario's file.
        file: PathBuf,
        /// Path of the field.
        field: String,
        /// What is wrong.
        message: String,
    },
    /// A file that the scenario names can't be used.
    #[error("{file}:{line}: {message}", file = file.display())]
    Csv {
        /// The file with the load.
        file: PathBuf,
        /// Line, from 1; 0: the file as a whole.
        line: usize,
        /// What is wrong.
        message: String,
    },
}

/// The error of the YAML reader, with the field at which it stood.
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
