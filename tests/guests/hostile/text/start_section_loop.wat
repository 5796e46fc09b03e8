;; Never returns from the start function of its core module.
(func $start
  (loop $again
    (br $again)))
(start $start)

(func (export "flyball:policy/replica@0.1.0-draft#decide") (param i32) (result i32)
  unreachable)
