;; Answers with a text that lies outside of its memory.
(module
  (memory (export "memory") 1)
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (i32.const 1024))
  (func (export "upper") (param i32 i32) (result i32)
    (i32.store (i32.const 16) (i32.const 0x7fff0000))
    (i32.store (i32.const 20) (i32.const 5))
    (i32.const 16)))
