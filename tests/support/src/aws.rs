//! A simulated AWS for tests: moto's server.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::Value;
use tempfile::TempDir;

use crate::binaries::cloud;
use crate::wait_for;

/// Auto Scaling, EC2, EKS, STS and IAM on 127.0.0.1, simulated by moto.
///
/// It starts empty and ends when the value is dropped, even if the test panics, is
/// interrupted or is killed. Instances run as soon as they are ordered, and any
/// credentials are accepted.
#[derive(Debug)]
pub struct Aws {
    binaries: PathBuf,
    endpoint: String,
    keeper: Child,
    _dir: TempDir,
}

impl Aws {
    /// The region that [`Aws::aws`] uses.
    pub const REGION: &str = "eu-west-1";
    /// The zone of that region.
    pub const ZONE: &str = "eu-west-1a";

    /// Starts the server on a free port, and waits until it serves.
    ///
    /// # Errors
    /// If moto is missing (`cargo xtask setup cloud` installs it) or does not start; the
    /// message contains its log.
    pub fn start() -> anyhow::Result<Self> {
        let binaries = cloud::find()?;
        let dir = tempfile::Builder::new()
            .prefix("flyball-aws-")
            .tempdir()
            .context("cannot create a folder for moto")?;
        let log = dir.path().join("moto.log");
        let file = File::create(&log).context("cannot create moto's log")?;
        let keeper = Command::new("sh")
            .args(["-c", include_str!("keep.sh"), "keep"])
            .arg(binaries.join("moto_server"))
            .args(["-H", "127.0.0.1", "-p", "0"])
            .stdin(Stdio::piped())
            .stdout(file.try_clone()?)
            .stderr(file)
            // An interrupt at the terminal must not reach it: it has to clean up.
            .process_group(0)
            .spawn()
            .context("cannot run sh")?;
        let mut aws = Self {
            binaries,
            endpoint: String::new(),
            keeper,
            _dir: dir,
        };
        let read = || fs::read_to_string(&log).context("cannot read moto's log");
        let endpoint = wait_for("moto", Duration::from_secs(120), || Ok(endpoint(&read()?)));
        aws.endpoint = endpoint.with_context(|| read().unwrap_or_default())?;
        Ok(aws)
    }

    /// Returns the URL of the server.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Returns the environment variables by which AWS' tools and SDKs find it.
    #[must_use]
    pub fn environment(&self) -> [(&'static str, &str); 5] {
        [
            ("AWS_ENDPOINT_URL", &self.endpoint),
            ("AWS_REGION", Self::REGION),
            ("AWS_DEFAULT_REGION", Self::REGION),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
        ]
    }

    /// Runs the AWS command line, and returns its answer, which is null if it is empty.
    ///
    /// # Errors
    /// If it fails; the message contains its standard error.
    pub fn aws(&self, args: &[&str]) -> anyhow::Result<Value> {
        let output = Command::new(self.binaries.join("aws"))
            .args(args)
            .args(["--output", "json"])
            .envs(self.environment())
            .output()
            .context("cannot run aws")?;
        ensure!(
            output.status.success(),
            "aws {} failed: {}",
            args.join(" "),
            String::from_utf8_lossy(&output.stderr).trim()
        );
        if output.stdout.trim_ascii().is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&output.stdout).context("cannot read what aws prints")
    }

    /// Creates an Auto Scaling group whose instances run at once, with these tags
    /// (`KEY=VALUE`).
    ///
    /// # Errors
    /// If moto refuses it.
    pub fn create_group(
        &self,
        name: &str,
        sizes: (u32, u32, u32),
        tags: &[&str],
    ) -> anyhow::Result<()> {
        self.create_group_of("t3.small", name, sizes, tags)
    }

    /// Creates an Auto Scaling group of an instance type.
    ///
    /// # Errors
    /// If the command line fails.
    pub fn create_group_of(
        &self,
        instance_type: &str,
        name: &str,
        (min, desired, max): (u32, u32, u32),
        tags: &[&str],
    ) -> anyhow::Result<()> {
        let configuration = format!("{name}-launch");
        self.call(
            "CreateLaunchConfiguration",
            &[
                ("LaunchConfigurationName", &configuration),
                ("ImageId", "ami-12c6146b"),
                ("InstanceType", instance_type),
            ],
        )?;
        let [min, desired, max] = [min, desired, max].map(|size| size.to_string());
        let mut fields = vec![
            ("AutoScalingGroupName".to_owned(), name),
            ("LaunchConfigurationName".to_owned(), &configuration),
            ("MinSize".to_owned(), &min),
            ("DesiredCapacity".to_owned(), &desired),
            ("MaxSize".to_owned(), &max),
            ("AvailabilityZones.member.1".to_owned(), Self::ZONE),
        ];
        for (at, tag) in tags.iter().enumerate() {
            let (key, value) = tag.split_once('=').unwrap_or((tag, ""));
            let field = |field: &str| format!("Tags.member.{}.{field}", at + 1);
            fields.extend([
                (field("Key"), key),
                (field("Value"), value),
                (field("ResourceId"), name),
                (field("ResourceType"), "auto-scaling-group"),
                (field("PropagateAtLaunch"), "false"),
            ]);
        }
        let fields: Vec<(&str, &str)> = fields
            .iter()
            .map(|(field, value)| (&**field, *value))
            .collect();
        self.call("CreateAutoScalingGroup", &fields).map(drop)
    }

    /// Deletes an Auto Scaling group and its instances.
    ///
    /// # Errors
    /// If moto refuses it.
    pub fn delete_group(&self, name: &str) -> anyhow::Result<()> {
        let fields = [("AutoScalingGroupName", name), ("ForceDelete", "true")];
        self.call("DeleteAutoScalingGroup", &fields).map(drop)
    }

    /// Returns DescribeAutoScalingGroups' description of a group.
    ///
    /// # Errors
    /// If the command line fails, or there is no such group.
    pub fn group(&self, name: &str) -> anyhow::Result<Value> {
        let mut answer = self.aws(&[
            "autoscaling",
            "describe-auto-scaling-groups",
            "--auto-scaling-group-names",
            name,
        ])?;
        let group = answer["AutoScalingGroups"][0].take();
        ensure!(!group.is_null(), "there is no Auto Scaling group {name}");
        Ok(group)
    }

    /// Returns size and instances of a group.
    ///
    /// # Errors
    /// If moto does not answer, or there is no such group.
    pub fn size(&self, name: &str) -> anyhow::Result<GroupSize> {
        let fields = [("AutoScalingGroupNames.member.1", name)];
        let answer = self.call("DescribeAutoScalingGroups", &fields)?;
        let size = texts(&answer, "DesiredCapacity").next();
        let size = size.and_then(|size| size.parse().ok());
        let ids = texts(&answer, "InstanceId");
        let instances = ids.zip(texts(&answer, "AvailabilityZone"));
        Ok(GroupSize {
            desired: size.with_context(|| format!("there is no Auto Scaling group {name}"))?,
            instances: instances
                .map(|(id, zone)| (id.to_owned(), zone.to_owned()))
                .collect(),
        })
    }

    /// Calls Auto Scaling's query API, which takes milliseconds where the command line takes
    /// a second. Returns the answer, an XML document.
    fn call(&self, action: &str, fields: &[(&str, &str)]) -> anyhow::Result<String> {
        let mut form = format!("Action={action}&Version=2011-01-01");
        for (field, value) in fields {
            form.push_str(&format!("&{field}={}", encoded(value)));
        }
        let (address, length) = (self.endpoint.trim_start_matches("http://"), form.len());
        let region = Self::REGION;
        // moto finds region and service in the credentials' scope.
        let request = format!(
            "POST / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {length}\r\n\
             Authorization: AWS4-HMAC-SHA256 \
             Credential=test/20200101/{region}/autoscaling/aws4_request, \
             SignedHeaders=host, Signature=0\r\n\r\n{form}"
        );
        let answer = exchange(address, &request).context("moto does not answer")?;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        ensure!(
            answer.starts_with("HTTP/1.1 200 "),
            "{action} failed: {answer}"
        );
        Ok(answer)
    }
}

/// Returns a value as it stands in a form.
fn encoded(value: &str) -> String {
    let encode = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    };
    value.bytes().map(encode).collect()
}

/// Size and instances of a group.
#[derive(Clone, Debug)]
pub struct GroupSize {
    /// Its desired capacity.
    pub desired: u32,
    /// Id and zone of each instance.
    pub instances: Vec<(String, String)>,
}

/// Returns the texts of the elements of this name, in an XML document.
fn texts<'a>(xml: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    let (start, end) = (format!("<{name}>"), format!("</{name}>"));
    let mut parts = xml.split(&start).skip(1).collect::<Vec<_>>().into_iter();
    std::iter::from_fn(move || parts.next()?.split(&end).next())
}

impl Drop for Aws {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        // An error means that the keeper has ended already.
        let _ = self.keeper.wait();
    }
}

/// Returns the address that the server logs. Returns `None` if it has not logged one yet.
fn endpoint(log: &str) -> Option<String> {
    let (_, rest) = log.split_once("Running on ")?;
    let (endpoint, _) = rest.split_once('\n')?;
    Some(endpoint.trim().to_owned())
}

/// Sends a request that closes its connection. Returns the answer.
pub(crate) fn exchange(address: &str, request: &str) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(answer)
}
