//! Drives a headless browser over the WebDriver protocol.

use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use base64::Engine as _;
use flyball_test_support::binaries::browser;
use serde_json::{Value, json};

use crate::support::{WAIT_TIMEOUT, wait_for};

/// Runs a program until standard input is closed, as when this process is killed.
const KEEP: &str = include_str!("../../../../tests/support/src/keep.sh");

/// Options of the browser: nothing but the page is loaded. It listens on no port, and ends
/// with its driver.
const OPTIONS: [&str; 10] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    // Containers have little of it.
    "--disable-dev-shm-usage",
    "--remote-debugging-pipe",
];

/// A headless browser with one page, which ends when this is dropped.
pub struct Browser {
    session: String,
    driver: Child,
    _dir: tempfile::TempDir,
}

impl Browser {
    pub fn start() -> Self {
        let found = browser::Browser::find().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("driver.log");
        let output = File::create(&log).unwrap();
        let driver = Command::new("sh")
            .args(["-c", KEEP, "keep"])
            .arg(found.driver)
            .arg("--port=0")
            .stdin(Stdio::piped())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            // An interrupt at the terminal must not reach it: it ends the browser.
            .process_group(0)
            .spawn()
            .unwrap();
        let mut browser = Self {
            session: String::new(),
            driver,
            _dir: dir,
        };
        let mut port = None;
        wait_for("chromedriver", WAIT_TIMEOUT, || {
            let log = fs::read_to_string(&log).unwrap();
            let after = log.split_once("successfully on port ");
            port = after.and_then(|(_, rest)| rest.split_once('.')?.0.parse::<u16>().ok());
            port.is_some()
        });
        let driver = format!("http://127.0.0.1:{}/session", port.unwrap());
        let profile = browser._dir.path().join("profile");
        let profile = format!("--user-data-dir={}", profile.display());
        let args = [&OPTIONS[..], &[profile.as_str()]].concat();
        let options = json!({"binary": found.program, "args": args});
        let wanted = json!({"browserName": "chrome", "goog:chromeOptions": options});
        let wanted = json!({"capabilities": {"alwaysMatch": wanted}});
        let session = post(&driver, &wanted);
        let id = session["sessionId"].as_str().unwrap();
        browser.session = format!("{driver}/{id}");
        browser
    }

    /// Opens a file on a screen of this width in CSS pixels, in a light or a dark scheme.
    pub fn open(&self, file: &Path, width: u32, scheme: &str) {
        let screen = json!({
            "width": width, "height": 844, "deviceScaleFactor": 1, "mobile": width < 600,
        });
        self.command("Emulation.setDeviceMetricsOverride", &screen);
        let scheme = json!({"name": "prefers-color-scheme", "value": scheme});
        self.command("Emulation.setEmulatedMedia", &json!({"features": [scheme]}));
        let url = format!("file://{}", file.display());
        post(&format!("{}/url", self.session), &json!({"url": url}));
    }

    /// Runs a script in the page, and returns what it returns.
    pub fn run(&self, script: &str) -> Value {
        let script = json!({"script": script, "args": []});
        post(&format!("{}/execute/sync", self.session), &script)
    }

    /// Writes a picture of the whole page.
    pub fn photograph(&self, file: &Path) {
        let size = self.run("return [innerWidth, document.documentElement.scrollHeight]");
        let clip = json!({"x": 0, "y": 0, "width": size[0], "height": size[1], "scale": 1});
        let wanted = json!({"captureBeyondViewport": true, "clip": clip});
        let picture = self.command("Page.captureScreenshot", &wanted);
        let picture = picture["data"].as_str().unwrap();
        let picture = base64::engine::general_purpose::STANDARD.decode(picture);
        fs::write(file, picture.unwrap()).unwrap();
    }

    /// Runs a command of the DevTools protocol.
    fn command(&self, command: &str, params: &Value) -> Value {
        let url = format!("{}/goog/cdp/execute", self.session);
        post(&url, &json!({"cmd": command, "params": params}))
    }
}

/// Posts a request, which must succeed, and returns the value of the answer.
#[track_caller]
fn post(url: &str, body: &Value) -> Value {
    let request = ureq::post(url).config().http_status_as_error(false).build();
    let request = request.content_type("application/json");
    let mut answer = request.send(body.to_string()).unwrap();
    let body = answer.body_mut().with_config().limit(100 << 20);
    let body = body.read_to_string().unwrap();
    assert!(answer.status().is_success(), "{url}: {body}");
    let answer: Value = serde_json::from_str(&body).unwrap();
    answer["value"].clone()
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Ends the browser. An error means that it has ended.
        let _ = ureq::delete(&self.session).call();
        drop(self.driver.stdin.take());
        let _ = self.driver.wait();
    }
}
