//! Reads files of users as UTF-8 text.
//!
//! Editors and shells of Windows write text with a byte order mark, or in UTF-16, like
//! `kubectl get … -o json > dump.json` in PowerShell. Both are supported. Other
//! encodings give an error that names the encoding.

use std::fs::File;
use std::io::{self, Cursor, Read};
use std::path::Path;

use encoding_rs_io::DecodeReaderBytesBuilder;

/// File name that stands for standard input.
pub const STDIN: &str = "-";

/// Opens a text file, or standard input for [`STDIN`]. The text is decoded while it is
/// read.
///
/// # Errors
/// If the file can't be read or has an unsupported encoding.
pub fn open(path: &Path) -> io::Result<Box<dyn Read>> {
    if path == Path::new(STDIN) {
        return Ok(Box::new(decoded(io::stdin().lock())?));
    }
    Ok(Box::new(decoded(File::open(path)?)?))
}

/// Reads a text file, or standard input for [`STDIN`].
///
/// # Errors
/// As [`open`], and if the text is not valid UTF-8 or UTF-16.
pub fn read_to_string(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    open(path)?.read_to_string(&mut text)?;
    Ok(text)
}

/// Decodes bytes while they are read: removes a byte order mark, and converts UTF-16
/// with a byte order mark to UTF-8. Other bytes are unchanged.
///
/// # Errors
/// If the first bytes can't be read, or show an unsupported encoding.
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

/// Number of first bytes by which an encoding is detected.
const LOOKED_AT: usize = 4;

/// Returns the name of an unsupported encoding, by the first bytes of a text. `None` if
/// the encoding is supported or unknown. Valid texts contain no NUL.
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
