//! A file of lines that is replaced by a new one when it has reached a size.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::private::{MODE, make_private_at};
use super::{Lines, line};

/// When a file is rotated: FILE becomes FILE.1, FILE.1 becomes FILE.2, and so on.
#[derive(Clone, Copy, Debug)]
pub struct Rotation {
    /// Maximum size of a file. 0 if it is never rotated.
    pub max_bytes: u64,
    /// Maximum number of files, the current one included. The oldest one is removed.
    pub max_files: usize,
}

/// The current file and its size.
pub(super) struct RotatedFile {
    path: PathBuf,
    lines: Lines<File>,
    bytes: u64,
    rotation: Option<Rotation>,
}

impl RotatedFile {
    /// Goes on with an open file. Pipes and devices are never rotated.
    pub fn new(path: &Path, lines: Lines<File>, rotation: Option<Rotation>) -> io::Result<Self> {
        let metadata = path.metadata()?;
        let file = Self {
            path: path.to_owned(),
            lines,
            bytes: metadata.len(),
            rotation: rotation.filter(|limits| metadata.is_file() && limits.max_bytes > 0),
        };
        let max_files = file.rotation.map_or(0, |rotation| rotation.max_files);
        let older = (1..max_files).map(|number| file.older(number));
        for path in older.take_while(|path| path.exists()) {
            make_private_at(&path);
        }
        Ok(file)
    }

    /// Writes a record, to a new file if it is time. If that can't be created, the record is
    /// added to the old one, and the error returned.
    pub fn write(&mut self, record: &impl Serialize) -> io::Result<()> {
        let line = line(record)?;
        let length = u64::try_from(line.len()).unwrap_or(u64::MAX);
        let rotation = self.rotation.filter(|rotation| {
            self.bytes > 0 && self.bytes.saturating_add(length) > rotation.max_bytes
        });
        let rotated = rotation.map_or(Ok(()), |rotation| self.rotate(rotation));
        self.lines.write(&line)?;
        self.bytes = self.bytes.saturating_add(length);
        rotated
    }

    pub fn flush(&mut self) -> io::Result<()> {
        self.lines.flush()
    }

    fn rotate(&mut self, rotation: Rotation) -> io::Result<()> {
        self.lines.flush()?;
        // It is missing if the new file could not be created the last time, or somebody has
        // moved it.
        if self.path.exists() {
            for number in (1..rotation.max_files.saturating_sub(1)).rev() {
                rename(&self.older(number), &self.older(number + 1))?;
            }
            match rotation.max_files {
                0 | 1 => fs::remove_file(&self.path)?,
                _ => rename(&self.path, &self.older(1))?,
            }
        }
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(MODE)
            .open(&self.path)?;
        self.lines = Lines::new(file, false);
        self.bytes = 0;
        Ok(())
    }

    /// Returns the path of an older file: 1 is the latest of them.
    fn older(&self, number: usize) -> PathBuf {
        let mut path = self.path.clone().into_os_string();
        path.push(format!(".{number}"));
        path.into()
    }
}

/// Renames a file if it exists.
fn rename(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        renamed => renamed,
    }
}
