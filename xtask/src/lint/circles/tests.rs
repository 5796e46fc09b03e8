#![allow(
    clippy::unwrap_used,
    reason = "a panic is how a test says what is wrong"
)]

use std::fs;

use super::{check, circles_in};

/// Returns the circles of a crate with these files in its source folder.
fn circles(files: &[(&str, &str)]) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let file = folder.path().join("src").join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }
    circles_in(folder.path(), &folder.path().join("src/lib.rs")).unwrap()
}

/// Returns the circles of a crate of two modules, of which `a` refers to `b`.
fn circles_with(lib: &str, b: &str) -> Vec<String> {
    let lib = format!("mod a; mod b; {lib}");
    circles(&[
        ("lib.rs", &lib),
        ("a.rs", "use crate::b::B; pub struct A(B);"),
        ("b.rs", b),
    ])
}

const CIRCLE: &str = "a → b (src/a.rs) → a (src/b.rs)";

#[test]
fn this_workspace_has_no_circles() {
    check().unwrap();
}

#[test]
fn a_circle_is_named_with_its_files() {
    for b in [
        "use crate::a::A;",
        "use crate::{a::A, b::B};",
        "use {std::fmt, super::a as other};",
        "fn f() -> crate::a::A { loop {} }",
        "fn f() { super::a::f(); }",
        "pub(crate) use crate::a::{self};",
        "fn f() { println!(\"{}\", [crate::a::f()][0]); }",
        "mod inner { use super::super::a::A; }",
        "impl Trait for <u8 as crate::a::T>::B {}",
        "#[cfg(any(unix, test))] fn f() { crate::a::f(); }",
    ] {
        assert_eq!(circles_with("", b), [CIRCLE], "{b}");
    }
}

#[test]
fn a_name_in_the_root_stands_for_its_module() {
    for (lib, name) in [
        ("pub use a::A;", "A"),
        ("pub use self::a::{A as Other, Another};", "Other"),
        ("pub use crate::a; pub use a as other;", "other::A"),
        ("use a::A; pub use A as Other;", "Other"),
    ] {
        let b = format!("use crate::{name};");
        assert_eq!(circles_with(lib, &b), [CIRCLE], "{lib}");
        let b = format!("fn f(a: super::{name}) {{}}");
        assert_eq!(circles_with(lib, &b), [CIRCLE], "{lib}");
    }
    let a = "#[macro_export] macro_rules! make { () => { $crate::b::B } }";
    let files = [("lib.rs", "mod a; mod b;"), ("a.rs", a)];
    let b = ("b.rs", "pub struct B; fn f() { crate::make!(); }");
    assert_eq!(circles(&[files[0], files[1], b]), [CIRCLE]);
}

#[test]
fn other_references_make_no_circle() {
    for b in [
        "use crate::Name; pub use std::fmt::Debug as a;",
        "mod a { use super::B; } use self::a::A;",
        "mod inner { use super::a::A; } mod a {}",
        "#[cfg(test)] mod tests { use crate::a::A; }",
        "#[cfg(test)] mod not_there;",
        "impl B { #[cfg(test)] fn f() { crate::a::f(); } }",
        "/// [`crate::a::A`]\npub(crate) struct B;",
    ] {
        let lib = "type Name = String; pub use kube::a::Client;";
        assert_eq!(circles_with(lib, b), Vec::<String>::new(), "{b}");
    }
}

#[test]
fn of_circles_that_share_a_module_a_shortest_is_named() {
    let found = circles(&[
        ("lib.rs", "mod a; mod b; mod c; mod d; mod e; mod f;"),
        ("a.rs", "use crate::b::B;"),
        ("b/mod.rs", "mod part; mod later;"),
        ("b/later.rs", "use crate::c::C;"),
        ("b/part.rs", "use crate::c::C;"),
        ("c.rs", "mod part; use crate::a::A;"),
        ("c/part.rs", "fn f() { super::super::b::f(); }"),
        ("d.rs", "use crate::{b::B, e::E};"),
        ("e.rs", "use crate::f::F;"),
        ("f.rs", "use crate::{d::D, a::A};"),
    ]);
    assert_eq!(
        found,
        [
            "b → c (src/b/later.rs) → b (src/c/part.rs)",
            "d → e (src/d.rs) → f (src/e.rs) → d (src/f.rs)",
        ]
    );
}

#[test]
fn what_cannot_be_read_is_named() {
    let read = |files: &[(&str, &str)]| {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("src")).unwrap();
        for (name, text) in files {
            fs::write(folder.path().join("src").join(name), text).unwrap();
        }
        let read = circles_in(folder.path(), &folder.path().join("src/lib.rs"));
        format!("{:#}", read.unwrap_err())
    };
    let error = read(&[("lib.rs", "mod a;")]);
    assert_eq!(error, "there is no file of module a");
    let error = read(&[("lib.rs", "mod a;"), ("a.rs", "fn {")]);
    assert!(error.contains("src/a.rs"), "{error}");
    let error = read(&[("lib.rs", "mod a;"), ("a.rs", "use super::*;")]);
    assert!(error.starts_with("src/a.rs imports all names"), "{error}");
}
