//! Any bytes as a policy's file: a verdict within the limits of compiling it, and the version
//! before decides meanwhile.

use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use flyball_sandbox::{PolicyState, digest};
use flyball_test_support::cases;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, TestRunner};
use wasm_encoder::Encode as _;

use super::compiling::{children, progress};
use super::{Home, WAIT_TIMEOUT, ask, compiler, status, wait_for_answer, wait_until};

/// Maximum size of a file.
const MAX_BYTES: usize = 32 << 20;

/// Private memory of all children together, in bytes, and CPU time of each.
const MEMORY: u64 = 256 << 20;
const CPU_SECONDS: u64 = 60;

/// What is done to a component. A place is a number of which the rest by its length counts.
#[derive(Clone, Debug)]
enum Damage {
    /// Other bytes in some places.
    Bytes(Vec<(usize, u8)>),
    /// A part that is missing, or comes twice.
    Part(usize, usize, bool),
    /// Other bytes altogether.
    Anything(Vec<u8>),
    /// A further section of this kind: so many times one byte.
    Section(u8, usize, u8),
    /// The sections again and again, up to this size.
    Repeated(usize),
}

fn damage() -> impl Strategy<Value = Damage> {
    let place = any::<usize>;
    prop_oneof![
        4 => vec((place(), any::<u8>()), 1..4).prop_map(Damage::Bytes),
        2 => (place(), 1..64_usize, any::<bool>()).prop_map(|(at, bytes, twice)| {
            Damage::Part(at, bytes, twice)
        }),
        1 => vec(any::<u8>(), 0..4096).prop_map(Damage::Anything),
        2 => (kind(), size(), any::<u8>()).prop_map(|(kind, bytes, fill)| {
            Damage::Section(kind, bytes, fill)
        }),
        1 => size().prop_map(Damage::Repeated),
    ]
}

/// Kinds of sections. A custom one means nothing, so that the component is good.
fn kind() -> impl Strategy<Value = u8> {
    prop_oneof![Just(0_u8), 0..13_u8]
}

/// Sizes up to that of the largest file, and a little more with what comes before.
fn size() -> impl Strategy<Value = usize> {
    prop_oneof![0..MAX_BYTES, MAX_BYTES - 4096..=MAX_BYTES]
}

fn damaged(component: &[u8], damage: Damage) -> Vec<u8> {
    let mut bytes = component.to_vec();
    match damage {
        Damage::Bytes(changes) => {
            for (at, byte) in changes {
                bytes[at % component.len()] = byte;
            }
        }
        Damage::Part(at, length, twice) => {
            let start = at % component.len();
            let end = component.len().min(start + length);
            let part = if twice {
                component[start..end].repeat(2)
            } else {
                Vec::new()
            };
            bytes.splice(start..end, part);
        }
        Damage::Anything(other) => bytes = other,
        Damage::Section(kind, length, fill) => {
            bytes.push(kind);
            length.encode(&mut bytes);
            bytes.resize(bytes.len() + length, fill);
        }
        Damage::Repeated(length) => {
            let sections = &component[8..];
            bytes.extend(sections.repeat(length / sections.len()));
        }
    }
    bytes
}

/// Limits of the kernel for a child: bytes of private memory, and seconds of CPU time. The
/// second number of each is one that the child can't raise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Limits {
    memory: (u64, u64),
    cpu: (u64, u64),
}

/// Returns the limits of a process. `None` if it has no such limits, or has ended.
fn limits(process: &str) -> Option<Limits> {
    let text = fs::read_to_string(format!("/proc/{process}/limits")).ok()?;
    let limit = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        let mut numbers = line
            .split_whitespace()
            .map(|number| number.parse::<u64>().ok());
        Some((numbers.next()??, numbers.next()??))
    };
    Some(Limits {
        memory: limit("Max data size")?,
        cpu: limit("Max cpu time")?,
    })
}

/// Returns the bytes of a process's private memory, as its limit counts them.
fn memory(process: &str) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmData:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib << 10)
}

/// Checks what the children that compile a file use so far. Only those count that have set their
/// limits: before, a child may still have the memory of this process. Returns whether there is
/// one.
fn are_limited(file: &Path, context: &str) -> bool {
    let has_limits = |limits: Limits| {
        let (soft, hard) = limits.memory;
        soft <= MEMORY && hard <= MEMORY && limits.cpu == (CPU_SECONDS, CPU_SECONDS + 1)
    };
    let mut children = children(file);
    children.retain(|child| limits(child).is_some_and(has_limits));
    let all: u64 = children.iter().filter_map(|child| memory(child)).sum();
    assert!(all <= MEMORY, "{context}: {all} bytes");
    for child in &children {
        let ticks = progress(child).map_or(0, |(ticks, _)| ticks);
        assert!(ticks <= (CPU_SECONDS + 1) * 100, "{context}: {ticks}");
    }
    !children.is_empty()
}

#[test]
fn any_bytes_get_a_verdict_within_limits_and_the_version_before_decides_meanwhile() {
    let home = Home::new();
    let good = &home.plain["two"];
    home.put("web.wasm", good);
    let registry = home.start_compiling(compiler(), |_| {});
    wait_for_answer(&registry, "web", 2);
    let mut runner = TestRunner::new(Config::default());
    let mut limited = false;
    for _ in 0..cases(24) {
        let damage = damage().new_tree(&mut runner).unwrap().current();
        let context = format!("{damage:?}");
        let bytes = damaged(good, damage);
        if bytes == **good {
            continue;
        }
        home.put("web.wasm", &bytes);
        let digest_of_bytes = digest(&bytes);
        let begin = Instant::now();
        loop {
            limited |= are_limited(&home.file("web.wasm"), &context);
            let state = status(&registry, "web").unwrap().state;
            let is_refused = matches!(state, PolicyState::Failed { .. });
            let answer = ask(&registry, "web");
            let version = status(&registry, "web").unwrap().version.unwrap();
            let is_active = *version.digest == *digest_of_bytes;
            assert!(is_active || answer == Ok(2), "{context}: {answer:?}");
            if is_refused || is_active {
                break;
            }
            assert!(begin.elapsed() < WAIT_TIMEOUT, "no verdict on {context}");
            sleep(Duration::from_millis(10));
        }
        home.put("web.wasm", good);
        wait_for_answer(&registry, "web", 2);
        wait_until("the good one to be back", || {
            let version = status(&registry, "web").unwrap().version.unwrap();
            *version.digest == *digest(good)
        });
    }
    assert!(limited, "no child was seen with its limits");
}
