//! Texts in the encodings that editors and shells write.
#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

use std::io::{Read, Result};

const TEXT: &str = "name: größe\nunit: 𝔘\n";

fn read(bytes: &[u8]) -> Result<String> {
    let mut text = String::new();
    flyball_files::decoded(bytes)?.read_to_string(&mut text)?;
    Ok(text)
}

fn utf16(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(bytes).collect()
}

fn utf32(text: &str) -> Vec<u8> {
    let chars = text.chars().map(u32::from);
    chars.flat_map(u32::to_le_bytes).collect()
}

#[test]
fn a_byte_order_mark_is_taken_away_and_utf16_is_decoded() {
    let marked = format!("\u{FEFF}{TEXT}");
    for bytes in [
        TEXT.as_bytes().to_vec(),
        marked.as_bytes().to_vec(),
        utf16(&marked, u16::to_le_bytes),
        utf16(&marked, u16::to_be_bytes),
    ] {
        assert_eq!(read(&bytes).unwrap(), TEXT, "{:?}", &bytes[..4]);
    }
    // Texts longer than any buffer, and shorter than a byte order mark.
    let long = TEXT.repeat(10_000);
    let bytes = utf16(&format!("\u{FEFF}{long}"), u16::to_le_bytes);
    assert_eq!(read(&bytes).unwrap(), long);
    for short in ["", "{", "{}", "ü"] {
        assert_eq!(read(short.as_bytes()).unwrap(), short);
    }
}

#[test]
fn other_encodings_are_refused_by_name() {
    let marked = format!("\u{FEFF}{TEXT}");
    let cases = [
        (utf16(TEXT, u16::to_le_bytes), "iconv -f UTF-16LE -t UTF-8"),
        (
            utf16(TEXT, u16::to_be_bytes),
            "UTF-16BE without a byte order mark",
        ),
        (utf32(&marked), "UTF-32LE"),
        (utf32(TEXT), "UTF-32LE"),
        // Latin-1 is not valid UTF-8, and can't be detected by its bytes.
        (b"name: gr\xF6\xDFe".to_vec(), "valid UTF-8"),
    ];
    for (bytes, expected) in cases {
        let refused = read(&bytes).unwrap_err().to_string();
        assert!(refused.contains(expected), "{refused}");
    }
}

#[test]
fn files_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("text");
    std::fs::write(&file, format!("\u{FEFF}{TEXT}")).unwrap();
    assert_eq!(flyball_files::read_to_string(&file).unwrap(), TEXT);
    assert!(flyball_files::read_to_string(folder.path()).is_err());
}
