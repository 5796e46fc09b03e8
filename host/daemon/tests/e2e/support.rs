//! Runs the binary.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, Instant};

use flyball_test_support::empty_folder;
use serde_json::Value;

/// A working folder with the binary's private directory.
pub struct Workshop(tempfile::TempDir);

/// Exit code and output of a command.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// Directory with the compiled code of the built-in policies, which a first run left.
static COMPILED: LazyLock<PathBuf> = LazyLock::new(|| {
    let state = Path::new(env!("CARGO_TARGET_TMPDIR")).join("first-run");
    // Of an earlier run of the tests.
    let _ = fs::remove_dir_all(&state);
    let mut first = Command::new(env!("CARGO_BIN_EXE_flyball"));
    first.args(["policy", "list"]);
    first.env("FLYBALL_STATE_DIR", &state);
    let ran: Ran = first.output().unwrap().into();
    ran.expect(0, &["hpa"]);
    state.join("code")
});

/// Where the built-in policies were compiled. Policies that tests write have the same
/// dependencies.
pub fn policies_build_dir() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("../policies")
}

/// Returns a folder in which a test writes policies.
pub fn author_folder(name: &str) -> tempfile::TempDir {
    empty_folder(Path::new(env!("CARGO_TARGET_TMPDIR")), name).unwrap()
}

impl Workshop {
    /// Returns a folder with the compiled code of the built-in policies, as every run but
    /// the first one on a machine has it.
    pub fn new() -> Self {
        Self::without_code().with_code()
    }

    /// As [`Workshop::new`], for a test that compiles policies; no other may have its name.
    pub fn for_author(name: &str) -> Self {
        Self(author_folder(name)).with_code()
    }

    fn with_code(self) -> Self {
        let code = self.path("state/code");
        for folder in [self.path("state"), code.clone()] {
            fs::DirBuilder::new().mode(0o700).create(folder).unwrap();
        }
        for file in fs::read_dir(&*COMPILED).unwrap() {
            let file = file.unwrap();
            fs::copy(file.path(), code.join(file.file_name())).unwrap();
        }
        self
    }

    /// Returns an empty folder. A run compiles the built-in policies, which takes seconds.
    pub fn without_code() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file and returns its path.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    /// Returns the command of the binary in this folder.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_flyball"));
        command
            .args(args)
            .current_dir(self.0.path())
            .env_remove("NO_COLOR")
            .env_remove("COLUMNS")
            .env_remove("CLICOLOR_FORCE")
            .env("FLYBALL_STATE_DIR", self.path("state"))
            .env("XDG_STATE_HOME", self.path("home"))
            .env("CARGO_BUILD_BUILD_DIR", policies_build_dir())
            .env_remove("FLYBALL_POLICIES_DIR")
            .env_remove("RUST_LOG");
        command
    }

    /// Runs the binary to its end. Its output must be plain, as there is no terminal.
    pub fn run(&self, args: &[&str]) -> Ran {
        let output = self.command(args).stdin(Stdio::null()).output();
        let ran: Ran = output.unwrap().into();
        for text in [&ran.stdout, &ran.stderr] {
            assert!(!text.contains('\u{1b}'), "styled: {ran:#?}");
        }
        ran
    }

    /// Runs the binary to its end as on a terminal. Its output is without our own styles.
    pub fn run_on_a_terminal(&self, args: &[&str]) -> Ran {
        let output = self.command(args).env("CLICOLOR_FORCE", "1").output();
        let mut ran: Ran = output.unwrap().into();
        for text in [&mut ran.stdout, &mut ran.stderr] {
            for style in STYLES {
                *text = text.replace(&format!("\u{1b}[{style}m"), "");
            }
        }
        ran
    }

    /// Runs the binary as on a terminal, which must be a success. Returns its output without
    /// our own styles.
    pub fn on_a_terminal(&self, args: &[&str]) -> String {
        let ran = self.run_on_a_terminal(args);
        assert_eq!(ran.code, Some(0), "{ran:#?}");
        ran.stdout
    }

    /// Runs the binary to its end, which must be a success. Returns its output.
    pub fn succeed(&self, args: &[&str]) -> String {
        let ran = self.run(args);
        assert_eq!(ran.code, Some(0), "flyball {}: {ran:#?}", args.join(" "));
        ran.stdout
    }
}

/// The sequences of our own styles.
const STYLES: [&str; 7] = ["0", "1", "2", "31", "32", "33", "36"];

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Ran {
    /// Asserts the exit code and that these texts were printed: for failures (1) and
    /// usage errors (2) on standard error, and nothing else.
    #[track_caller]
    pub fn expect(&self, code: i32, texts: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:#?}");
        let failed = matches!(code, 1 | 2);
        assert!(!failed || self.stdout.is_empty(), "{self:#?}");
        for text in texts {
            assert!(
                !failed && self.stdout.contains(text) || self.stderr.contains(text),
                "no {text:?}: {self:#?}"
            );
        }
    }
}

/// A running `flyball run`, which is killed when this is dropped.
pub struct Daemon {
    child: Child,
    log: Arc<Mutex<Vec<Value>>>,
    pub url: String,
    /// Address of the probes, if there is one.
    pub probes: Option<String>,
}

impl Daemon {
    /// Starts the daemon on a free port and waits until it serves.
    pub fn start(workshop: &Workshop, args: &[&str]) -> Self {
        let mut all = vec!["run", "--http", "127.0.0.1:0", "--log-format", "json"];
        all.extend(args);
        Self::spawn(workshop.command(&all))
    }

    /// Starts a command that runs the daemon with a JSON log, and waits until it serves.
    pub fn spawn(mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
        let started = log.by_ref().map(Result::unwrap).find_map(|line| {
            let event: Value = serde_json::from_str(&line).ok()?;
            event["http"].is_string().then_some(event)
        });
        let started = started.unwrap_or_else(|| panic!("the daemon ended: {:?}", child.wait()));
        let url = |field: &str| Some(format!("http://{}", started[field].as_str()?));
        // A pipe that is not read would block the daemon.
        let events = Arc::new(Mutex::new(Vec::new()));
        let logged = Arc::clone(&events);
        std::thread::spawn(move || {
            for line in log.map_while(Result::ok) {
                eprintln!("{line}");
                logged.lock().unwrap().extend(serde_json::from_str(&line));
            }
        });
        Self {
            child,
            log: events,
            url: url("http").unwrap(),
            probes: url("probes"),
        }
    }

    /// Starts the daemon and waits until it is ready.
    pub fn ready(workshop: &Workshop, args: &[&str]) -> Self {
        let daemon = Self::start(workshop, args);
        daemon.wait_until_ready();
        daemon
    }

    pub fn wait_until_ready(&self) {
        self.wait_for("the daemon to be ready", |daemon| {
            daemon.get("/readyz").is_some()
        });
    }

    /// Gets `path`. Returns the body, or `None` if the request fails.
    pub fn get(&self, path: &str) -> Option<String> {
        let mut answer = ureq::get(format!("{}{path}", self.url)).call().ok()?;
        answer.body_mut().read_to_string().ok()
    }

    /// Reports whether an event was logged whose fields contain these texts, since the
    /// daemon serves.
    pub fn logged(&self, fields: &[(&str, &str)]) -> bool {
        let contains = |event: &Value, field: &str, text| {
            event[field]
                .as_str()
                .is_some_and(|value| value.contains(text))
        };
        let has = |event: &Value| {
            fields
                .iter()
                .all(|(field, text)| contains(event, field, text))
        };
        self.log.lock().unwrap().iter().any(has)
    }

    /// Returns the events that were logged since the daemon serves.
    pub fn log(&self) -> Vec<Value> {
        self.log.lock().unwrap().clone()
    }

    /// Returns a policy in the daemon's list.
    pub fn policy(&self, name: &str) -> Option<Value> {
        let policies: Vec<Value> = serde_json::from_str(&self.get("/v1/policies")?).ok()?;
        policies.into_iter().find(|policy| policy["name"] == name)
    }

    /// Returns the last record about an object.
    pub fn last_record(&self, object: &str) -> Option<Value> {
        let text = self.get(&format!("/v1/records?object={object}&limit=1"))?;
        serde_json::from_str(text.lines().next()?).ok()
    }

    /// Returns all records about an object, oldest first.
    pub fn records(&self, object: &str) -> Vec<Value> {
        let text = self.get(&format!("/v1/records?object={object}&limit=10000"));
        let text = text.expect("the daemon answers");
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// Returns all records of node decisions, oldest first.
    pub fn node_records(&self) -> Vec<Value> {
        let text = self.get("/v1/node-records?limit=10000");
        let text = text.expect("the daemon answers");
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    #[track_caller]
    pub fn wait_for(&self, what: &str, condition: impl Fn(&Self) -> bool) {
        wait_for(what, WAIT_TIMEOUT, || {
            let has_ended = self.has_ended();
            let holds = condition(self);
            assert!(holds || !has_ended, "the daemon ended before {what}");
            holds
        });
    }

    fn has_ended(&self) -> bool {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()));
        stat.map_or(true, |stat| stat.contains(") Z "))
    }

    /// Sends SIGTERM, as a cluster does, and waits for the exit code.
    pub fn terminate(&mut self) -> Option<i32> {
        self.ask_to_end();
        self.wait_for_end()
    }

    /// Waits for the exit code.
    pub fn wait_for_end(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }

    /// Returns the process ids of its children.
    pub fn children(&self) -> Vec<String> {
        let own = self.child.id().to_string();
        let processes = fs::read_dir("/proc").unwrap().flatten();
        let processes = processes.filter_map(|process| {
            let stat = fs::read_to_string(process.path().join("stat")).ok()?;
            let (_, fields) = stat.rsplit_once(')')?;
            // The state, and the parent.
            let mut fields = fields.split_ascii_whitespace();
            let (state, parent) = (fields.next()?, fields.next()?);
            let is_one = parent == own && state != "Z";
            is_one.then(|| process.file_name().to_string_lossy().into_owned())
        });
        processes.collect()
    }

    /// Returns its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Reports whether it is still running.
    pub fn runs(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Sends SIGTERM, as a cluster does.
    pub fn ask_to_end(&self) {
        let id = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-TERM", &id])
                .status()
                .unwrap()
                .success()
        );
    }
}

/// Kills a process like a loss of power (SIGKILL), and waits until it does nothing more.
pub fn kill(process: u32) {
    let id = process.to_string();
    let killed = Command::new("kill").args(["-KILL", &id]).status().unwrap();
    assert!(killed.success(), "no process {id}");
    let stat = PathBuf::from(format!("/proc/{id}/stat"));
    wait_for("the process to end", WAIT_TIMEOUT, || {
        let stat = fs::read_to_string(&stat).unwrap_or_default();
        stat.is_empty() || stat.contains(") Z ")
    });
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Maximum time that a test waits: policies are compiled at the lowest priority, which
/// takes long on a busy machine.
pub const WAIT_TIMEOUT: Duration = Duration::from_secs(600);

/// Waits until a condition holds. Panics if it does not within `limit`.
#[track_caller]
pub fn wait_for(what: &str, limit: Duration, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < limit, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Two hours of one workload whose load doubles and falls again.
pub const SCENARIO: &str = "\
name: Two hours
seed: 3
duration: 2h
workloads:
  - name: web
    replicas: 2
    pod:
      requests: {cpu: 200m}
      startup: {mean: 20s}
    service: {cpuPerRequest: 5m}
    load:
      formula: 40 + 120 * bell(1h, 20m)
    autoscaler:
      minReplicas: 2
      maxReplicas: 20
      metrics:
        - type: Resource
          resource: {name: cpu, target: {type: Utilization, averageUtilization: 50}}
";
