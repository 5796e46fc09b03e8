//! Files that a user gives, read as text in UTF-8.
//!
//! Editors and shells of Windows write text with a byte order mark, or in UTF-16:
//! `kubectl get … -o json > dump.json` does so in PowerShell. Both are read; what can't
//! be read is refused with the name of its encoding.

use std::fs::File;
use std::io::{self, Cursor, Read};
use std::path::Path;

use encoding_rs_io::DecodeReaderBytesBuilder;

/// Stands for standard input where a file is named.
pub const STDIN: &str = "-";

/// Opens the text in a file, or for [`STDIN`] standard input. It is decoded while it is
/// read.
///
/// # Errors
/// If the file can't be read, or is in an encoding that is not read.
pub fn open(path: &Path) -> io::Result<Box<dyn Read>> {
    if path == Path::new(STDIN) {
        return Ok(Box::new(decoded(io::stdin().lock())?));
    }
    Ok(Box::new(decoded(File::open(path)?)?))
}

/// Reads the text in a file, or for [`STDIN`] on standard input.
///
/// # Errors
/// As [`open`], and if the text is not valid.
pub fn read_to_string(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    open(path)?.read_to_string(&mut text)?;
    Ok(text)
}

/// Decodes bytes while they are read: a byte order mark is taken away, and UTF-16 that
/// has one becomes UTF-8. Other bytes are passed on as they are.
///
/// # Errors
/// If the first bytes can't be read, or are those of an encoding that is not read.
pub fn decoded(mut bytes: impl Read) -> io::Result<impl Read> {
    let mut first = Vec::with_capacity(LOOKED_AT);
    bytes
        .by_ref()
        .take(LOOKED_AT as u64)
        .read_to_end(&mut first)?;
    if let Some(encoding) = unread(&first) {
        let message = format!(
            "the text is in {encoding}: convert it to UTF-8, such as with \
             `iconv -f {iconv} -t UTF-8`",
            iconv = encoding.split(' ').next().unwrap_or(encoding)
        );
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    }
    let bytes = Cursor::new(first).chain(bytes);
    Ok(DecodeReaderBytesBuilder::new()
        .utf8_passthru(true)
        .strip_bom(true)
        .build(bytes))
}

/// How many bytes tell an encoding.
const LOOKED_AT: usize = 4;

/// The name of an encoding that is not read, by the first bytes of a text. No text of
/// ours has a NUL in it.
fn unread(first: &[u8]) -> Option<&'static str> {
    let first: [u8; LOOKED_AT] = first.try_into().ok()?;
    match (first, first.map(|byte| byte != 0)) {
        ([0xFF, 0xFE, 0, 0], _) | (_, [true, false, false, false]) => Some("UTF-32LE"),
        ([0, 0, 0xFE, 0xFF], _) | (_, [false, false, false, true]) => Some("UTF-32BE"),
        (_, [true, false, true, false]) => Some("UTF-16LE without a byte order mark"),
        (_, [false, true, false, true]) => Some("UTF-16BE without a byte order mark"),
        _ => None,
    }
}
