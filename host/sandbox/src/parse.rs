//! First look at a file's bytes: is it a component, whole and valid, and what
//! does it import and export? Nothing is compiled here.

use wasmparser::{BinaryReaderError, Parser, Payload, Validator, WasmFeatures};

use crate::error::LoadError;

/// Names that a component imports and exports.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Surface {
    pub imports: Vec<String>,
    pub exports: Vec<String>,
}

/// Parses and validates a component.
pub(crate) fn surface(bytes: &[u8]) -> Result<Surface, LoadError> {
    if !bytes.starts_with(b"\0asm") {
        return Err(LoadError::NotWasm);
    }
    if Parser::is_core_wasm(bytes) {
        return Err(LoadError::CoreModule);
    }
    Validator::new_with_features(WasmFeatures::default())
        .validate_all(bytes)
        .map_err(|error| load_error(&error, bytes.len()))?;
    names(bytes).map_err(|error| load_error(&error, bytes.len()))
}

fn names(bytes: &[u8]) -> Result<Surface, BinaryReaderError> {
    let mut surface = Surface::default();
    // Nested modules and components have surfaces of their own.
    let mut depth = 0_usize;
    for payload in Parser::new(0).parse_all(bytes) {
        match payload? {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(section) if depth == 0 => {
                for import in section {
                    surface.imports.push(import?.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(section) if depth == 0 => {
                for export in section {
                    surface.exports.push(export?.name.name.to_owned());
                }
            }
            _ => {}
        }
    }
    Ok(surface)
}

/// An error at the very end means that there should have been more.
fn load_error(error: &BinaryReaderError, length: usize) -> LoadError {
    let length = u64::try_from(length).unwrap_or(u64::MAX);
    let message = error.message();
    let cut = message.contains("unexpected end") || message.contains("out of bounds");
    if cut && error.offset() >= length.saturating_sub(16) {
        return LoadError::Truncated { offset: length };
    }
    LoadError::Invalid { message: message.to_owned(), offset: error.offset() }
}
