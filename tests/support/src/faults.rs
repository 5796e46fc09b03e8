//! A server in front of moto that makes calls fail, or loses their answers.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::aws::{Aws, exchange};

/// How long a call that terminates an instance takes at least, so that concurrent ones meet.
const LATENCY: Duration = Duration::from_millis(100);

/// What becomes of a call.
pub enum Fate {
    /// moto answers.
    Answered,
    /// moto does not see it. The answer is an error with this code and message; of the
    /// server if the code is `ServiceUnavailable`.
    Refused(&'static str, &'static str),
    /// moto does not see it. The connection is closed without an answer.
    Dropped,
    /// moto carries it out. The function gets whether moto accepted it, and returns
    /// whether it is answered.
    Followed(Box<dyn FnOnce(bool) -> bool>),
}

/// A call of AWS' query API.
pub struct Call<'a> {
    /// The form, such as `Action=DescribeAutoScalingGroups&Version=2011-01-01`.
    pub form: &'a str,
}

impl Call<'_> {
    /// Returns a field of the form.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut fields = self
            .form
            .split('&')
            .filter_map(|field| field.split_once('='));
        fields.find_map(|(key, value)| (key == name).then_some(value))
    }

    /// Returns the instance that the call is to terminate.
    #[must_use]
    pub fn terminated(&self) -> Option<&str> {
        let action = self.field("Action")?;
        let instance = self.field("InstanceId")?;
        (action == "TerminateInstanceInAutoScalingGroup").then_some(instance)
    }
}

type FateOf = Box<dyn Fn(&Call<'_>) -> Fate + Send + Sync>;

/// The server. It runs until the process ends.
pub struct Faults {
    /// Its URL.
    pub endpoint: String,
    shared: Arc<Shared>,
}

struct Shared {
    moto: String,
    fate_of: FateOf,
    /// Instances that calls were to terminate, in their order.
    asked: Mutex<Vec<String>>,
    in_flight: AtomicUsize,
    most_in_flight: AtomicUsize,
    /// moto's changes of a group are not atomic.
    forwarding: Mutex<()>,
}

impl Faults {
    /// Starts it in front of moto.
    ///
    /// # Errors
    /// If it cannot listen on 127.0.0.1.
    pub fn start(
        aws: &Aws,
        fate_of: impl Fn(&Call<'_>) -> Fate + Send + Sync + 'static,
    ) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let endpoint = format!("http://{}", listener.local_addr()?);
        let shared = Arc::new(Shared {
            moto: aws.endpoint().trim_start_matches("http://").to_owned(),
            fate_of: Box::new(fate_of),
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
    #[must_use]
    pub fn asked(&self) -> Vec<String> {
        let asked = &self.shared.asked;
        asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the largest number of calls to terminate instances at one time.
    #[must_use]
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
        let call = Call { form: &body };
        let answer = match call.terminated() {
            Some(instance) => self.terminate(instance, &head, &call),
            None => self.answer(&head, &call),
        };
        // The caller may have given up, or have been killed.
        let _ = stream.write_all(&answer);
    }

    fn terminate(&self, instance: &str, head: &str, call: &Call<'_>) -> Vec<u8> {
        let now = self.in_flight.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_in_flight.fetch_max(now, Ordering::SeqCst);
        let asked = &self.asked;
        let mut asked = asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.push(instance.to_owned());
        drop(asked);
        thread::sleep(LATENCY);
        let answer = self.answer(head, call);
        self.in_flight.fetch_sub(1, Ordering::SeqCst);
        answer
    }

    /// Returns the answer, which is empty if there is none.
    fn answer(&self, head: &str, call: &Call<'_>) -> Vec<u8> {
        match (self.fate_of)(call) {
            Fate::Answered => self.forward(head, call.form),
            Fate::Refused(code, message) => error(code, message),
            Fate::Dropped => Vec::new(),
            Fate::Followed(follow) => {
                let answer = self.forward(head, call.form);
                let is_accepted = answer.starts_with(b"HTTP/1.1 200 ");
                match follow(is_accepted) {
                    true => answer,
                    false => Vec::new(),
                }
            }
        }
    }

    fn forward(&self, head: &str, body: &str) -> Vec<u8> {
        let forwarding = &self.forwarding;
        let _one = forwarding.lock().unwrap_or_else(PoisonError::into_inner);
        let request = format!("{head}\r\nConnection: close\r\n\r\n{body}");
        exchange(&self.moto, &request).unwrap_or_default()
    }
}

/// Returns head and body of a request. `None` if the connection was closed before, or it is
/// no text.
fn read_request(stream: &mut TcpStream) -> Option<(String, String)> {
    let mut text = String::new();
    let mut buffer = [0; 4096];
    loop {
        let count = stream.read(&mut buffer).ok().filter(|count| *count > 0)?;
        text.push_str(std::str::from_utf8(&buffer[..count]).ok()?);
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

fn error(code: &str, message: &str) -> Vec<u8> {
    let body = format!(
        "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code>\
         <Message>{message}</Message></Error><RequestId>1</RequestId></ErrorResponse>"
    );
    let length = body.len();
    let status = match code {
        "ServiceUnavailable" => "503 Service Unavailable",
        _ => "400 Bad Request",
    };
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/xml\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{body}"
    )
    .into_bytes()
}
