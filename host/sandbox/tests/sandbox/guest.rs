//! Small policies, written as WebAssembly text around an image of their memory: a test
//! chooses their description, their answer, and instructions to run before it.

use std::path::Path;

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

const DESCRIPTION: usize = 64;
const ANSWER: usize = 192;
const TEXTS: usize = 512;

/// A policy to build.
#[derive(Clone)]
pub struct Guest {
    pub version: String,
    pub kinds: Vec<&'static str>,
    pub schema: String,
    pub state_version: u32,
    /// Replicas of the answer.
    pub replicas: Option<i64>,
    pub code: String,
    pub sentence: String,
    pub state: Option<String>,
    /// Number of proposals, which are empty but for their arguments.
    pub proposals: u32,
    /// Number of arguments of each reason, as large as they may be. All reasons have the
    /// same list of them.
    pub arguments: usize,
    pub leading: Option<u32>,
    /// Code and message of a typed error, instead of an answer.
    pub error: Option<(&'static str, &'static str)>,
    /// Instructions at the beginning of `decide`; the local `$n` is an i64, and
    /// `$arguments` points at the lowered context and input.
    pub decide: String,
    /// Instructions of the start function.
    pub start: String,
    /// Instructions at the beginning of `describe`.
    pub describe: String,
    /// Further definitions of the module.
    pub definitions: String,
    /// Pages of memory at first.
    pub pages: u32,
}

impl Default for Guest {
    fn default() -> Self {
        Self {
            version: "1.2.3".into(),
            kinds: vec!["replica"],
            schema: String::new(),
            state_version: 1,
            replicas: Some(3),
            code: "Fixed".into(),
            sentence: "as always".into(),
            state: None,
            proposals: 0,
            arguments: 0,
            leading: None,
            error: None,
            decide: String::new(),
            start: String::new(),
            describe: String::new(),
            definitions: String::new(),
            pages: 2,
        }
    }
}

impl Guest {
    /// Returns the policy as a component for the contract in `wit/draft`.
    pub fn build(&self) -> Vec<u8> {
        self.build_for(Path::new(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../wit/draft"
        )))
    }

    /// Returns the policy as a component for the contract in a directory.
    pub fn build_for(&self, wit: &Path) -> Vec<u8> {
        let mut resolve = Resolve::default();
        let (package, _) = resolve.push_path(wit).unwrap();
        let world = resolve
            .select_world(&[package], Some("replica-policy"))
            .unwrap();
        let name = resolve
            .id_of(*resolve.packages[package].interfaces.get("log").unwrap())
            .unwrap();
        let version = name.split_once('@').unwrap().1.to_owned();
        let mut module = wat::parse_str(self.text(&version)).unwrap();
        embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8, false)
            .unwrap();
        ComponentEncoder::default()
            .validate(true)
            .module(&module)
            .unwrap()
            .encode()
            .unwrap()
    }

    fn text(&self, version: &str) -> String {
        let image: String = self
            .image()
            .iter()
            .map(|byte| format!("\\{byte:02x}"))
            .collect();
        let Self {
            decide,
            start,
            describe,
            definitions,
            pages,
            ..
        } = self;
        format!(
            r#"(module
  (import "flyball:policy/log@{version}" "log" (func $log (param i32 i32 i32)))
  (memory (export "memory") {pages})
  (global $heap (mut i32) (i32.const 65536))
  (data (i32.const 0) "{image}")
  {definitions}
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (local $at i32)
    (local.set $at (i32.and (i32.add (global.get $heap) (i32.const 7)) (i32.const -8)))
    (global.set $heap (i32.add (local.get $at) (local.get 3)))
    (if (i32.gt_u (global.get $heap) (i32.mul (memory.size) (i32.const 65536)))
      (then (drop (memory.grow (i32.add (i32.shr_u (local.get 3) (i32.const 16)) (i32.const 1))))))
    (local.get $at))
  (func $start {start})
  (start $start)
  (func (export "flyball:policy/description@{version}#describe") (result i32)
    {describe}
    (i32.const {DESCRIPTION}))
  (func (export "flyball:policy/replica@{version}#decide") (param $arguments i32) (result i32)
    (local $n i64)
    {decide}
    (i32.const {ANSWER})))"#
        )
    }

    /// Returns the memory: a description, an answer, and the texts they point at.
    fn image(&self) -> Vec<u8> {
        let mut image = Image(vec![0; TEXTS]);
        image.text(DESCRIPTION, "guest");
        image.text(DESCRIPTION + 8, &self.version);
        image.text(DESCRIPTION + 16, "a guest of the tests");
        let kinds = image.reserve(8 * self.kinds.len());
        for (row, kind) in self.kinds.iter().enumerate() {
            image.text(kinds + 8 * row, kind);
        }
        image.list(DESCRIPTION + 24, kinds, self.kinds.len());
        image.text(DESCRIPTION + 32, &self.schema);
        image.word(DESCRIPTION + 40, self.state_version);
        self.answer(&mut image);
        image.0
    }

    fn answer(&self, image: &mut Image) {
        let body = ANSWER + 8;
        if let Some((code, message)) = self.error {
            image.word(ANSWER, 1);
            image.text(body, code);
            image.text(body + 8, message);
            return;
        }
        if let Some(replicas) = self.replicas {
            image.word(body, 1);
            image.0[body + 8..body + 16].copy_from_slice(&replicas.to_le_bytes());
        }
        let arguments = image.reserve(16 * self.arguments);
        for row in 0..self.arguments {
            image.text(arguments + 16 * row, &"n".repeat(64));
            image.text(arguments + 16 * row + 8, &"v".repeat(1024));
        }
        image.text(body + 16, &self.code);
        image.list(body + 24, arguments, self.arguments);
        image.text(body + 32, &self.sentence);
        let count = usize::try_from(self.proposals).unwrap();
        let proposals = image.reserve(96 * count);
        for row in 0..count {
            image.list(proposals + 96 * row + 80, arguments, self.arguments);
        }
        image.list(body + 40, proposals, count);
        if let Some(leading) = self.leading {
            image.word(body + 48, 1);
            image.word(body + 52, leading);
        }
        if let Some(state) = &self.state {
            image.word(body + 56, 1);
            image.text(body + 60, state);
        }
    }
}

struct Image(Vec<u8>);

impl Image {
    fn word(&mut self, at: usize, word: u32) {
        self.0[at..at + 4].copy_from_slice(&word.to_le_bytes());
    }

    fn list(&mut self, at: usize, pointer: usize, length: usize) {
        self.word(at, u32::try_from(pointer).unwrap());
        self.word(at + 4, u32::try_from(length).unwrap());
    }

    fn text(&mut self, at: usize, text: &str) {
        let pointer = self.0.len();
        self.0.extend_from_slice(text.as_bytes());
        self.list(at, pointer, text.len());
    }

    fn reserve(&mut self, bytes: usize) -> usize {
        let pointer = self.0.len().next_multiple_of(8);
        self.0.resize(pointer + bytes, 0);
        pointer
    }
}
