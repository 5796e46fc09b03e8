;; Declares a larger table than any policy may have.
(table $hoard 8000000 funcref)

(func (export "flyball:policy/replica@0.1.0-draft#decide") (param i32) (result i32)
  unreachable)
