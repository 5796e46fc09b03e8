//! Digests that name code.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

/// Returns `sha256:` and the digest of the bytes in hexadecimal digits. Records identify
/// a policy's code by it.
#[must_use]
pub fn digest(bytes: &[u8]) -> String {
    hex_digest(&Sha256::digest(bytes))
}

/// Formats a hash as [`digest`] does.
pub(crate) fn hex_digest(hash: &[u8]) -> String {
    format!("sha256:{}", hex(hash))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}
