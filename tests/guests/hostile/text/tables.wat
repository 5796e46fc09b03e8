;; Has more tables than a module may have.
{2 (table 1 funcref)}

(func (export "flyball:policy/replica@0.1.0-draft#decide") (param i32) (result i32)
  unreachable)
