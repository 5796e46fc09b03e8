//! Lines for the host's log. The host limits their number and their length.

/// Writes an error.
pub fn error(message: &str) {
    write(1, message);
}

/// Writes a warning.
pub fn warning(message: &str) {
    write(2, message);
}

/// Writes an information.
pub fn information(message: &str) {
    write(3, message);
}

/// Writes what only helps to find a fault.
pub fn debug(message: &str) {
    write(4, message);
}

#[cfg(target_arch = "wasm32")]
fn write(level: u32, message: &str) {
    crate::bindings::log::log(level, message);
}

/// In native tests there is no host: standard error stands in.
#[cfg(not(target_arch = "wasm32"))]
fn write(level: u32, message: &str) {
    eprintln!("[{level}] {message}");
}
