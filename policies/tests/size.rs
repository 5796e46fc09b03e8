//! Built-in policies stay small: they are compiled where they are loaded.

/// Largest component allowed, in bytes.
const LIMIT: usize = 150 * 1024;

#[test]
fn built_in_policies_are_small() {
    for (name, component) in flyball_policies::BUILTIN {
        let size = component.len();
        assert!(
            size <= LIMIT,
            "{name} has {size} bytes, {LIMIT} are allowed"
        );
        assert!(
            component.starts_with(b"\0asm\x0d\0\x01\0"),
            "{name} is no component"
        );
    }
}
