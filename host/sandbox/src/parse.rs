//! First look at a file's bytes: is it a component, whole and valid, and what
//! does it import and export? Nothing is compiled here.

use wasmparser::{BinaryReaderError, Chunk, Parser, Payload, Validator, WasmFeatures};

use crate::effort;
use crate::error::LoadError;

/// Names that a component imports and exports.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Surface {
    pub imports: Vec<String>,
    pub exports: Vec<String>,
}

/// What a validator knows beyond the engine. [`effort`] does not count what such
/// instructions hand over, so that none may get as far as being validated.
const NOT_COUNTED: WasmFeatures = WasmFeatures::EXCEPTIONS
    .union(WasmFeatures::FUNCTION_REFERENCES)
    .union(WasmFeatures::GC);

/// Parses and validates a component.
pub(crate) fn surface(bytes: &[u8]) -> Result<Surface, LoadError> {
    if !bytes.starts_with(b"\0asm") {
        return Err(LoadError::NotWasm);
    }
    if Parser::is_core_wasm(bytes) {
        return Err(LoadError::CoreModule);
    }
    let offset = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    if ends_early(bytes) {
        return Err(LoadError::Truncated { offset });
    }
    effort::check(bytes)?;
    Validator::new_with_features(WasmFeatures::default().difference(NOT_COUNTED))
        .validate_all(bytes)
        .map_err(invalid)?;
    names(bytes).map_err(invalid)
}

/// Whether the bytes end within a section, as those of a file do that is still
/// being copied.
fn ends_early(bytes: &[u8]) -> bool {
    let mut outer = Vec::new();
    let (mut parser, mut rest) = (Parser::new(0), bytes);
    loop {
        let payload = match parser.parse(rest, false) {
            Ok(Chunk::NeedMoreData(_)) => return !(rest.is_empty() && outer.is_empty()),
            Ok(Chunk::Parsed { consumed, payload }) => {
                rest = &rest[consumed..];
                payload
            }
            // Whole, as far as it goes: what is wrong is for the validator to say.
            Err(_) => return false,
        };
        match payload {
            Payload::ModuleSection { parser: inner, .. }
            | Payload::ComponentSection { parser: inner, .. } => {
                outer.push(std::mem::replace(&mut parser, inner));
            }
            Payload::End(_) => match outer.pop() {
                Some(next) => parser = next,
                None => return false,
            },
            _ => {}
        }
    }
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

pub(crate) fn invalid(error: BinaryReaderError) -> LoadError {
    LoadError::Invalid {
        message: error.message().to_owned(),
        offset: error.offset(),
    }
}
