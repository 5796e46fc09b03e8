;; Asks the component beside it for "three" in capital letters, and for as many
;; replicas as the answer has of them.
(import "acme:text/case" "upper" (func $upper (param i32 i32 i32)))

(data (i32.const 768) "three")

(func (export "flyball:policy/replica@0.1.0-draft#decide") (param i32) (result i32)
  (local $at i32)
  (local $end i32)
  (call $upper (i32.const 768) (i32.const 5) (i32.const 800))
  (local.set $at (i32.load (i32.const 800)))
  (local.set $end (i32.add (local.get $at) (i32.load (i32.const 804))))
  ;; The answer: replicas are given, and counted from 0.
  (i32.store8 (i32.const 520) (i32.const 1))
  (i64.store (i32.const 528) (i64.const 0))
  (block $done
    (loop $next
      (br_if $done (i32.ge_u (local.get $at) (local.get $end)))
      (if (i32.lt_u (i32.load8_u (local.get $at)) (i32.const 97))
        (then
          (i64.store (i32.const 528)
            (i64.add (i64.load (i32.const 528)) (i64.const 1)))))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (br $next)))
  (i32.const 512))
