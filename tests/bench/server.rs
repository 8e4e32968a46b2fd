//! The webhook in a process of its own, on one thread.

use crate::reviews;
use haldane::{
    admit::{AdmitConfig, Case, facts::Facts},
    config::{namespace::Namespace, strategy::Defaults},
    domain::review::{Review, Stage, Verdict},
    runtime::{
        certs::{Lifetimes, Terms},
        clock,
        http::{self, Limits},
        metrics,
        shutdown::Phase,
        telemetry::{self, LogFormat},
        tls::{self, LiveCertificate},
    },
    webhook::server::{Handler, Webhook},
};
use serde_json::{Value, json};
use std::{
    env, fs,
    hint::black_box,
    io::{BufRead, BufReader, Read},
    net::Ipv4Addr,
    process::{self, Command, Stdio},
    sync::Arc,
};
use tokio::{net::TcpListener, sync::watch};
use tokio_rustls::TlsAcceptor;

/// Decides as the product does, about a cluster that it knows beforehand.
struct Known {
    config: AdmitConfig,
    facts: Facts,
}

impl Handler for Known {
    async fn handle(&self, stage: Stage, review: &Review) -> Verdict {
        let case = Case::read(stage, review, &self.config, clock::now());
        let case = case.in_namespace(Ok(Namespace::default()));
        black_box(case.questions());
        case.decide(&self.facts).verdict
    }
}

impl Known {
    fn new() -> Self {
        let defaults = Defaults {
            settle: "6s".parse().unwrap(),
            annotation_prefix: "nginx.ingress.kubernetes.io".to_owned(),
        };
        let own_user = "system:serviceaccount:haldane-system:haldane".to_owned();
        let mut facts = Facts::default();
        let world = &mut facts.neighbours.as_mut().unwrap().world;
        let world = Arc::make_mut(world);
        world.add(reviews::service()).unwrap();
        world.add(reviews::ingress()).unwrap();
        Self {
            config: AdmitConfig {
                defaults,
                providers: haldane::providers::Defaults::default(),
                hosts: haldane::providers::hosts::HostPolicy::default(),
                own_namespace: "haldane-system".to_owned(),
                own_user,
            },
            facts,
        }
    }
}

/// Says on standard output how to reach it, and serves until standard input ends.
pub fn run() {
    // As it is installed: decisions are written down.
    telemetry::start(LogFormat::Json, "info").unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let names = ["localhost".to_owned()];
        let terms = Terms { names: &names, lifetimes: Lifetimes::default(), now: clock::now() };
        let material = terms.make("").unwrap();
        let live = Arc::new(LiveCertificate::default());
        live.install(&material).unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(tls::server_config(live).unwrap()));
        let webhook = Arc::new(Webhook::new(Known::new(), &mut metrics::registry()));
        let answer = move |request| {
            let webhook = Arc::clone(&webhook);
            async move { webhook.answer(request).await }
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        println!("{}", json!({"port": port, "ca": material.ca_bundle}));
        let phase = watch::Sender::new(Phase::Running);
        let phases = phase.subscribe().into();
        std::thread::spawn(move || {
            let _ = std::io::stdin().read_to_end(&mut Vec::new());
            phase.send_replace(Phase::Stopping)
        });
        let accept = |stream| acceptor.accept(stream);
        http::serve(listener, Limits::default(), accept, answer, phases).await;
    });
}

/// The server's process; it ends with this value.
pub struct Child {
    process: process::Child,
    /// Where it listens.
    pub port: u16,
    /// Whom to trust.
    pub ca: String,
}

impl Child {
    pub fn start() -> Self {
        let mut process = Command::new(env::current_exe().unwrap())
            .arg("--serve")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // The decision log, which has to go somewhere.
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let told: Value = serde_json::from_str(&line).expect("the server started");
        let port = u16::try_from(told["port"].as_u64().unwrap()).unwrap();
        Self { process, port, ca: told["ca"].as_str().unwrap().to_owned() }
    }

    /// Time on the processor until now, in milliseconds: of the program, and of the kernel for it.
    pub fn cpu_ms(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process.id())).unwrap();
        let (_, fields) = stat.rsplit_once(") ").unwrap();
        let ticks = |index: usize| fields.split(' ').nth(index).unwrap().parse::<f64>().unwrap();
        // `utime` and `stime`, the 14th and 15th; a tick is a hundredth of a second on every Linux.
        (ticks(11) + ticks(12)) * 10.0
    }

    /// Memory in use.
    pub fn rss_mib(&self) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
