;; A few KB that are gigabytes to compile: each block leaves a thousand values, and
;; every block may have another value of each.
(type $wide (func (param {1000 i32}) (result {1000 i32})))

(func (export "flyball:policy/replica@0.1.0-draft#decide") (param i32) (result i32)
  {1000 (i32.const 0)}
  {400 (block (type $wide))}
  unreachable)
