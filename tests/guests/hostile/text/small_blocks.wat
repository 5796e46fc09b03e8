;; Tens of thousands of small blocks in one function: 250 KB that compile for a long
;; time.
(func (export "flyball:policy/replica@0.1.0-draft#decide") (param i32) (result i32)
  (local $n i32)
  {60000 (block (br_if 0 (local.get $n)) (local.set $n (i32.const 1)))}
  unreachable)
