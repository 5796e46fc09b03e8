//! A server in front of moto that answers some calls itself.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use flyball_test_support::Aws;

/// How long a call takes at least, so that concurrent ones meet.
const LATENCY: Duration = Duration::from_millis(100);

/// Code and message of an error of AWS.
pub type Fault = (&'static str, &'static str);

/// Returns the error of a call that terminates this instance. `None` if moto answers.
type FaultOf = Box<dyn Fn(&str) -> Option<Fault> + Send + Sync>;

/// The server. It runs until the process ends.
pub struct Faults {
    pub endpoint: String,
    shared: Arc<Shared>,
}

struct Shared {
    moto: String,
    fault: FaultOf,
    /// Instances that calls were to terminate, in their order.
    asked: Mutex<Vec<String>>,
    in_flight: AtomicUsize,
    most_in_flight: AtomicUsize,
    /// moto's changes of a group are not atomic.
    forwarding: Mutex<()>,
}

impl Faults {
    /// Starts it in front of moto.
    pub fn start(
        aws: &Aws,
        fault: impl Fn(&str) -> Option<Fault> + Send + Sync + 'static,
    ) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let endpoint = format!("http://{}", listener.local_addr()?);
        let shared = Arc::new(Shared {
            moto: aws.endpoint().trim_start_matches("http://").to_owned(),
            fault: Box::new(fault),
            asked: Mutex::default(),
            in_flight: AtomicUsize::new(0),
            most_in_flight: AtomicUsize::new(0),
            forwarding: Mutex::default(),
        });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&accepting);
                thread::spawn(move || shared.serve(stream));
            }
        });
        Ok(Self { endpoint, shared })
    }

    /// Returns the instances that calls were to terminate, in their order.
    pub fn asked(&self) -> Vec<String> {
        self.shared.asked.lock().unwrap().clone()
    }

    /// Returns the largest number of calls to terminate instances at one time.
    pub fn most_in_flight(&self) -> usize {
        self.shared.most_in_flight.load(Ordering::SeqCst)
    }
}

impl Shared {
    /// Answers one request, and closes the connection.
    fn serve(&self, mut stream: TcpStream) {
        let Some((head, body)) = read_request(&mut stream) else {
            return;
        };
        let is_termination = body.contains("Action=TerminateInstanceInAutoScalingGroup");
        let mut fields = body.split('&');
        let instance = fields.find_map(|field| field.strip_prefix("InstanceId="));
        let answer = match instance.filter(|_| is_termination) {
            Some(instance) => self.terminate(instance, &head, &body),
            None => self.forward(&head, &body),
        };
        stream.write_all(&answer).unwrap();
    }

    fn terminate(&self, instance: &str, head: &str, body: &str) -> Vec<u8> {
        let now = self.in_flight.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_in_flight.fetch_max(now, Ordering::SeqCst);
        self.asked.lock().unwrap().push(instance.to_owned());
        thread::sleep(LATENCY);
        let answer = match (self.fault)(instance) {
            Some(fault) => error(fault),
            None => self.forward(head, body),
        };
        self.in_flight.fetch_sub(1, Ordering::SeqCst);
        answer
    }

    fn forward(&self, head: &str, body: &str) -> Vec<u8> {
        let _one = self.forwarding.lock().unwrap();
        let mut moto = TcpStream::connect(&self.moto).unwrap();
        let request = format!("{head}\r\nConnection: close\r\n\r\n{body}");
        moto.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        moto.read_to_end(&mut answer).unwrap();
        answer
    }
}

/// Returns head and body of a request. `None` if the connection was closed before.
fn read_request(stream: &mut TcpStream) -> Option<(String, String)> {
    let mut text = String::new();
    let mut buffer = [0; 4096];
    loop {
        let count = stream.read(&mut buffer).ok().filter(|count| *count > 0)?;
        text.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            let is_length = name.eq_ignore_ascii_case("content-length");
            is_length.then(|| value.trim().parse().ok())?
        });
        if body.len() >= length.unwrap_or(0) {
            return Some((head.to_owned(), body.to_owned()));
        }
    }
}

fn error((code, message): Fault) -> Vec<u8> {
    let body = format!(
        "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code>\
         <Message>{message}</Message></Error><RequestId>1</RequestId></ErrorResponse>"
    );
    let length = body.len();
    format!(
        "HTTP/1.1 400 Bad Request\r\nContent-Type: text/xml\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{body}"
    )
    .into_bytes()
}
