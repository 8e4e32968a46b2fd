//! The real server on a loopback port with a certificate made for it, and clients that trust it.

use haldane::{
    domain::review::{Review, Stage, Verdict},
    runtime::{
        certs::{Lifetimes, Material, Terms},
        clock,
        http::{self, Limits},
        metrics,
        shutdown::Phase,
        tls::{self, LiveCertificate},
    },
    webhook::server::{Handler, Webhook},
};
use reqwest::{Certificate, Client, ClientBuilder};
use rustls::{ClientConfig, RootCertStore, crypto::ring, pki_types::ServerName};
use serde_json::{Value, json};
use std::{
    future::pending,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
    time,
};
use tokio_rustls::{TlsAcceptor, TlsConnector, client::TlsStream};

/// Longest wait for anything; only a failing test ever waits so long.
pub const PATIENCE: Duration = Duration::from_mins(2);

/// A handler whose reviews of `waiting` objects wait for the gate.
#[derive(Clone)]
pub struct Gated {
    pub gate: watch::Sender<bool>,
    pub inside: Arc<AtomicUsize>,
    pub most_inside: Arc<AtomicUsize>,
}

impl Handler for Gated {
    async fn handle(&self, stage: Stage, review: &Review) -> Verdict {
        let now = self.inside.fetch_add(1, SeqCst) + 1;
        self.most_inside.fetch_max(now, SeqCst);
        match review.name.as_str() {
            "waiting" => drop(self.gate.subscribe().wait_for(|open| *open).await),
            "endless" => pending().await,
            "broken" => panic!("a defect in a rule"),
            _ => {}
        }
        self.inside.fetch_sub(1, SeqCst);
        Verdict { warnings: vec![format!("{stage:?}")], ..Verdict::allow() }
    }
}

pub struct Server {
    pub address: SocketAddr,
    pub handler: Gated,
    pub live: Arc<LiveCertificate>,
    /// Both are trusted by the clients; the first is served at the start.
    pub materials: [Material; 2],
    /// How far it is on its way out.
    pub phase: watch::Sender<Phase>,
    pub ended: JoinHandle<()>,
}

impl Server {
    /// With all the time that a busy machine takes.
    pub async fn start(limits: Limits) -> Self {
        Self::answering_within(PATIENCE, limits).await
    }

    /// With a time limit for answers.
    pub async fn answering_within(time_limit: Duration, limits: Limits) -> Self {
        // Only the first test of the process installs it.
        drop(ring::default_provider().install_default());
        let names = ["localhost".to_owned()];
        let terms = Terms { names: &names, lifetimes: Lifetimes::default(), now: clock::now() };
        let materials = [terms.make("").unwrap(), terms.make("").unwrap()];
        let live = Arc::new(LiveCertificate::default());
        live.install(&materials[0]).unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(tls::server_config(Arc::clone(&live)).unwrap()));
        let gate = watch::Sender::new(false);
        let handler = Gated { gate, inside: Arc::default(), most_inside: Arc::default() };
        let webhook = Webhook::new(handler.clone(), &mut metrics::registry()).within(time_limit);
        let webhook = Arc::new(webhook);
        let answer = move |request| {
            let webhook = Arc::clone(&webhook);
            async move { webhook.answer(request).await }
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let phase = watch::Sender::new(Phase::Running);
        let phases = phase.subscribe().into();
        let ended = tokio::spawn(async move {
            let accept = |stream| acceptor.accept(stream);
            http::serve(listener, limits, accept, answer, phases).await;
        });
        Self { address, handler, live, materials, phase, ended }
    }

    pub fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.address.port())
    }

    /// A client that trusts both authorities, before `choose` picks its protocol.
    pub fn client(&self, choose: impl FnOnce(ClientBuilder) -> ClientBuilder) -> Client {
        let roots = self.materials.iter().map(|m| Certificate::from_pem(m.ca_bundle.as_bytes()).unwrap());
        let builder = Client::builder().no_proxy().resolve("localhost", self.address).tls_certs_only(roots);
        choose(builder.timeout(PATIENCE)).build().unwrap()
    }

    /// A bare TLS connection, for clients that do not behave.
    pub async fn connect(&self) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        for material in &self.materials {
            roots.add_parsable_certificates(pem(&material.ca_bundle));
        }
        let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let stream = TcpStream::connect(self.address).await?;
        TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("localhost").unwrap(), stream).await
    }
}

pub fn pem(text: &str) -> Vec<rustls::pki_types::CertificateDer<'static>> {
    use rustls::pki_types::pem::PemObject;
    rustls::pki_types::CertificateDer::pem_slice_iter(text.as_bytes()).map(Result::unwrap).collect()
}

/// A request over HTTP/1.1, byte by byte.
fn http1(name: &str) -> Vec<u8> {
    let body = review(name).to_string();
    let head = "POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length";
    format!("{head}: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// Asks once on a connection over HTTP/1.1 and gives the answer's head.
pub async fn ask(stream: &mut TlsStream<TcpStream>, name: &str) -> std::io::Result<String> {
    stream.write_all(&http1(name)).await?;
    head(stream).await
}

/// The head of the next answer over HTTP/1.1, lower case; its body is read as well.
async fn head(stream: &mut TlsStream<TcpStream>) -> std::io::Result<String> {
    let mut text = String::new();
    let length = loop {
        text.push(char::from(stream.read_u8().await?));
        if let Some(head) = text.strip_suffix("\r\n\r\n") {
            let head = head.to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            break length.expect("a length").parse().expect("a number");
        }
    };
    stream.read_exact(&mut vec![0; length]).await?;
    Ok(text.to_ascii_lowercase())
}

/// A review of the object `name`.
pub fn review(name: &str) -> Value {
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": "u-1", "kind": {"group": "apps", "version": "v1", "kind": "Deployment"},
        "operation": "UPDATE", "name": name, "namespace": "shop", "userInfo": {}, "object": {}, "oldObject": {},
    }})
}

/// Ends when `met` is, and fails with `what` after [`PATIENCE`].
pub async fn eventually(what: &str, mut met: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !met().await {
        assert!(start.elapsed() < PATIENCE, "waited {PATIENCE:?}, but not yet: {what}");
        time::sleep(Duration::from_millis(5)).await;
    }
}

/// The result of `work`, or a failure that says `what` did not end.
pub async fn within<T>(what: &str, work: impl Future<Output = T>) -> T {
    time::timeout(PATIENCE, work).await.unwrap_or_else(|_| panic!("{what} did not end in {PATIENCE:?}"))
}
