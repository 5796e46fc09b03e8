//! Time of `flyball run` from its start until it is ready, on a nearly empty embedded
//! cluster, with compiled code in the cache.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use flyball_test_support::bench::report;
use serde_json::Value;

const RUNS: usize = 11;
const TARGET_MS: f64 = 500.0;

const SCENARIO: &str = "\
duration: 1h
workloads:
  - name: web
    load: {formula: 1}
";

fn main() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("quiet.yaml"), SCENARIO)?;
    start(folder.path()).context("the first start, which fills the cache")?;
    let mut times = (0..RUNS)
        .map(|_| start(folder.path()))
        .collect::<anyhow::Result<Vec<_>>>()?;
    times.sort_unstable();
    let median = times[RUNS / 2].as_secs_f64() * 1e3;
    report("start/ready", median, "ms", Some(TARGET_MS))
}

/// Returns the time from the start of the process until it is ready.
fn start(folder: &Path) -> anyhow::Result<Duration> {
    let begin = Instant::now();
    let mut daemon = Daemon(
        Command::new(env!("CARGO_BIN_EXE_flyball"))
            .args(["run", "--cluster", "sim:quiet.yaml", "--state-dir", "state"])
            .args(["--http", "127.0.0.1:0", "--log-format", "json"])
            .current_dir(folder)
            .stderr(Stdio::piped())
            .spawn()?,
    );
    let log = BufReader::new(daemon.0.stderr.take().context("no pipe to the daemon")?);
    let mut lines = log.lines();
    let address = lines
        .by_ref()
        .map_while(Result::ok)
        .find_map(|line| {
            let event: Value = serde_json::from_str(&line).ok()?;
            Some(event["http"].as_str()?.to_owned())
        })
        .context("the daemon named no address")?;
    while ureq::get(format!("http://{address}/readyz"))
        .call()
        .is_err()
    {
        anyhow::ensure!(begin.elapsed() < Duration::from_secs(60), "never ready");
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(begin.elapsed())
}

/// The daemon's process, which is killed when this is dropped.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
