//! How much work a component may be to compile. Neither compiling nor validating
//! takes fuel or can be interrupted, so both are bounded before they begin, by what
//! is the same on every machine: the size of the code, and its shape.
//!
//! Cranelift's work grows with a function's bytes, but also
//!
//! - with its variables times its blocks, as each variable may have a value of its
//!   own in each block; variables are parameters and locals, and of each block what
//!   its type takes and leaves;
//! - with the values that its calls and branches hand over: two bytes of code hand
//!   over two thousand where the types are that wide, and each of them is popped,
//!   pushed and compiled by itself.

use wasmparser::{
    BinaryReaderError, BlockType, CompositeInnerType, Encoding, FunctionBody, Operator, Parser,
    Payload, TypeRef, TypeSectionReader,
};

use crate::error::LoadError;

/// Largest function, in bytes. The main loops of interpreters, the largest there
/// are in earnest, have some hundred KiB.
const FUNCTION_BYTES: usize = 1 << 20;
/// Most functions of a component: an interpreter has some 20,000.
const FUNCTIONS: usize = 200_000;
/// Values that a function's calls and branches hand over. Where each was put on the
/// stack by an instruction of its own, there are fewer than bytes.
const FUNCTION_VALUES: u64 = 1 << 20;
/// The same of all functions together: as many as the largest policy has bytes.
const VALUES: u64 = 32 << 20;
/// Variables times blocks, of all functions together: dozens of times what an
/// interpreter has. Cranelift keeps four bytes for each.
const VARIABLE_BLOCKS: u64 = 100_000_000;

/// What a component is to compile.
#[derive(Debug, Default)]
struct Effort {
    functions: usize,
    variable_blocks: u64,
    values: u64,
}

/// Refuses a component that would be validated or compiled for minutes. What is
/// wrong with it otherwise is for the validator to say.
pub(crate) fn check(bytes: &[u8]) -> Result<(), LoadError> {
    let mut effort = Effort::default();
    let mut module = Module::default();
    for payload in Parser::new(0).parse_all(bytes) {
        // Modules within the component come along.
        match payload.map_err(crate::parse::invalid)? {
            Payload::Version {
                encoding: Encoding::Module,
                ..
            } => module = Module::default(),
            Payload::CodeSectionEntry(body) => {
                let shape = module.next_shape(&body).map_err(crate::parse::invalid)?;
                effort.add(body.as_bytes().len(), &shape)?;
            }
            payload => module.note(payload).map_err(crate::parse::invalid)?,
        }
    }
    Ok(())
}

impl Effort {
    /// Counts a function of so many bytes.
    fn add(&mut self, size: usize, shape: &Shape) -> Result<(), LoadError> {
        self.functions += 1;
        self.values = self.values.saturating_add(shape.values);
        self.variable_blocks = self
            .variable_blocks
            .saturating_add(shape.variables.saturating_mul(shape.blocks));
        let excess = if size > FUNCTION_BYTES {
            format!("a function has {size} bytes, at most {FUNCTION_BYTES} are compiled")
        } else if self.functions > FUNCTIONS {
            format!("it has more than {FUNCTIONS} functions")
        } else if shape.values > FUNCTION_VALUES {
            format!("a function's calls and branches hand over more than {FUNCTION_VALUES} values")
        } else if self.values > VALUES {
            format!("its calls and branches hand over more than {VALUES} values")
        } else if self.variable_blocks > VARIABLE_BLOCKS {
            format!("its variables times its blocks are more than {VARIABLE_BLOCKS}")
        } else {
            return Ok(());
        };
        Err(LoadError::TooComplex(excess))
    }
}

/// What a function or a block takes and leaves.
#[derive(Clone, Copy, Debug, Default)]
struct Signature {
    parameters: u64,
    results: u64,
}

impl Signature {
    fn values(self) -> u64 {
        self.parameters + self.results
    }
}

/// What is known of a core module when its code comes. An index that leads nowhere
/// counts as the empty signature: such a module is not valid.
#[derive(Debug, Default)]
struct Module {
    types: Vec<Signature>,
    /// Types of the functions by index, imported ones first.
    functions: Vec<u32>,
    /// Function whose body comes next.
    next: usize,
}

impl Module {
    fn note(&mut self, payload: Payload<'_>) -> Result<(), BinaryReaderError> {
        match payload {
            Payload::TypeSection(section) => self.note_types(section)?,
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    if let TypeRef::Func(index) | TypeRef::FuncExact(index) = import?.ty {
                        self.functions.push(index);
                    }
                }
                self.next = self.functions.len();
            }
            Payload::FunctionSection(section) => {
                for index in section {
                    self.functions.push(index?);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn note_types(&mut self, section: TypeSectionReader<'_>) -> Result<(), BinaryReaderError> {
        let count = |values: usize| u64::try_from(values).unwrap_or(u64::MAX);
        for group in section {
            for one in group?.into_types() {
                self.types.push(match one.composite_type.inner {
                    CompositeInnerType::Func(function) => Signature {
                        parameters: count(function.params().len()),
                        results: count(function.results().len()),
                    },
                    _ => Signature::default(),
                });
            }
        }
        Ok(())
    }

    /// Measures the next function's body.
    fn next_shape(&mut self, body: &FunctionBody<'_>) -> Result<Shape, BinaryReaderError> {
        let signature = self.function(self.next);
        self.next += 1;
        let mut shape = Shape {
            variables: signature.parameters,
            blocks: 1,
            values: signature.values(),
            labels: vec![signature.results],
        };
        for group in body.get_locals_reader()? {
            shape.variables += u64::from(group?.0);
        }
        for operator in body.get_operators_reader()? {
            self.measure(&mut shape, operator?)?;
        }
        Ok(shape)
    }

    fn measure(&self, shape: &mut Shape, operator: Operator<'_>) -> Result<(), BinaryReaderError> {
        match operator {
            Operator::Block { blockty } => {
                let signature = self.block(blockty);
                shape.enter(1, signature, signature.results);
            }
            Operator::If { blockty } => {
                let signature = self.block(blockty);
                shape.enter(3, signature, signature.results);
            }
            // Fuel and epoch are looked at where a loop begins.
            Operator::Loop { blockty } => {
                let signature = self.block(blockty);
                shape.enter(6, signature, signature.parameters);
            }
            Operator::End => {
                shape.labels.pop();
            }
            Operator::Br { relative_depth } => shape.branch(relative_depth),
            Operator::BrIf { relative_depth } => {
                shape.blocks += 2;
                shape.branch(relative_depth);
            }
            Operator::BrTable { targets } => {
                shape.blocks += u64::from(targets.len()) + 1;
                shape.branch(targets.default());
                for target in targets.targets() {
                    shape.branch(target?);
                }
            }
            Operator::Return => shape.values += shape.labels.first().unwrap_or(&0),
            Operator::Call { function_index } | Operator::ReturnCall { function_index } => {
                let index = usize::try_from(function_index).unwrap_or(usize::MAX);
                shape.values += self.function(index).values();
            }
            Operator::CallIndirect { type_index, .. }
            | Operator::ReturnCallIndirect { type_index, .. } => {
                shape.blocks += 2;
                shape.values += self.signature(type_index).values();
            }
            _ => {}
        }
        Ok(())
    }

    fn block(&self, block: BlockType) -> Signature {
        match block {
            BlockType::Empty => Signature::default(),
            BlockType::Type(_) => Signature {
                parameters: 0,
                results: 1,
            },
            BlockType::FuncType(index) => self.signature(index),
        }
    }

    fn function(&self, index: usize) -> Signature {
        let index = self.functions.get(index);
        index.map_or_else(Signature::default, |&index| self.signature(index))
    }

    fn signature(&self, index: u32) -> Signature {
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        self.types.get(index).copied().unwrap_or_default()
    }
}

/// What a function is to compile, beside its bytes.
struct Shape {
    variables: u64,
    blocks: u64,
    /// Values handed over by calls and branches, and at the borders of blocks.
    values: u64,
    /// Values that a branch to each block around takes along, innermost last.
    labels: Vec<u64>,
}

impl Shape {
    /// Enters a block that is so many for cranelift.
    fn enter(&mut self, blocks: u64, signature: Signature, label: u64) {
        self.blocks += blocks;
        self.variables += signature.values();
        self.values += signature.values();
        self.labels.push(label);
    }

    fn branch(&mut self, relative_depth: u32) {
        let depth = usize::try_from(relative_depth).unwrap_or(usize::MAX);
        self.values += self.labels.iter().rev().nth(depth).unwrap_or(&0);
    }
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

    /// A module with a type that takes and leaves a thousand values, a function of
    /// it, and one with this body.
    fn wide(body: &str) -> String {
        let values = "i32 ".repeat(1_000);
        let put = "(i32.const 0)".repeat(1_000);
        format!(
            "(type $wide (func (param {values}) (result {values})))
            (func $f (type $wide) unreachable)
            (table 1 funcref)
            (func {put} {body} unreachable)"
        )
    }

    #[test]
    fn what_would_be_compiled_for_minutes_is_refused_by_its_shape() {
        let large = format!("(func {})", "nop ".repeat(1_100_000));
        let locals = "i32 ".repeat(50_000);
        let tangled = format!("(func (local {locals}) {})", "(block)".repeat(4_100));
        let many = "(func)".repeat(200_001);
        let wide_blocks = wide(&"(block (type $wide))".repeat(300));
        let wide_loops = wide(&"(loop (type $wide))".repeat(300));
        let wide_calls = wide(&"(call $f)".repeat(600));
        let indirect = wide(&"(call_indirect (type $wide) (i32.const 0))".repeat(600));
        let branches = wide(&format!(
            "(block (type $wide) {})",
            "(br_if 0 (i32.const 0))".repeat(1_100)
        ));
        let targets = wide(&format!(
            "(block (type $wide) (br_table {} (i32.const 0)))",
            "0 ".repeat(1_100)
        ));
        let returns = format!(
            "(func (result {}) {})",
            "i32 ".repeat(1_000),
            "return ".repeat(1_100)
        );
        let signatures = wide(&"unreachable) (func (type $wide)".repeat(17_000));
        for (functions, what) in [
            (large, "bytes, at most"),
            (tangled, "variables times its blocks"),
            (many, "functions"),
            (wide_blocks, "variables times its blocks"),
            (wide_loops, "variables times its blocks"),
            (wide_calls, "a function's calls and branches"),
            (indirect, "a function's calls and branches"),
            (branches, "a function's calls and branches"),
            (targets, "a function's calls and branches"),
            (returns, "a function's calls and branches"),
            (signatures, "its calls and branches"),
        ] {
            match refusal(&functions) {
                Err(LoadError::TooComplex(reason)) => assert!(reason.contains(what), "{reason}"),
                other => panic!("{what}: {other:?}"),
            }
        }
        let usual = "(func (local i32 i64) (block (loop (br_if 0 (i32.const 0)))))".repeat(1_000);
        assert_eq!(refusal(&usual), Ok(()));
        // Wide types are no fault where little code has them.
        assert_eq!(refusal(&wide("(block (type $wide)) (call $f)")), Ok(()));
        // Imported functions come first: the one of index 0 takes nothing.
        let imported = wide(&"(call 0)".repeat(600));
        let imported = imported.replace("(func $f", r#"(import "a" "b" (func)) (func $f"#);
        assert_eq!(refusal(&imported), Ok(()));
    }
}
