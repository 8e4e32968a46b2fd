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
    /// Body of the last question.
    body: Vec<u8>,
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
    /// A megabyte that takes a hundred times as much memory when it is parsed.
    Poison,
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
            body: Vec::new(),
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

    /// JSON of the last question.
    pub fn body(&self) -> Value {
        serde_json::from_slice(&self.inner.lock().expect("no panic").body).expect("JSON")
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
        let mut form = Vec::new();
        reader.by_ref().take(length).read_to_end(&mut form)?;
        let rehearsed = rehearsed(&form);
        let mut inner = self.inner.lock().expect("no panic");
        // A rehearsal is answered at once, whatever the manner: there are series.
        if !rehearsed.is_empty() {
            let count = |name| json!({"metric": {"haldane_query": name}, "value": [0, "1"]});
            let counts: Vec<Value> = rehearsed.iter().map(count).collect();
            return reply(&mut reader, 200, &json!({"resultType": "vector", "result": counts}));
        }
        inner.questions += 1;
        inner.headers = headers;
        inner.body = form;
        let vector = |samples: Value| json!({"resultType": "vector", "result": samples});
        let body = match inner.manner {
            Manner::Value(value) => vector(json!([{"metric": {}, "value": [0, value.to_string()]}])),
            Manner::Empty => vector(json!([])),
            Manner::Garbage | Manner::Poison => json!(null),
            Manner::Silence => {
                inner.held.push(reader.into_inner());
                return Ok(());
            }
        };
        let status = inner.status;
        if let Manner::Poison = inner.manner {
            return write_all(&mut reader, status, &format!("[{}0]", "{\"\":0},".repeat(140_000)));
        }
        reply(&mut reader, status, &body)
    }
}

/// Names of the queries that count series, if that is what a rehearsal asks.
fn rehearsed(form: &[u8]) -> Vec<String> {
    let query = url::form_urlencoded::parse(form).find(|(key, _)| key == "query").map(|(_, value)| value);
    let query = query.unwrap_or_default();
    let named = query.split("\"haldane_query\", \"").skip(1).filter_map(|rest| rest.split('"').next());
    let named: Vec<String> = named.map(str::to_owned).collect();
    if query.contains("count(") { named } else { Vec::new() }
}

fn reply(reader: &mut BufReader<TcpStream>, status: u16, data: &Value) -> std::io::Result<()> {
    write_all(reader, status, &json!({"status": "success", "data": data}).to_string())
}

fn write_all(reader: &mut BufReader<TcpStream>, status: u16, body: &str) -> std::io::Result<()> {
    let length = body.len();
    write!(
        reader.get_mut(),
        "HTTP/1.1 {status} Answer\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}
