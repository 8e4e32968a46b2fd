//! A Prometheus whose answers the test decides, and which counts the questions.

use super::cluster;
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

/// See the module. It lives until the end of the test program.
#[derive(Debug, Clone)]
pub struct Provider {
    address: String,
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug)]
struct Inner {
    status: u16,
    manner: Manner,
    questions: usize,
    /// Headers of the last question, in lower case.
    headers: String,
    /// Connections whose questions are never answered.
    held: Vec<TcpStream>,
}

/// What it answers.
#[derive(Debug, Clone, Copy)]
pub enum Manner {
    /// This value.
    Value(f64),
    /// No series.
    Empty,
    /// Something that is no answer of a Prometheus.
    Garbage,
    /// Nothing; the connection stays open.
    Silence,
}

impl Provider {
    /// Begins to answer `value`.
    pub fn start(value: f64) -> Self {
        let node = cluster::list("v1 Node", "", "").remove(0);
        let addresses = node["status"]["addresses"].as_array().cloned().unwrap_or_default();
        let internal = addresses.iter().find(|address| address["type"] == "InternalIP").expect("an address");
        let ip = internal["address"].as_str().expect("a text");
        let listener = TcpListener::bind((ip, 0)).expect("a free port");
        let address = format!("http://{}", listener.local_addr().expect("bound"));
        let inner = Inner {
            status: 200,
            manner: Manner::Value(value),
            questions: 0,
            headers: String::new(),
            held: Vec::new(),
        };
        let inner = Arc::new(Mutex::new(inner));
        let provider = Self { address, inner };
        let answering = provider.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let _ = answering.answer(stream);
            }
        });
        provider
    }

    /// Answers this value from now on.
    pub fn set(&self, value: f64) {
        self.behave(Manner::Value(value));
    }

    /// Answers so from now on.
    pub fn behave(&self, manner: Manner) {
        self.inner.lock().expect("no panic").manner = manner;
    }

    /// Answers with this HTTP status from now on.
    pub fn set_status(&self, status: u16) {
        self.inner.lock().expect("no panic").status = status;
    }

    /// Questions so far.
    pub fn questions(&self) -> usize {
        self.inner.lock().expect("no panic").questions
    }

    /// Headers of the last question, in lower case.
    pub fn headers(&self) -> String {
        self.inner.lock().expect("no panic").headers.clone()
    }

    /// Where it answers.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// A metric of this provider, good while it answers 0. It waits five seconds for an answer.
    pub fn metric(&self, extra: &str) -> String {
        let address = &self.address;
        format!(
            "{{name: errors, successCondition: 'result[0] == 0', {extra} provider: {{prometheus: {{address: '{address}', query: errors, timeout: 5}}}}}}"
        )
    }

    fn answer(&self, stream: TcpStream) -> std::io::Result<()> {
        let mut reader = BufReader::new(stream);
        let mut length = 0;
        let mut headers = String::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 || line.trim().is_empty() {
                break;
            }
            headers.push_str(&line.to_lowercase());
            if let Some(("content-length", value)) = line.to_lowercase().trim().split_once(": ") {
                length = value.parse().unwrap_or(0);
            }
        }
        reader.by_ref().take(length).read_to_end(&mut Vec::new())?;
        let mut inner = self.inner.lock().expect("no panic");
        inner.questions += 1;
        inner.headers = headers;
        let vector = |samples: Value| json!({"resultType": "vector", "result": samples});
        let body = match inner.manner {
            Manner::Value(value) => vector(json!([{"metric": {}, "value": [0, value.to_string()]}])),
            Manner::Empty => vector(json!([])),
            Manner::Garbage => json!(null),
            Manner::Silence => {
                inner.held.push(reader.into_inner());
                return Ok(());
            }
        };
        let (status, body) = (inner.status, json!({"status": "success", "data": body}).to_string());
        let length = body.len();
        write!(
            reader.get_mut(),
            "HTTP/1.1 {status} Answer\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        )
    }
}
