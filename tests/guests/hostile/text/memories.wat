;; @core-instances 5 (memory 1)
;; Has six memories, with that of the module itself: for each a pool would need
;; room.
(func (export "flyball:policy/replica@0.1.0-draft#decide") (param i32) (result i32)
  unreachable)
