;; @core-instances 100
;; Is instantiated a hundred times over for each decision.
(func (export "flyball:policy/replica@0.1.0-draft#decide") (param i32) (result i32)
  unreachable)
