//! `haldane eject`: turns every opted-in Deployment into a plain one, even when no controller is left.
//!
//! While the webhook is configured, orders to the running controller end the rollouts. Without it, this process
//! ends them: it runs the controller under the lease, so that there are never two leaders.

mod dry_run;

use crate::{
    cluster::{
        api::FIELD_MANAGER,
        apply::without_release,
        ca_bundle::CONFIGURATION,
        lease::{Elector, Leadership, LeaseConfig},
    },
    runtime::{clock, metrics},
};
use crate::{
    cluster::{
        events::Publisher,
        objects::replica_sets,
        records::{self, StateError},
        views::Views,
        world::{self, ObserveError},
    },
    commands::cli::EjectArgs,
    config::{namespace::ENABLED, strategy::Defaults},
    controller::{self, membership::members},
    decide::{RELEASE, RolloutView, verbs::check},
    domain::{
        k8s::selector::Labels,
        keys,
        observed::{Observed, written_template},
        request::{Request, Verb},
        state::{Rollout, RolloutState},
    },
    measure::{Means, Measurer, http::Clients, secrets},
    objects::manifest::Owner,
    providers::{self, hosts::HostPolicy},
};
use json_patch::{Patch as JsonPatch, PatchOperation, ReplaceOperation, TestOperation, jsonptr::PointerBuf};
use k8s_openapi::{
    api::{
        admissionregistration::v1::MutatingWebhookConfiguration, apps::v1::Deployment, core::v1::Namespace,
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{
    Api, Client,
    api::{ListParams, Patch, PatchParams},
    core::PartialObjectMeta,
};
use serde_json::{Map, Value, json};
use std::{collections::BTreeMap, future::pending, sync::Arc, time::Duration};
use tokio::time;

/// Our identity as a leader and in Events.
const IDENTITY: &str = "haldane-eject";
/// Interval between checks of rollouts that are ending.
const LOOK: Duration = Duration::from_secs(1);

/// The cluster could not be cleaned up completely; another run continues where this one stopped.
#[derive(Debug, thiserror::Error)]
pub enum EjectError {
    /// The API server returned an error.
    #[error("Kubernetes API: {0}")]
    Api(#[from] kube::Error),
    /// See [`ObserveError`].
    #[error(transparent)]
    Observe(#[from] ObserveError),
    /// The HTTP clients of the controller cannot be created.
    #[error("HTTP client: {0}")]
    Http(reqwest::Error),
    /// A rollout is running, and no flag says what to do with it.
    #[error(
        "rollouts are running: {0}; use --revert to roll back to the version that served before, or --finish to promote without the remaining steps and analyses"
    )]
    Undecided(String),
    /// Rollouts did not end in time.
    #[error(
        "rollouts did not end within {0}: {1}; run eject again to continue, with a longer --timeout if necessary"
    )]
    Late(String, String),
    /// Some Deployments could not be opted out; all others are plain.
    #[error("{} not ejected; fix each, then run eject again:{}", plural(.0.len()), lines(.0))]
    Left(Left),
}

/// Deployments that were not ejected, by `namespace/name`, and why.
type Left = BTreeMap<String, Obstacle>;

/// Why a Deployment was not ejected.
#[derive(Debug, thiserror::Error)]
pub enum Obstacle {
    /// Its record cannot be read or removed.
    #[error(transparent)]
    State(#[from] StateError),
    /// There is no stable template to roll back to.
    #[error("none of its ReplicaSets serves, so there is nothing to roll back to; use --finish")]
    NoStable,
    /// The objects around it cannot be read.
    #[error(transparent)]
    Observe(#[from] ObserveError),
    /// The webhook denied the request, or is configured but does not answer.
    #[error(
        "{0}. If no replica of Haldane is left, delete its webhooks: kubectl delete mutatingwebhookconfiguration,validatingwebhookconfiguration {CONFIGURATION}"
    )]
    Refused(#[from] kube::Error),
}

fn plural(count: usize) -> String {
    if count == 1 { "1 Deployment is".to_owned() } else { format!("{count} Deployments are") }
}

fn lines(left: &Left) -> String {
    left.iter().map(|(name, why)| format!("\n  {name}: {why}")).collect::<Vec<_>>().concat()
}

/// A Deployment and its record.
struct Subject {
    owner: Owner,
    seen: Observed,
    state: RolloutState,
}

impl Subject {
    fn name(&self) -> String {
        format!("{}/{}", self.owner.namespace, self.owner.name)
    }

    fn is_busy(&self) -> bool {
        self.state.rollout.is_some() || self.seen.is_held()
    }

    /// Whether its rollout is promoted instead of reverted. One that was aborted, or could not start, can only be
    /// reverted.
    fn finishes(&self, finish: bool) -> bool {
        let can_finish = |rollout: &Rollout| rollout.abort_message().is_none();
        finish && self.state.rollout.as_ref().is_some_and(can_finish)
    }

    /// For people: `shop/web (Paused)`.
    fn described(&self) -> String {
        format!("{} ({})", self.name(), RolloutView::of(&self.state, &self.seen).phase)
    }
}

/// Ends every rollout, then removes all keys and records of Haldane.
///
/// # Errors
/// See [`EjectError`].
pub async fn eject(args: EjectArgs) -> Result<(), EjectError> {
    let client = Client::try_default().await?;
    let webhooks = Api::<MutatingWebhookConfiguration>::all(client.clone());
    let is_admitted = webhooks.get_opt(CONFIGURATION).await?.is_some();
    let mut left = Left::new();
    let subjects = look(&client, args.only.as_deref(), &mut left).await?;
    let namespaces = opted_in(&client, args.only.as_deref()).await?;
    if args.dry_run {
        let names: Vec<&str> = namespaces.iter().filter_map(|found| found.metadata.name.as_deref()).collect();
        println!("{}", dry_run::lines(&subjects, &names, &args, &left).join("\n"));
        return Ok(());
    }
    let busy: Vec<&Subject> = subjects.iter().filter(|subject| subject.is_busy()).collect();
    if !busy.is_empty() && !args.finish && !args.revert {
        return Err(EjectError::Undecided(described(busy)));
    }
    for subject in busy {
        match Box::pin(end(&client, subject, args.finish, is_admitted)).await {
            Ok(()) => println!("ending the rollout of {}", subject.described()),
            Err(obstacle) => drop(left.insert(subject.name(), obstacle)),
        }
    }
    // Before the Deployments: otherwise their next release would opt them in again.
    for found in namespaces {
        let name = found.metadata.name.clone().unwrap_or_default();
        let patch = Patch::Merge(without_default(&found.metadata));
        Api::<Namespace>::all(client.clone()).patch_metadata(&name, &as_ours(), &patch).await?;
        println!("Namespace {name} no longer opts in its Deployments");
    }
    tokio::select! {
        done = all_are_idle(&client, &args, &mut left) => done?,
        failed = controller_of_our_own(&client, &args, is_admitted) => failed?,
    }
    for subject in look(&client, args.only.as_deref(), &mut left).await? {
        match free(&client, &subject).await {
            Ok(()) => println!("{} is a plain Deployment now", subject.name()),
            Err(obstacle) => drop(left.insert(subject.name(), obstacle)),
        }
    }
    if left.is_empty() { Ok(()) } else { Err(EjectError::Left(left)) }
}

/// All Deployments that can be opted out. Those whose record cannot be read are added to `left`.
async fn look(client: &Client, only: Option<&str>, left: &mut Left) -> Result<Vec<Subject>, EjectError> {
    let mut subjects = Vec::new();
    for object in members(client).await? {
        let (Some(namespace), Some(name)) = (object.metadata.namespace, object.metadata.name) else {
            continue;
        };
        let key = format!("{namespace}/{name}");
        if only.is_some_and(|only| only != namespace) || left.contains_key(&key) {
            continue;
        }
        let Some((owner, seen)) = world::deployment(client, &namespace, &name).await? else { continue };
        match records::load(client, &namespace, &name).await {
            Ok(stored) => subjects.push(Subject { owner, seen, state: Arc::unwrap_or_clone(stored.state) }),
            Err(error) => drop(left.insert(key, error.into())),
        }
    }
    Ok(subjects)
}

/// The Namespaces that opt in their Deployments.
async fn opted_in(client: &Client, only: Option<&str>) -> kube::Result<Vec<PartialObjectMeta<Namespace>>> {
    let opted_in = ListParams::default().labels(&format!("{}={ENABLED}", keys::CANARY));
    let mut found = Api::<Namespace>::all(client.clone()).list_metadata(&opted_in).await?.items;
    found.retain(|found| only.is_none_or(|only| found.metadata.name.as_deref() == Some(only)));
    Ok(found)
}

fn described<'a>(subjects: impl IntoIterator<Item = &'a Subject>) -> String {
    subjects.into_iter().map(Subject::described).collect::<Vec<_>>().join(", ")
}

/// Starts to end a rollout.
async fn end(client: &Client, subject: &Subject, finish: bool, is_admitted: bool) -> Result<(), Obstacle> {
    let patch = if !subject.finishes(finish) {
        match Box::pin(stable_template(client, subject)).await? {
            Some(template) => back_to(&template, subject),
            None => return Ok(()),
        }
    } else if check(Verb::PromoteFull.into(), &subject.state).is_err() {
        // It is already being promoted or ending.
        return Ok(());
    } else if is_admitted {
        annotation(keys::DO, &Verb::PromoteFull.to_string())
    } else {
        annotation(keys::REQUEST, &order(subject))
    };
    let deployments = Api::<Deployment>::namespaced(client.clone(), &subject.owner.namespace);
    deployments.patch(&subject.owner.name, &PatchParams::default(), &patch).await?;
    Ok(())
}

fn annotation(key: &str, value: &str) -> Patch<Value> {
    Patch::Merge(json!({"metadata": {"annotations": {key: value}}}))
}

/// Replaces the whole template instead of merging, so that fields of the new one disappear.
fn back_to(template: &Value, subject: &Subject) -> Patch<Value> {
    let at = |tokens: [&str; 2]| PointerBuf::from_tokens(tokens);
    let version = json!(subject.seen.deployment.metadata.resource_version);
    Patch::Json(JsonPatch(vec![
        PatchOperation::Test(TestOperation { path: at(["metadata", "resourceVersion"]), value: version }),
        PatchOperation::Replace(ReplaceOperation { path: at(["spec", "template"]), value: template.clone() }),
    ]))
}

/// The order as the webhook would have recorded it.
fn order(subject: &Subject) -> String {
    let request = Request {
        id: format!("eject-{}", clock::now()),
        verb: Verb::PromoteFull,
        step: None,
        by: "haldane eject".to_owned(),
        at: clock::now(),
        template: subject.seen.template_hash(),
    };
    // Serialising a typed record cannot fail.
    serde_json::to_string(&request).unwrap_or_default()
}

/// The template that serves, from its `ReplicaSet`; `None` if the Deployment already has it.
async fn stable_template(client: &Client, subject: &Subject) -> Result<Option<Value>, Obstacle> {
    let mut seen = subject.seen.clone();
    seen.replica_sets = world::sides(client, &subject.owner, &seen.deployment).await?.stable_sets;
    let Some(stable) = seen.stable_replica_set() else { return Err(Obstacle::NoStable) };
    if stable.template == seen.template_hash() {
        return Ok(None);
    }
    // Raw JSON: a typed template would lose fields that this version does not know.
    let set = replica_sets(client, &subject.owner.namespace).get(&stable.name).await?;
    Ok(Some(written_template(&set.data)))
}

/// Waits until no rollout is running, except those in `left`.
async fn all_are_idle(client: &Client, args: &EjectArgs, left: &mut Left) -> Result<(), EjectError> {
    let deadline = clock::monotonic() + args.timeout.signed().unsigned_abs();
    loop {
        let subjects = look(client, args.only.as_deref(), left).await?;
        let busy: Vec<&Subject> = subjects.iter().filter(|subject| subject.is_busy()).collect();
        if busy.is_empty() {
            return Ok(());
        }
        if clock::monotonic() >= deadline {
            return Err(EjectError::Late(args.timeout.to_string(), described(busy)));
        }
        time::sleep(LOOK).await;
    }
}

/// Runs the controller if the webhook is gone; waits for a replica that still holds the lease.
async fn controller_of_our_own(
    client: &Client,
    args: &EjectArgs,
    is_admitted: bool,
) -> Result<(), EjectError> {
    if is_admitted {
        return pending().await;
    }
    let http = Clients::new(HostPolicy::default()).map_err(EjectError::Http)?;
    // Without its namespace there are no replicas to compete with.
    if Api::<Namespace>::all(client.clone()).get_opt(&args.namespace).await?.is_none() {
        control(client, args, &http, Leadership::undisputed()).await;
        return pending().await;
    }
    let config = LeaseConfig {
        namespace: args.namespace.clone(),
        name: args.lease_name.clone(),
        identity: IDENTITY.to_owned(),
        duration: Duration::from_secs(15),
        renew: Duration::from_secs(5),
    };
    let (elector, leadership) = Elector::new(client.clone(), config, &mut metrics::registry());
    let terms = leadership.clone().while_leading(|| control(client, args, &http, leadership.clone()));
    tokio::join!(elector.run(pending()), terms);
    Ok(())
}

/// The controller. It starts no rollouts and measures nothing.
async fn control(client: &Client, args: &EjectArgs, http: &Clients, leadership: Leadership) {
    let secrets = secrets::Reader {
        client: client.clone(),
        own_namespace: args.namespace.clone(),
        service_account: IDENTITY.to_owned(),
    };
    let defaults = providers::Defaults { prometheus_address: None };
    let (measurer, answered) = Measurer::new(Means { http: http.clone(), secrets, defaults });
    let annotation_prefix = args.ingress_annotation_prefix.clone();
    let context = controller::Context {
        client: client.clone(),
        own_namespace: args.namespace.clone(),
        defaults: Defaults { settle: args.settle, annotation_prefix },
        measurer,
        publisher: Publisher::new(client.clone(), IDENTITY),
        notifier: None,
        watches: controller::Watches::new(Views::new(client.clone())),
        active: controller::Active::default(),
        leadership,
        // No rollouts start, so nothing waits.
        queue: controller::Queue::new().0,
        claims: controller::Claims::default(),
        failures: controller::Backoff::default(),
        // Nobody asks this process for them.
        metrics: controller::Metrics::new(&mut metrics::registry()),
    };
    controller::run(Arc::new(context), answered).await;
}

/// Removes all keys of Haldane, its condition, and the record.
async fn free(client: &Client, Subject { owner, seen, .. }: &Subject) -> Result<(), Obstacle> {
    if seen.condition(RELEASE).is_some() {
        let patch = json!({"status": {"conditions": without_release()}});
        let deployments = Api::<Deployment>::namespaced(client.clone(), &owner.namespace);
        deployments.patch_status(&owner.name, &as_ours(), &Patch::Strategic(patch)).await?;
    }
    opt_out(client, owner).await?;
    Ok(records::forget(client, owner, None).await?)
}

async fn opt_out(client: &Client, owner: &Owner) -> kube::Result<()> {
    let deployments = Api::<Deployment>::namespaced(client.clone(), &owner.namespace);
    let Some(found) = deployments.get_metadata_opt(&owner.name).await? else { return Ok(()) };
    let patch = json!({"metadata": {
        "annotations": gone(found.metadata.annotations.as_ref()),
        "labels": gone(found.metadata.labels.as_ref()),
    }});
    deployments.patch(&owner.name, &as_ours(), &Patch::Merge(patch)).await.map(drop)
}

/// Removes the defaults for Deployments from a Namespace; the labels that bind policies stay.
fn without_default(metadata: &ObjectMeta) -> Value {
    json!({"metadata": {
        "annotations": gone(metadata.annotations.as_ref()),
        "labels": {keys::CANARY: null},
    }})
}

/// A patch that removes all keys of Haldane.
fn gone(keys: Option<&Labels>) -> Map<String, Value> {
    let keys = keys.into_iter().flat_map(|map| map.keys());
    keys.filter(|key| key.starts_with(keys::PREFIX)).map(|key| (key.clone(), Value::Null)).collect()
}

fn as_ours() -> PatchParams {
    PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() }
}
