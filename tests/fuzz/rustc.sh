#!/bin/sh
# Cargo's RUSTC_WORKSPACE_WRAPPER of `cargo xtask fuzz`: compiles the workspace's crates with
# the counters by which libFuzzer sees what an input reaches. Dependencies have none: they are
# those of all other builds, and are fuzzed where they are developed.
case " $* " in
*" --crate-name build_script_build "*) exec "$@" ;;
esac
exec "$@" \
    -C passes=sancov-module \
    -C llvm-args=-sanitizer-coverage-level=4 \
    -C llvm-args=-sanitizer-coverage-inline-8bit-counters \
    -C llvm-args=-sanitizer-coverage-pc-table \
    -C llvm-args=-sanitizer-coverage-trace-compares
