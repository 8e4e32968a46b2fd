//! Steady requests that the webhook decides about, and handshakes as an API server would make them.

use super::{
    Space,
    cluster::{api, spawn},
    haldane::NAMESPACE,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use haldane::runtime::clock;
use kube::api::{ListParams, Patch, PatchParams};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    error::Error,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{net::TcpStream, task::JoinHandle, time};
use tokio_rustls::TlsConnector;

/// Between requests, and between rounds of handshakes.
const BEAT: Duration = Duration::from_millis(100);
/// Longer than any webhook may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// See the module.
#[derive(Debug)]
pub struct Admissions {
    seen: Arc<Mutex<Seen>>,
    tasks: Vec<JoinHandle<()>>,
}

#[derive(Debug, Default, Clone)]
struct Seen {
    passed: usize,
    failed: Vec<String>,
    handshakes: usize,
    certificates: BTreeSet<Vec<u8>>,
    bundles: BTreeSet<String>,
}

impl Admissions {
    /// Begins to change a plan with `--dry-run=server`, again and again, which both webhooks decide about.
    ///
    /// `handshakes` adds fresh ones with every ready replica, by the authorities that API servers have now:
    /// they keep their connections, and would notice a bad certificate much later.
    pub fn start(space: &Space, name: &str, handshakes: bool) -> Self {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let deployments = api("apps/v1 Deployment", &space.namespace);
        let (sink, name) = (Arc::clone(&seen), name.to_owned());
        let mut tasks = vec![spawn(async move {
            let mut beat = time::interval(BEAT);
            loop {
                beat.tick().await;
                let (deployments, name, sink) = (deployments.clone(), name.clone(), Arc::clone(&sink));
                tokio::spawn(async move {
                    let params = PatchParams { dry_run: true, ..PatchParams::default() };
                    let change = json!({"metadata": {"annotations": {"haldane.dev/settle": "7s"}}});
                    let change = Patch::Merge(change);
                    let result = time::timeout(PATIENCE, deployments.patch(&name, &params, &change)).await;
                    let mut sink = sink.lock().expect("no panic");
                    match result {
                        Ok(Ok(_)) => sink.passed += 1,
                        Ok(Err(error)) => sink.failed.push(format!("{} {error}", clock::now())),
                        Err(_) => sink.failed.push(format!("{} no answer", clock::now())),
                    }
                });
            }
        })];
        if handshakes {
            let sink = Arc::clone(&seen);
            tasks.push(spawn(async move {
                let mut beat = time::interval(BEAT);
                loop {
                    beat.tick().await;
                    if let Err(error) = shake_hands(&sink).await {
                        let said = format!("{} handshake: {error}", clock::now());
                        sink.lock().expect("no panic").failed.push(said);
                    }
                }
            }));
        }
        Self { seen, tasks }
    }

    /// Requests that passed until now.
    pub fn passed(&self) -> usize {
        self.now().passed
    }

    /// What failed until now.
    pub fn failed(&self) -> Vec<String> {
        self.now().failed
    }

    /// Different serving certificates, and different bundles of authorities, seen until now.
    pub fn rotations(&self) -> (usize, usize) {
        let seen = self.now();
        (seen.certificates.len(), seen.bundles.len())
    }

    /// Fails the test if one failed.
    #[track_caller]
    pub fn assert_nothing_failed(&self, what: &str) {
        let seen = self.now();
        assert!(seen.passed > 0, "{what}: no request passed");
        let (failed, all) = (seen.failed.len(), seen.failed.len() + seen.passed);
        assert_eq!(
            failed,
            0,
            "{what}: {failed} of {all} failed, first: {:#?}",
            &seen.failed[..failed.min(5)]
        );
        eprintln!(
            "{what}: {all} admission requests, 0 failed; {} handshakes with {} certificates, {} bundles",
            seen.handshakes,
            seen.certificates.len(),
            seen.bundles.len()
        );
    }

    fn now(&self) -> Seen {
        self.seen.lock().expect("no panic").clone()
    }
}

impl Drop for Admissions {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// One with every ready replica.
async fn shake_hands(sink: &Mutex<Seen>) -> Result<(), Box<dyn Error + Send + Sync>> {
    let configuration = api("admissionregistration.k8s.io/v1 MutatingWebhookConfiguration", "");
    let configuration = configuration.get("haldane").await?.data;
    let bundle = configuration["webhooks"][0]["clientConfig"]["caBundle"].as_str().unwrap_or_default();
    let mut roots = RootCertStore::empty();
    let pem = STANDARD.decode(bundle)?;
    roots.add_parsable_certificates(CertificateDer::pem_slice_iter(&pem).filter_map(Result::ok));
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let connector = TlsConnector::from(Arc::new(config));
    for address in ready_addresses().await? {
        let name = ServerName::try_from(format!("haldane-webhook.{NAMESPACE}.svc"))?;
        let stream = connector.connect(name, TcpStream::connect(&address).await?).await;
        let stream = stream.map_err(|error| format!("{address}: {error}"))?;
        let leaf = stream.get_ref().1.peer_certificates().and_then(<[_]>::first).map(|leaf| leaf.to_vec());
        let mut sink = sink.lock().expect("no panic");
        sink.handshakes += 1;
        sink.certificates.extend(leaf);
        sink.bundles.insert(bundle.to_owned());
    }
    Ok(())
}

/// Where requests may be sent now.
async fn ready_addresses() -> kube::Result<Vec<String>> {
    let of_service = ListParams::default().labels("kubernetes.io/service-name=haldane-webhook");
    let slices = api("discovery.k8s.io/v1 EndpointSlice", NAMESPACE).list(&of_service).await?;
    let endpoints = slices.items.into_iter().filter_map(|slice| slice.data["endpoints"].as_array().cloned());
    let ready = endpoints.flatten().filter(|endpoint| endpoint["conditions"]["ready"] == true);
    Ok(ready
        .filter_map(|endpoint: Value| Some(format!("{}:8443", endpoint["addresses"][0].as_str()?)))
        .collect())
}
