//! How much work a component may be to compile. Compiling takes no fuel and
//! cannot be interrupted, so it is bounded before it begins, by what is the same
//! on every machine: the size of the code, and its shape.
//!
//! Cranelift's work grows with a function's bytes, but also with its locals times
//! its blocks, as each local may have a value of its own in each block.

use wasmparser::{BinaryReaderError, FunctionBody, Operator, Parser, Payload};

use crate::error::LoadError;

/// Largest function, in bytes. The main loops of interpreters, the largest there
/// are in earnest, have some hundred KiB.
const FUNCTION_BYTES: usize = 1 << 20;
/// Most functions of a component: an interpreter has some 20,000.
const FUNCTIONS: usize = 200_000;
/// Locals times blocks, of all functions together: some hundred times what an
/// interpreter has.
const LOCAL_BLOCKS: u64 = 200_000_000;

/// What a component is to compile.
#[derive(Debug, Default)]
struct Effort {
    functions: usize,
    local_blocks: u64,
}

/// Refuses a valid component that would be compiled for minutes.
pub(crate) fn check(bytes: &[u8]) -> Result<(), LoadError> {
    let mut effort = Effort::default();
    for payload in Parser::new(0).parse_all(bytes) {
        // Modules within the component come along.
        if let Payload::CodeSectionEntry(body) = payload.map_err(crate::parse::invalid)? {
            effort.add(&body)?;
        }
    }
    Ok(())
}

impl Effort {
    fn add(&mut self, body: &FunctionBody<'_>) -> Result<(), LoadError> {
        self.functions += 1;
        let size = body.as_bytes().len();
        let local_blocks = local_blocks(body).map_err(crate::parse::invalid)?;
        self.local_blocks = self.local_blocks.saturating_add(local_blocks);
        let excess = if size > FUNCTION_BYTES {
            format!("a function has {size} bytes, at most {FUNCTION_BYTES} are compiled")
        } else if self.functions > FUNCTIONS {
            format!("it has more than {FUNCTIONS} functions")
        } else if self.local_blocks > LOCAL_BLOCKS {
            format!("its locals times its blocks are more than {LOCAL_BLOCKS}")
        } else {
            return Ok(());
        };
        Err(LoadError::TooComplex(excess))
    }
}

/// A function's locals times its blocks.
fn local_blocks(body: &FunctionBody<'_>) -> Result<u64, BinaryReaderError> {
    let mut locals = 0_u64;
    for group in body.get_locals_reader()? {
        locals += u64::from(group?.0);
    }
    let mut blocks = 1_u64;
    for operator in body.get_operators_reader()? {
        blocks += match operator? {
            Operator::Block { .. }
            | Operator::Loop { .. }
            | Operator::If { .. }
            | Operator::Else
            | Operator::BrIf { .. } => 1,
            Operator::BrTable { targets } => u64::from(targets.len()),
            _ => 0,
        };
    }
    Ok(locals * blocks)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail where it stands")]

    use super::check;
    use crate::error::LoadError;

    fn refusal(functions: &str) -> Result<(), LoadError> {
        let text = format!("(component (core module {functions}))");
        check(&wat::parse_str(text).unwrap())
    }

    #[test]
    fn what_would_be_compiled_for_minutes_is_refused_by_its_shape() {
        let large = format!("(func {})", "nop ".repeat(1_100_000));
        let locals = "i32 ".repeat(50_000);
        let tangled = format!("(func (local {locals}) {})", "(block)".repeat(4_100));
        let many = "(func)".repeat(200_001);
        for (functions, what) in [
            (large, "bytes, at most"),
            (tangled, "locals times its blocks"),
            (many, "functions"),
        ] {
            match refusal(&functions) {
                Err(LoadError::TooComplex(reason)) => assert!(reason.contains(what), "{reason}"),
                other => panic!("{what}: {other:?}"),
            }
        }
        let usual = "(func (local i32 i64) (block (loop (br_if 0 (i32.const 0)))))".repeat(1_000);
        assert_eq!(refusal(&usual), Ok(()));
    }
}
