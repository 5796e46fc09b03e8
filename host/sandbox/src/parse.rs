//! Parses and validates a component's bytes, and returns its imports and exports. Nothing
//! is compiled here.

use serde::{Deserialize, Serialize};
use wasmparser::{
    BinaryReaderError, Chunk, ElementItems, ElementKind, ElementSectionReader, Parser, Payload,
    Validator, WasmFeatures,
};

use crate::error::LoadError;

/// Names that a component imports and exports.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Surface {
    pub imports: Vec<String>,
    pub exports: Vec<String>,
}

/// Features that modules of guests may not use. The engine supports several memories for
/// the adapters between components. The others need a garbage collector, and the engine
/// would refuse them with an unclear message.
const NOT_FOR_GUESTS: WasmFeatures = WasmFeatures::MULTI_MEMORY
    .union(WasmFeatures::EXCEPTIONS)
    .union(WasmFeatures::FUNCTION_REFERENCES)
    .union(WasmFeatures::GC);

/// Maximum number of levels of components and modules within a component.
const MAX_DEPTH: usize = 64;

/// Maximum number of passive element segments of a core module and elements in them. All
/// core instances of a component together have then about as many as a table may have.
/// Compilers write active segments.
const MAX_PASSIVE_ELEMENTS: u64 = 300;

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
    check_depth(bytes)?;
    Validator::new_with_features(WasmFeatures::default().difference(NOT_FOR_GUESTS))
        .validate_all(bytes)
        .map_err(invalid)?;
    check_passive_elements(bytes)?;
    names(bytes).map_err(invalid)
}

/// Reports whether the bytes end within a section, as those of a file do that is still
/// being copied.
fn ends_early(bytes: &[u8]) -> bool {
    let (mut parser, mut rest) = (Parser::new(0), bytes);
    loop {
        let payload = match parser.parse(rest, false) {
            // The data ends within a section, or there is no further section.
            Ok(Chunk::NeedMoreData(_)) => return !rest.is_empty(),
            Ok(Chunk::Parsed { consumed, payload }) => {
                rest = &rest[consumed..];
                payload
            }
            // Complete so far: the validator reports what is wrong.
            Err(_) => return false,
        };
        // Of nested content only the size is needed: the file may end where it ends.
        let nested = match payload {
            Payload::ModuleSection {
                unchecked_range, ..
            }
            | Payload::ComponentSection {
                unchecked_range, ..
            } => unchecked_range,
            Payload::End(_) => return false,
            _ => continue,
        };
        match rest.get(nested.len()..) {
            Some(after) => rest = after,
            None => return true,
        }
    }
}

/// Refuses components that are nested too deep. The validator keeps some hundred bytes for
/// each level.
fn check_depth(bytes: &[u8]) -> Result<(), LoadError> {
    let mut depth = 0_usize;
    for payload in Parser::new(0).parse_all(bytes) {
        match payload {
            Ok(
                Payload::ComponentSection {
                    unchecked_range: range,
                    ..
                }
                | Payload::ModuleSection {
                    unchecked_range: range,
                    ..
                },
            ) => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Err(LoadError::Invalid {
                        message: format!("components are nested more than {MAX_DEPTH} levels deep"),
                        offset: u64::try_from(range.start).unwrap_or(u64::MAX),
                    });
                }
            }
            Ok(Payload::End(_)) => depth = depth.saturating_sub(1),
            Ok(_) => {}
            // The validator reports what is wrong.
            Err(_) => return Ok(()),
        }
    }
    Ok(())
}

/// Refuses core modules with many passive elements. Each core instance has a copy of them in
/// the host's memory, which is made when it is instantiated, without fuel. An active segment
/// takes fuel, or each of its elements is copied when it is used. A declared one is not copied.
///
/// The bytes must be valid: then a module has one element section.
fn check_passive_elements(bytes: &[u8]) -> Result<(), LoadError> {
    for payload in Parser::new(0).parse_all(bytes) {
        let Payload::ElementSection(section) = payload.map_err(invalid)? else {
            continue;
        };
        let offset = section.range().start;
        let count = passive_elements(section).map_err(invalid)?;
        if count > MAX_PASSIVE_ELEMENTS {
            return Err(LoadError::Invalid {
                message: format!(
                    "a core module has {count} passive element segments and elements in them, \
                     at most {MAX_PASSIVE_ELEMENTS} are allowed"
                ),
                offset: u64::try_from(offset).unwrap_or(u64::MAX),
            });
        }
    }
    Ok(())
}

/// Returns the number of passive segments of an element section and of elements in them.
fn passive_elements(section: ElementSectionReader<'_>) -> Result<u64, BinaryReaderError> {
    let mut count = 0_u64;
    for segment in section {
        let segment = segment?;
        if matches!(segment.kind, ElementKind::Passive) {
            let elements = match segment.items {
                ElementItems::Functions(items) => items.count(),
                ElementItems::Expressions(_, items) => items.count(),
            };
            count = count.saturating_add(1).saturating_add(elements.into());
        }
    }
    Ok(count)
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

fn invalid(error: BinaryReaderError) -> LoadError {
    LoadError::Invalid {
        message: error.message().to_owned(),
        offset: u64::try_from(error.offset()).unwrap_or(u64::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_DEPTH, surface};
    use crate::error::LoadError;

    /// Begins a component.
    const HEADER: &[u8] = b"\0asm\x0d\0\x01\0";
    /// Id of a section that is a component.
    const COMPONENT: u8 = 4;

    fn leb128(mut number: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        loop {
            let low = u8::try_from(number & 0x7f).unwrap_or_default();
            number >>= 7;
            if number == 0 {
                bytes.push(low);
                return bytes;
            }
            bytes.push(low | 0x80);
        }
    }

    /// Returns empty components, each within the next, with this many levels below the
    /// outermost.
    fn nested(levels: usize) -> Vec<u8> {
        let mut sizes = vec![HEADER.len()];
        for level in 0..levels {
            let inner = sizes[level];
            sizes.push(HEADER.len() + 1 + leb128(inner).len() + inner);
        }
        let mut bytes = Vec::with_capacity(sizes[levels]);
        for inner in sizes[..levels].iter().rev() {
            bytes.extend(HEADER);
            bytes.push(COMPONENT);
            bytes.extend(leb128(*inner));
        }
        bytes.extend(HEADER);
        bytes
    }

    #[test]
    fn components_that_are_nested_too_deep_are_refused_while_they_are_read() {
        assert!(surface(&nested(MAX_DEPTH)).is_ok());
        // The last one has the largest size that is read: 32 MiB.
        for levels in [MAX_DEPTH + 1, 1_000, 2_500_000] {
            let bytes = nested(levels);
            assert!(bytes.len() <= 32 << 20);
            let refused = surface(&bytes);
            let Err(LoadError::Invalid { message, .. }) = &refused else {
                panic!("{levels}: {refused:?}");
            };
            assert!(message.contains("64 levels deep"), "{levels}: {message}");
        }
    }
}
