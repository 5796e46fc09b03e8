//! The SDK carries its own copy of the contract, so that it can be vendored.

use std::fs;
use std::path::Path;

#[test]
fn the_copy_of_the_contract_is_the_contract() {
    let sdk = Path::new(env!("CARGO_MANIFEST_DIR"));
    let copy = fs::read_to_string(sdk.join("wit/policy.wit")).unwrap();
    let contract = fs::read_to_string(sdk.join("../../wit/draft/policy.wit")).unwrap();
    assert!(
        copy == contract,
        "copy wit/draft/policy.wit to sdk/rust/wit/policy.wit"
    );
}
