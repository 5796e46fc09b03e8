;; Grows a table for as long as it is let, when it should decide.
(table $hoard 1 funcref)

(func (export "flyball:policy/replica@0.1.0-draft#decide") (param i32) (result i32)
  (loop $more
    (drop (table.grow $hoard (ref.null func) (i32.const 65536)))
    (br $more))
  unreachable)
