//! Writes records to a file, a line of JSON each. A line that was cut short, by a full
//! disk or a crash, damages no other line.

mod private;
mod rotation;
mod waiting;

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Read as _, Seek as _, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use anyhow::Context as _;
use flyball_decision::recorder::Recorder;
use flyball_nodes::record::NodeDecisionRecord;
use flyball_replicas::record::DecisionRecord;
use flyball_report::record::Record;
use serde::Serialize;

use self::private::{MODE, make_private};
use self::rotation::RotatedFile;
pub use self::rotation::Rotation;
use self::waiting::Waiting;

/// Maximum number of records that wait for the disk.
const WAITING: usize = 8_192;

/// Writes records to a file, a line of JSON each, on a thread of its own.
pub struct RecordFile {
    path: PathBuf,
    when_slow: WhenSlow,
    writing: Mutex<Option<Writing>>,
    waiting: Arc<Waiting>,
    dropped: AtomicU64,
}

/// Behaviour when the disk is slower than the decisions.
#[derive(Clone, Copy, PartialEq, Eq)]
enum WhenSlow {
    /// Decisions wait.
    Wait,
    /// Records are dropped and counted: a disk must not keep a cluster from scaling.
    Drop,
}

struct Writing {
    /// Records with their sizes.
    sender: SyncSender<(Record, usize)>,
    thread: JoinHandle<io::Result<()>>,
}

impl RecordFile {
    /// Opens a daemon's file for appending. It is rotated unless it is a pipe or a device.
    pub fn append_to(path: &Path, rotation: Rotation) -> anyhow::Result<Self> {
        Self::open(
            path,
            OpenOptions::new().create(true).append(true),
            WhenSlow::Drop,
            Some(rotation),
        )
    }

    /// Creates or truncates the file of a simulation.
    pub fn create(path: &Path) -> anyhow::Result<Self> {
        Self::open(
            path,
            OpenOptions::new().create(true).write(true).truncate(true),
            WhenSlow::Wait,
            None,
        )
    }

    fn open(
        path: &Path,
        options: &mut OpenOptions,
        when_slow: WhenSlow,
        rotation: Option<Rotation>,
    ) -> anyhow::Result<Self> {
        let file = options
            .mode(MODE)
            .open(path)
            .with_context(|| format!("cannot open {} for records", path.display()))?;
        make_private(path, &file);
        let incomplete = is_incomplete(path)
            .with_context(|| format!("cannot read the end of {}", path.display()))?;
        let lines = Lines::new(file, incomplete);
        let file = RotatedFile::new(path, lines, rotation)
            .with_context(|| format!("cannot read the size of {}", path.display()))?;
        let (sender, receiver) = sync_channel(WAITING);
        let waiting = Arc::new(Waiting::default());
        let written = Arc::clone(&waiting);
        let thread = std::thread::Builder::new()
            .name("flyball-records".into())
            .spawn(move || write_all(&receiver, &written, file))
            .context("cannot start the thread that writes records")?;
        Ok(Self {
            path: path.to_owned(),
            when_slow,
            writing: Mutex::new(Some(Writing { sender, thread })),
            waiting,
            dropped: AtomicU64::new(0),
        })
    }

    /// Waits until all records are written, and returns the last error.
    pub fn close(&self) -> anyhow::Result<()> {
        let Some(Writing { sender, thread }) = self.writing().take() else {
            return Ok(());
        };
        drop(sender);
        let written = thread
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("the thread ended")));
        written.with_context(|| format!("cannot write all records to {}", self.path.display()))
    }

    fn writing(&self) -> MutexGuard<'_, Option<Writing>> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn drop_one(&self) {
        let dropped = self.dropped.fetch_add(1, Ordering::Relaxed) + 1;
        if dropped.is_power_of_two() {
            let file = self.path.display();
            tracing::warn!(%file, dropped, "the disk is too slow: records are left out of the file");
        }
    }
}

impl RecordFile {
    fn write(&self, record: Record) {
        let writing = self.writing();
        let Some(Writing { sender, .. }) = &*writing else {
            return;
        };
        let bytes = waiting::bytes(&record);
        // If the thread has ended, the error is returned when the file is closed.
        match self.when_slow {
            WhenSlow::Wait => {
                self.waiting.wait_and_add(bytes);
                drop(sender.send((record, bytes)));
            }
            WhenSlow::Drop => {
                if !self.waiting.try_to_add(bytes) {
                    self.drop_one();
                } else if let Err(TrySendError::Full(_)) = sender.try_send((record, bytes)) {
                    self.waiting.remove(bytes);
                    self.drop_one();
                }
            }
        }
    }
}

impl Recorder<DecisionRecord> for RecordFile {
    fn record(&self, record: &Arc<DecisionRecord>) {
        self.write(Record::Replicas(Arc::clone(record)));
    }
}

impl Recorder<NodeDecisionRecord> for RecordFile {
    fn record(&self, record: &Arc<NodeDecisionRecord>) {
        self.write(Record::Nodes(Arc::clone(record)));
    }
}

/// Writes records until the channel is closed. It goes on after a failure, which may be
/// temporary, and returns the last one.
fn write_all(
    records: &Receiver<(Record, usize)>,
    waiting: &Waiting,
    mut file: RotatedFile,
) -> io::Result<()> {
    let mut last = Ok(());
    let mut failing = false;
    while let Ok(first) = records.recv() {
        let result = std::iter::once(first)
            .chain(records.try_iter())
            .try_for_each(|(record, bytes)| {
                let written = file.write(&record);
                waiting.remove(bytes);
                written
            })
            .and_then(|()| file.flush());
        if let Err(error) = &result
            && !failing
        {
            tracing::error!(%error, "cannot write records");
        }
        failing = result.is_err();
        if failing {
            last = result;
        }
    }
    last
}

/// Returns a record as a line.
fn line(record: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(record)?;
    line.push(b'\n');
    Ok(line)
}

/// Writes lines. If a line could not be written completely, the next one begins on a new
/// line.
struct Lines<W: Write> {
    file: BufWriter<W>,
    /// Whether the last line may be incomplete.
    incomplete: bool,
}

impl<W: Write> Lines<W> {
    fn new(file: W, incomplete: bool) -> Self {
        Self {
            file: BufWriter::new(file),
            incomplete,
        }
    }

    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        if self.incomplete {
            self.file.write_all(b"\n")?;
        }
        self.incomplete = true;
        self.file.write_all(line)?;
        self.incomplete = false;
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Reports whether the last line of a file is incomplete, for example after a crash.
fn is_incomplete(path: &Path) -> io::Result<bool> {
    // Something other than a file, such as a pipe, can't be read back.
    if !path.metadata()?.is_file() {
        return Ok(false);
    }
    let mut file = File::open(path)?;
    if file.seek(SeekFrom::End(0))? == 0 {
        return Ok(false);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::{self, Write};
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;
    use std::sync::Arc;

    use flyball_decision::recorder::Recorder as _;
    use flyball_nodes::record::NodeDecisionRecord;

    use super::{Lines, RecordFile, Rotation, line};

    const NEVER: Rotation = Rotation {
        max_bytes: 0,
        max_files: 5,
    };

    /// A disk with room for some bytes; after one failed write it has room for all.
    #[derive(Default)]
    struct Disk {
        written: Vec<u8>,
        room: Option<usize>,
    }

    impl Write for &mut Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let fits = bytes.len().min(self.room.unwrap_or(usize::MAX));
            if fits == 0 {
                self.room = None;
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.room = self.room.map(|room| room - fits);
            self.written.extend(&bytes[..fits]);
            Ok(fits)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_that_did_not_fit_spoils_no_other() -> io::Result<()> {
        // Longer than the buffer.
        let long = |letter: &str| letter.repeat(20_000);
        let mut disk = Disk {
            room: Some(30_000),
            ..Disk::default()
        };
        let mut lines = Lines::new(&mut disk, false);
        let line = |letter: &str| line(&long(letter));
        lines.write(&line("a")?)?;
        assert!(lines.write(&line("b")?).is_err());
        lines.write(&line("c")?)?;
        lines.flush()?;
        drop(lines);
        let text = String::from_utf8_lossy(&disk.written);
        let whole: Vec<_> = text
            .lines()
            .filter_map(|line| serde_json::from_str::<String>(line).ok())
            .collect();
        assert_eq!(whole, [long("a"), long("c")]);
        Ok(())
    }

    #[test]
    fn what_a_crash_cut_short_is_left_on_a_line_of_its_own() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("records.jsonl");
        let append = || {
            let file = RecordFile::append_to(&path, NEVER)?;
            file.record(&Arc::new(NodeDecisionRecord::default()));
            file.close()?;
            anyhow::Ok(fs::read_to_string(&path)?)
        };
        let whole = append()?;
        assert_eq!(append()?, whole.repeat(2), "nothing is put between");
        fs::write(&path, "{\"format")?;
        assert_eq!(append()?, format!("{{\"format\n{whole}"));
        Ok(())
    }

    /// Writes some records about nodes, with this number, and returns the number of lines in
    /// each file, the latest first.
    fn rotated(path: &Path, records: usize, rotation: Rotation) -> anyhow::Result<Vec<usize>> {
        let file = RecordFile::append_to(path, rotation)?;
        for sequence in 0..records {
            let sequence = u64::try_from(sequence)?;
            file.record(&Arc::new(NodeDecisionRecord {
                sequence,
                ..NodeDecisionRecord::default()
            }));
        }
        file.close()?;
        let older = (1..10).map(|number| format!("{}.{number}", path.display()));
        let files = [path.display().to_string()].into_iter().chain(older);
        let texts = files.map_while(|file| fs::read_to_string(file).ok());
        texts
            .map(|text| {
                anyhow::ensure!(text.is_empty() || text.ends_with('\n'));
                Ok(text.lines().count())
            })
            .collect()
    }

    #[test]
    fn files_are_private_rotated_at_a_size_and_the_oldest_removed() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("records.jsonl");
        assert_eq!(rotated(&path, 3, NEVER)?, [3]);
        let line = fs::metadata(&path)?.len().div_ceil(3);
        // Room for four lines, and a bit.
        let rotation = |max_files| Rotation {
            max_bytes: 4 * line + line / 2,
            max_files,
        };
        // The existing lines count.
        assert_eq!(rotated(&path, 2, rotation(3))?, [1, 4]);
        assert_eq!(rotated(&path, 8, rotation(3))?, [1, 4, 4]);
        assert_eq!(rotated(&path, 4, rotation(3))?, [1, 4, 4]);
        for name in ["records.jsonl", "records.jsonl.1", "records.jsonl.2"] {
            let mode = fs::metadata(folder.path().join(name))?.permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
        // Lines that are larger than a file may be get a file each.
        let tiny = Rotation {
            max_bytes: 1,
            max_files: 2,
        };
        assert_eq!(rotated(&path, 3, tiny)?, [1, 1, 4]);
        let one = Rotation {
            max_files: 1,
            ..rotation(1)
        };
        assert_eq!(rotated(&path, 5, one)?, [2, 1, 4]);
        Ok(())
    }
}
