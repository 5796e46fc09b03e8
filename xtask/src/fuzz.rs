//! `cargo xtask fuzz`: runs the fuzz targets under libFuzzer.

pub mod campaign;
mod properties;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};

use crate::command::{Elapsed, run as run_command, step};
use crate::{setup, workspace};

/// The status with which libFuzzer ends after an interrupt.
const INTERRUPTED: i32 = 72;

/// How often a long run reports how far it is.
const PROGRESS: Duration = Duration::from_secs(60);

/// Clock ticks of a second in /proc (`USER_HZ`).
const TICKS: u64 = 100;

/// Runs the fuzz targets under libFuzzer: everything that is read from outside
///
/// Targets: autoscalers, components, crowds, dumps, metrics, quantities, records,
/// scenarios, schemas, selectors. Each reads inputs by the functions that the daemon and
/// the commands use. It fails if one panics, takes five minutes, takes more than 64 MiB and 256
/// times its own size of memory, or ends in a message beyond the limits on messages. The
/// inputs of crowds are clusters, or autoscalers with pods, whose objects select each other;
/// these may take 64 times their size.
///
/// One target runs on each processor. What a run finds is in target/fuzz/TARGET: inputs
/// that reach something new in `corpus`, where the next run begins, and those that fail in
/// `faults`. Copy the input of a fault to tests/fuzz/corpus/TARGET, which `cargo xtask
/// test` reads.
///
/// With --properties, tests with random inputs run instead, in rounds, until the time has
/// passed. A failure prints the smallest input that fails.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The target. All targets if none is named
    target: Option<String>,
    /// Processor time of each target, or time after which no round of the properties begins
    #[arg(long, value_name = "N", default_value_t = 10)]
    seconds: u64,
    /// Reads only this input, such as one that failed
    #[arg(long, value_name = "FILE", requires = "target")]
    input: Option<PathBuf>,
    /// Runs the tests of what holds whatever tenants, policies and servers do
    #[arg(long, conflicts_with_all = ["target", "input"])]
    properties: bool,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let time = Duration::from_secs(arguments.seconds);
    if arguments.properties {
        return properties::run(time);
    }
    let program = build()?;
    if let (Some(name), Some(input)) = (&arguments.target, &arguments.input) {
        let mut target = Target::new(&program, name)?.command();
        // As many times as the memory is looked at.
        return run_command(target.arg("-runs=16").arg(input));
    }
    let names = match &arguments.target {
        Some(name) => vec![name.clone()],
        None => names()?,
    };
    let waiting = Mutex::new(names.into_iter());
    let next = || {
        let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
        Some((waiting.next()?, time))
    };
    run_each(&program, next, |_, _| Ok(()))
}

/// Compiles the program with libFuzzer and returns its path.
fn build() -> anyhow::Result<PathBuf> {
    setup::fuzz()?;
    let wrapper = workspace::root()
        .canonicalize()?
        .join("tests/fuzz/rustc.sh");
    step("compiling the fuzz targets", || {
        run_command(
            workspace::cargo()
                .args(["build", "--workspace", "--bin", "flyball-fuzz"])
                .args(["--features", "flyball-fuzz/libfuzzer"])
                .env("RUSTC_WORKSPACE_WRAPPER", wrapper),
        )
    })?;
    Ok(workspace::target_dir()?.join("debug/flyball-fuzz"))
}

/// Returns the names of all targets: each has a corpus.
fn names() -> anyhow::Result<Vec<String>> {
    let folder = workspace::root().join("tests/fuzz/corpus");
    let entries =
        fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let mut names = names.collect::<anyhow::Result<Vec<_>>>()?;
    names.sort();
    Ok(names)
}

/// Runs targets, as many at a time as there are processors, until `next` returns none:
/// it returns a target's name and its processor time. Hands over each result when a run ends.
/// After a fault, no other run begins.
fn run_each(
    program: &Path,
    next: impl Fn() -> Option<(String, Duration)> + Sync,
    ended: impl Fn(&Target, Summary) -> anyhow::Result<()> + Sync,
) -> anyhow::Result<()> {
    let run = |(name, time): (String, Duration)| -> anyhow::Result<()> {
        let target = Target::new(program, &name)?;
        let summary = target.run(time)?;
        println!("{name}: {summary}");
        ended(&target, summary)
    };
    let processors = thread::available_parallelism()?.get();
    step("fuzzing", || share(processors, next, run))
}

/// Shares what `next` returns among threads, until it returns none or a run fails: then the
/// runs under way end, and no other begins.
fn share<T>(
    threads: usize,
    next: impl Fn() -> Option<T> + Sync,
    run: impl Fn(T) -> anyhow::Result<()> + Sync,
) -> anyhow::Result<()> {
    let has_failed = AtomicBool::new(false);
    let work = || -> anyhow::Result<()> {
        while !has_failed.load(Ordering::Relaxed)
            && let Some(one) = next()
        {
            run(one).inspect_err(|_| has_failed.store(true, Ordering::Relaxed))?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let results = workers.into_iter().map(|worker| match worker.join() {
            Ok(result) => result,
            Err(_) => bail!("a thread panicked"),
        });
        results.collect()
    })
}

/// A target, and the folder of what is found.
struct Target {
    program: PathBuf,
    name: String,
    folder: PathBuf,
}

/// What a run did.
struct Summary {
    /// Processor time.
    time: Duration,
    inputs: u64,
    /// Edges of the code's flow that inputs reached.
    edges: u64,
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let time = Elapsed(self.time);
        write!(
            f,
            "{} inputs reach {} edges in {time}",
            self.inputs, self.edges
        )
    }
}

impl Target {
    fn new(program: &Path, name: &str) -> anyhow::Result<Self> {
        let names = names()?;
        ensure!(
            names.iter().any(|known| known == name),
            "there is no target {name}; the targets are {}",
            names.join(", ")
        );
        let folder = workspace::target_dir()?.join("fuzz").join(name);
        for subfolder in ["corpus", "faults", "seeds"] {
            fs::create_dir_all(folder.join(subfolder))
                .with_context(|| format!("cannot create {}", folder.display()))?;
        }
        Ok(Self {
            program: program.to_owned(),
            name: name.to_owned(),
            folder,
        })
    }

    /// The folder of inputs that are in the repository.
    fn committed(&self) -> PathBuf {
        workspace::root().join("tests/fuzz/corpus").join(&self.name)
    }

    /// Where the program writes an input that takes too much memory.
    fn memory_fault(&self) -> PathBuf {
        self.folder.join("faults/memory")
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command
            .env("FLYBALL_FUZZ_TARGET", &self.name)
            .env("FLYBALL_FUZZ_SEEDS", self.folder.join("seeds"))
            .env("FLYBALL_FUZZ_MEMORY_FAULT", self.memory_fault())
            .args(["-max_len=262144", "-timeout=300", "-rss_limit_mb=4096"])
            .arg(format!(
                "-artifact_prefix={}/faults/",
                self.folder.display()
            ));
        command
    }

    /// Runs until a processor time has passed.
    fn run(&self, time: Duration) -> anyhow::Result<Summary> {
        let _ = fs::remove_file(self.memory_fault());
        let log = self.folder.join("log");
        let mut command = self.command();
        command
            .args(["-reload=0", "-print_final_stats=1"])
            .arg(self.folder.join("corpus"))
            .arg(self.folder.join("seeds"))
            .arg(self.committed())
            .stderr(File::create(&log)?);
        let child = command.spawn().context("cannot run flyball-fuzz")?;
        let (status, used) = self.wait(child, time)?;
        let text = String::from_utf8_lossy(&fs::read(&log)?).into_owned();
        if status.code() != Some(INTERRUPTED) {
            self.fail(status, &text)?;
        }
        Ok(Summary {
            time: used,
            inputs: number_after(&text, "stat::number_of_executed_units: ")
                .context("libFuzzer printed no number of inputs")?,
            edges: number_after(&text, " cov: ").context("libFuzzer printed no coverage")?,
        })
    }

    /// Waits for a run, and interrupts it when its processor time has passed.
    fn wait(&self, mut child: Child, time: Duration) -> anyhow::Result<(ExitStatus, Duration)> {
        let (start, mut reports) = (Instant::now(), 0);
        let mut used = Duration::ZERO;
        loop {
            thread::sleep(Duration::from_millis(200));
            if let Some(status) = child.try_wait()? {
                return Ok((status, used));
            }
            used = processor_time(child.id())?;
            if used >= time {
                run_command(Command::new("kill").args(["-INT", &child.id().to_string()]))?;
                return Ok((child.wait()?, used));
            }
            if start.elapsed() >= PROGRESS * (reports + 1) {
                reports += 1;
                println!("{}: {} of {}", self.name, Elapsed(used), Elapsed(time));
            }
        }
    }

    /// Reports a run that found a fault.
    fn fail(&self, status: ExitStatus, log: &str) -> anyhow::Result<()> {
        let lines: Vec<&str> = log.lines().collect();
        let tail = lines[lines.len().saturating_sub(60)..].join("\n");
        let name = &self.name;
        // libFuzzer writes the last input, which is another one than that which took memory.
        let written = lines.iter().find_map(|line| {
            let (_, file) = line.split_once("Test unit written to ")?;
            Some(PathBuf::from(file))
        });
        let memory = Some(self.memory_fault()).filter(|file| file.exists());
        match memory.or(written) {
            Some(fault) => bail!(
                "{tail}\n{name} found a fault; repeat it with \
                 `cargo xtask fuzz {name} --input {}`",
                fault.display()
            ),
            None => bail!("{tail}\n{name} ended with {status}"),
        }
    }
}

/// Returns the time that a process spent on processors.
fn processor_time(process: u32) -> anyhow::Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The fields after the name, which is in parentheses and may contain spaces: the first
    // is the third of proc_pid_stat(5).
    let (_, fields) = stat
        .rsplit_once(") ")
        .context("cannot read /proc/PID/stat")?;
    let ticks = fields.split(' ').skip(11).take(2);
    let ticks: u64 = ticks.map(|ticks| ticks.parse::<u64>().unwrap_or(0)).sum();
    Ok(Duration::from_millis(ticks * 1000 / TICKS))
}

/// Returns the number after the last occurrence of a text.
fn number_after(log: &str, text: &str) -> Option<u64> {
    let (_, rest) = log.rsplit_once(text)?;
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::thread;
    use std::time::Duration;

    use anyhow::ensure;

    use super::share;

    #[test]
    fn no_run_begins_after_one_has_failed() {
        let begun = AtomicU32::new(0);
        let next = || Some(begun.fetch_add(1, Ordering::Relaxed)).filter(|run| *run < 10_000);
        let result = share(2, next, |run: u32| {
            ensure!(run > 0, "a fault");
            thread::sleep(Duration::from_millis(1));
            Ok(())
        });
        assert_eq!(result.expect_err("a run failed").to_string(), "a fault");
        assert!(begun.into_inner() < 10_000);
    }
}
