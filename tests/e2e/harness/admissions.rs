//! Steady requests that the webhook decides about, and handshakes as an API server would make them.

use super::{
    SOON, Space,
    cluster::{api, spawn},
    eventually,
    haldane::NAMESPACE,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use haldane::runtime::clock;
use kube::api::{DynamicObject, ListParams, Patch, PatchParams};
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

/// A change of a plan that changes nothing else.
pub const PLAN: (&str, &str) = ("haldane.dev/settle", "7s");
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
    /// Answers that are not what they should be.
    wrong: Vec<String>,
    /// Refusals by an API server that could not ask the webhook, or by a webhook that could not ask the API server.
    refused: Vec<String>,
    /// Requests that nobody answered, or only to say that it is not ready.
    unanswered: Vec<String>,
    handshakes: usize,
    certificates: BTreeSet<Vec<u8>>,
    bundles: BTreeSet<String>,
}

/// What is tried out again and again with `--dry-run=server`: the change of this number, and what is wrong with
/// the Deployment that comes back.
#[derive(Debug, Clone, Copy)]
struct Trial {
    change: fn(u32) -> Value,
    check: fn(&Value) -> Result<(), String>,
}

impl Admissions {
    /// Begins to change a plan, which both webhooks decide about.
    ///
    /// `handshakes` adds fresh ones with every ready replica, by the authorities that API servers have now:
    /// they keep their connections, and would notice a bad certificate much later.
    pub fn start(space: &Space, name: &str, handshakes: bool) -> Self {
        let change = |_| json!({"metadata": {"annotations": {PLAN.0: PLAN.1}}});
        let mut admissions = Self::begin(space, name, Trial { change, check: |_| Ok(()) });
        if handshakes {
            let sink = Arc::clone(&admissions.seen);
            admissions.tasks.push(spawn(async move {
                let mut beat = time::interval(BEAT);
                loop {
                    beat.tick().await;
                    if let Err(error) = shake_hands(&sink).await {
                        let said = format!("{} handshake: {error}", clock::now());
                        sink.lock().expect("no panic").wrong.push(said);
                    }
                }
            }));
        }
        admissions
    }

    /// Begins to change the pod template of an opted-in Deployment, which has to come back held.
    pub fn of_releases(space: &Space, name: &str) -> Self {
        let check = |held: &Value| is_paused(held, true, "the changed template was not held");
        Self::begin(space, name, Trial { change: another_template, check })
    }

    /// Begins to change the pod template of one that is out, which has to come back as it was sent.
    pub fn of_others(space: &Space, name: &str) -> Self {
        let check = |free: &Value| is_paused(free, false, "one that has not opted in was held");
        Self::begin(space, name, Trial { change: another_template, check })
    }

    fn begin(space: &Space, name: &str, trial: Trial) -> Self {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let deployments = api("apps/v1 Deployment", &space.namespace);
        let (sink, name) = (Arc::clone(&seen), name.to_owned());
        let task = spawn(async move {
            let mut beat = time::interval(BEAT);
            for number in 0.. {
                beat.tick().await;
                let (deployments, name, sink) = (deployments.clone(), name.clone(), Arc::clone(&sink));
                tokio::spawn(async move {
                    let params = PatchParams { dry_run: true, ..PatchParams::default() };
                    let change = Patch::Merge((trial.change)(number));
                    let result = time::timeout(PATIENCE, deployments.patch(&name, &params, &change)).await;
                    let result = result.map_err(|_| "no answer".to_owned());
                    sink.lock().expect("no panic").note(trial, result);
                });
            }
        });
        Self { seen, tasks: vec![task] }
    }

    /// Requests that passed until now.
    pub fn passed(&self) -> usize {
        self.now().passed
    }

    /// Waits until this many more have passed.
    #[track_caller]
    pub fn pass_again(&self, more: usize) {
        let wanted = self.passed() + more;
        eventually(&format!("{more} more admission requests to pass"), SOON, || {
            let seen = self.now();
            if seen.passed >= wanted { Ok(()) } else { Err(format!("{seen:?}")) }
        });
    }

    /// What failed until now.
    pub fn failed(&self) -> Vec<String> {
        let Seen { wrong, refused, unanswered, .. } = self.now();
        [wrong, refused, unanswered].concat()
    }

    /// Different serving certificates, and different bundles of authorities, seen until now.
    pub fn rotations(&self) -> (usize, usize) {
        let seen = self.now();
        (seen.certificates.len(), seen.bundles.len())
    }

    /// Fails the test if one failed.
    #[track_caller]
    pub fn assert_nothing_failed(&self, what: &str) {
        assert_eq!(self.assert_every_answer_is_right(what), (0, 0), "{what}: {:#?}", self.failed());
    }

    /// Fails the test if an answer was wrong. How many requests were refused because one could not ask
    /// the other, and how many had no answer.
    #[track_caller]
    pub fn assert_every_answer_is_right(&self, what: &str) -> (usize, usize) {
        let Seen { passed, wrong, refused, unanswered, handshakes, certificates, bundles } = self.now();
        assert!(passed > 0, "{what}: no request passed: {unanswered:#?}");
        let (failed, all) = (wrong.len(), wrong.len() + passed);
        assert_eq!(failed, 0, "{what}: {failed} of {all} are wrong, first: {:#?}", &wrong[..failed.min(5)]);
        eprintln!(
            "{what}: {passed} admission requests passed, 0 wrong, {} refused in vain, {} not answered; {handshakes} handshakes with {} certificates, {} bundles",
            refused.len(),
            unanswered.len(),
            certificates.len(),
            bundles.len()
        );
        (refused.len(), unanswered.len())
    }

    fn now(&self) -> Seen {
        self.seen.lock().expect("no panic").clone()
    }
}

impl Seen {
    /// Sorts what came of a request; an error that is a text is no answer.
    fn note(&mut self, trial: Trial, result: Result<kube::Result<DynamicObject>, String>) {
        let (list, said) = match result {
            Ok(Ok(answer)) => match (trial.check)(&serde_json::to_value(answer).unwrap_or_default()) {
                Ok(()) => return self.passed += 1,
                Err(why) => (&mut self.wrong, why),
            },
            Ok(Err(kube::Error::Api(status))) => {
                // As it says itself until it knows which webhooks there are.
                let is_ready = !status.message.contains("not yet ready to handle request");
                let is_in_vain = ["failed calling webhook", "no answer from the API server within"];
                let is_judged = !is_in_vain.iter().any(|why| status.message.contains(why));
                let list = match (is_ready, is_judged) {
                    (false, _) => &mut self.unanswered,
                    (true, false) => &mut self.refused,
                    (true, true) => &mut self.wrong,
                };
                (list, status.message.clone())
            }
            Ok(Err(error)) => (&mut self.unanswered, error.to_string()),
            Err(why) => (&mut self.unanswered, why),
        };
        list.push(format!("{} {said}", clock::now()));
    }
}

fn another_template(number: u32) -> Value {
    let annotations = json!({"annotations": {"example.com/number": number.to_string()}});
    json!({"spec": {"template": {"metadata": annotations}}})
}

fn is_paused(deployment: &Value, wanted: bool, why: &str) -> Result<(), String> {
    let is_paused = deployment["spec"]["paused"] == true;
    if is_paused == wanted { Ok(()) } else { Err(why.to_owned()) }
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
