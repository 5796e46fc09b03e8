;; Answers with the text that it is given, in capital letters.
(module
  (memory (export "memory") 1)
  (global $top (mut i32) (i32.const 1024))
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (local $start i32)
    (local.set $start (global.get $top))
    (global.set $top (i32.add (local.get $start) (local.get 3)))
    (local.get $start))

  ;; The answer is written over the text: a pointer and a length, at 16.
  (func (export "upper") (param $at i32) (param $length i32) (result i32)
    (local $end i32)
    (i32.store (i32.const 16) (local.get $at))
    (i32.store (i32.const 20) (local.get $length))
    (local.set $end (i32.add (local.get $at) (local.get $length)))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $at) (local.get $end)))
        (i32.store8 (local.get $at)
          (i32.and (i32.load8_u (local.get $at)) (i32.const 0xdf)))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (br $next)))
    (i32.const 16)))
