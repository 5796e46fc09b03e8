//! Built-in policies stay small: they are compiled where they are loaded.

/// Largest component allowed, in bytes.
fn limit(policy: &str) -> usize {
    match policy {
        // It carries a regular expression engine.
        "priority" => 230 * 1024,
        _ => 152 * 1024,
    }
}

#[test]
fn built_in_policies_are_small() {
    for (name, component) in flyball_policies::BUILTIN {
        let (size, limit) = (component.len(), limit(name));
        assert!(
            size <= limit,
            "{name} has {size} bytes, {limit} are allowed"
        );
        assert!(
            component.starts_with(b"\0asm\x0d\0\x01\0"),
            "{name} is no component"
        );
    }
}
