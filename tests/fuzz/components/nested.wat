(component
  (component $inner
    (component $innermost
      (core module $code (func (export "f") (result i32) (i32.const 1)))
      (core instance $code (instantiate $code))
      (func (export "f") (result u32) (canon lift (core func $code "f"))))
    (instance $innermost (instantiate $innermost))
    (export "f" (func $innermost "f")))
  (instance $inner (instantiate $inner))
  (type $resource (resource (rep i32)))
  (type (record (field "a" string) (field "b" (list (option u8)))))
  (type (variant (case "x" (tuple float64 char)) (case "y")))
  (export "f" (func $inner "f")))
