(component
  (import "flyball:policy/log@0.1.0-draft" (instance $log
    (type $level (enum "debug" "info"))
    (export "level" (type $named (eq $level)))
    (export "log" (func (param "level" $named) (param "message" string)))))
  (core module $memory
    (memory (export "memory") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 0)))
  (core instance $memory (instantiate $memory))
  (core module $code
    (import "env" "memory" (memory 1))
    (table 1 funcref)
    (global (mut i32) (i32.const 8))
    (data (i32.const 16) "flyball")
    (func (export "decide") (param i32) (result i32)
      (block (loop (br_if 1 (i32.eqz (local.get 0)))
        (local.set 0 (i32.sub (local.get 0) (i32.const 1))) (br 0)))
      (i32.load8_u (local.get 0))))
  (core instance $code (instantiate $code (with "env" (instance $memory))))
  (func $decide (param "replicas" u32) (result u32)
    (canon lift (core func $code "decide")))
  (instance $policy (export "decide" (func $decide)))
  (export "flyball:policy/replica@0.1.0-draft" (instance $policy)))
