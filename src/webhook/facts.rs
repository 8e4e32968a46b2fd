//! Looks up what admission must know, within a deadline.

use crate::cluster::discovery::Installed;
use crate::{
    admit::facts::{Fact, Facts, Holder, Neighbours, Questions},
    cluster::{
        api, namespaces,
        objects::{every, list, raw, replica_sets},
        profiles,
        records::{self, StateError, state_name},
        templates,
        world::{self, ObserveError},
    },
    config::namespace::Namespace,
    domain::{
        k8s::selector,
        observed::{ReplicaSetView, SERVICE_NAME_LABEL},
        review::{Review, User},
        state::RolloutState,
        world::{Pods, World},
    },
    objects::{canary_deployment::canary_name, labels::service_selector, marks::is_ours_raw},
    runtime::clock,
};
use k8s_openapi::{
    api::{
        authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec},
        discovery::v1::EndpointSlice,
    },
    apimachinery::pkg::apis::meta::v1::LabelSelector,
};
use kube::{Api, Client, api::PostParams};
use serde_json::Value;
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, timeout_at};

/// The RBAC verb that allows a release in a freeze.
const OVERRIDE_FREEZE: &str = "override-freeze";

/// Leaves time for the answer: the API server waits 5 s in all.
const DEADLINE: Duration = Duration::from_secs(3);

/// Looks up what a review needs. A fact that does not arrive in time is an error of its own.
pub struct LookUp<'a> {
    client: &'a Client,
    installed: &'a Installed,
    own_namespace: &'a str,
    review: &'a Review,
    deadline: Instant,
}

impl<'a> LookUp<'a> {
    /// The deadline counts from now.
    #[must_use]
    pub fn new(
        client: &'a Client,
        installed: &'a Installed,
        own_namespace: &'a str,
        review: &'a Review,
    ) -> Self {
        let deadline = Instant::from_std(clock::monotonic() + DEADLINE);
        Self { client, installed, own_namespace, review, deadline }
    }

    /// The Namespace of the review's object.
    ///
    /// # Errors
    /// Why it could not be read in time.
    pub async fn namespace(&self) -> Fact<Namespace> {
        self.in_time(namespaces::look_up(self.client, &self.review.namespace, self.own_namespace)).await
    }

    /// Everything else.
    pub async fn facts(&self, questions: &Questions) -> Facts {
        let Self { client, own_namespace, review, .. } = self;
        // A Namespace is in no namespace; the templates that it names are in itself.
        let place = if review.kind == "Namespace" { &review.name } else { &review.namespace };
        let verb = questions.verb.map(|verb| verb.to_string());
        let override_freeze = questions.override_freeze.then(|| OVERRIDE_FREEZE.to_owned());
        let policy = async {
            let Some(labels) = &questions.policy else { return Ok(Vec::new()) };
            self.in_time(profiles::look_up(client, labels, own_namespace)).await
        };
        let (state, neighbours, templates, may, may_override, policy, adoptable) = tokio::join!(
            wanted(questions.state, self.in_time(recorded(client, review))),
            wanted(questions.pair, self.neighbours()),
            self.in_time(templates::look_up(client, place, own_namespace, &questions.templates)),
            self.may(verb),
            self.may(override_freeze),
            policy,
            wanted(questions.adoptable, self.in_time(adoptable(client, review))),
        );
        Facts { state, neighbours, templates, may, may_override, policy, adoptable }
    }

    /// The objects around the Deployment. Late answers of other APIs do not affect the rest.
    async fn neighbours(&self) -> Fact<Neighbours> {
        let (neighbours, selecting) = tokio::join!(
            self.in_time(neighbours(self.client, self.review)),
            self.in_time(self.installed.objects(&self.review.namespace)),
        );
        let (selecting, unread) = selecting.map_or_else(|why| (Vec::new(), Some(why)), |found| (found, None));
        neighbours.map(|neighbours| Neighbours { selecting, unread, ..neighbours })
    }

    /// Whether RBAC grants the user this verb on `deployments`; `false` without a verb.
    async fn may(&self, verb: Option<String>) -> Fact<bool> {
        match verb {
            Some(verb) => self.in_time(is_granted(self.client, self.review, verb)).await,
            None => Ok(false),
        }
    }

    async fn in_time<T, E: Explain>(&self, fact: impl Future<Output = Result<T, E>>) -> Fact<T> {
        match timeout_at(self.deadline, fact).await {
            Ok(found) => found.map_err(|error| error.explain()),
            Err(_) => Err(format!("no answer from the API server within {}s", DEADLINE.as_secs())),
        }
    }
}

/// An error in words for the user.
trait Explain {
    fn explain(&self) -> String;
}

impl Explain for kube::Error {
    fn explain(&self) -> String {
        api::message(self)
    }
}

impl Explain for StateError {
    fn explain(&self) -> String {
        self.to_string()
    }
}

impl Explain for ObserveError {
    fn explain(&self) -> String {
        match self {
            Self::Api(error) => error.explain(),
            Self::Malformed(..) => self.to_string(),
        }
    }
}

async fn wanted<T: Default>(is_wanted: bool, fact: impl Future<Output = Fact<T>>) -> Fact<T> {
    if is_wanted { fact.await } else { Ok(T::default()) }
}

async fn recorded(client: &Client, review: &Review) -> Result<Option<RolloutState>, StateError> {
    let uid = review.old_object.as_ref().and_then(|object| object.pointer("/metadata/uid")?.as_str());
    let stored = records::load(client, &review.namespace, &review.name).await?.of(uid.unwrap_or_default());
    Ok(Some(Arc::unwrap_or_clone(stored.state)))
}

async fn neighbours(client: &Client, review: &Review) -> Result<Neighbours, ObserveError> {
    let namespace = review.namespace.as_str();
    let (around, deployment, record) = tokio::try_join!(
        // Nothing of ours is asked for.
        world::look_up(client, namespace, ""),
        holder(client, namespace, "apps/v1", "Deployment", canary_name(&review.name)),
        holder(client, namespace, "v1", "ConfigMap", state_name(&review.name)),
    )?;
    let holders = deployment.into_iter().chain(record).collect();
    let endpoints = endpoints(client, review, &around.world).await?;
    Ok(Neighbours { world: around.world, endpoints, holders, ..Neighbours::default() })
}

/// The endpoints of the Services that select the Deployment's pods.
async fn endpoints(client: &Client, review: &Review, world: &World) -> kube::Result<Vec<EndpointSlice>> {
    let template = review.object.as_ref().and_then(|object| object.pointer("/spec/template"));
    let pods = Pods::of(template.unwrap_or(&Value::Null));
    let selecting = world.services.iter().filter(|service| {
        service_selector(service).is_some_and(|labels| selector::map_selects(labels, &pods.labels))
    });
    let names: Vec<&str> = selecting.filter_map(|service| service.metadata.name.as_deref()).collect();
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let slices = Api::<EndpointSlice>::namespaced(client.clone(), &review.namespace);
    every(&slices, &format!("{SERVICE_NAME_LABEL} in ({})", names.join(","))).await
}

/// The `ReplicaSets` that the deployment controller would give to the new Deployment.
///
/// Source: kubernetes `pkg/controller/controller_ref_manager.go`, `ClaimReplicaSets`.
async fn adoptable(client: &Client, review: &Review) -> kube::Result<Vec<ReplicaSetView>> {
    let selector = review.object.as_ref().and_then(|object| object.pointer("/spec/selector")).cloned();
    let selector: LabelSelector = serde_json::from_value(selector.unwrap_or_default()).unwrap_or_default();
    let labels = selector::text(&selector);
    // An empty selector would match all of them; the API server is about to refuse it.
    if labels.is_empty() {
        return Ok(Vec::new());
    }
    let is_free = |set: &&Value| {
        let owners = set.pointer("/metadata/ownerReferences").and_then(Value::as_array);
        let is_controller = |owner: &Value| owner.get("controller") == Some(&Value::Bool(true));
        !owners.into_iter().flatten().any(is_controller)
            && set.pointer("/metadata/deletionTimestamp").is_none()
    };
    let sets = list(&replica_sets(client, &review.namespace), "ReplicaSet", &labels).await?;
    Ok(sets.iter().filter(is_free).map(ReplicaSetView::of).collect())
}

async fn holder(
    client: &Client,
    namespace: &str,
    api_version: &str,
    kind: &'static str,
    name: String,
) -> Result<Option<Holder>, ObserveError> {
    let found = crate::cluster::objects::api_of(client, api_version, kind, namespace).get_opt(&name).await?;
    Ok(found.map(|object| Holder { kind, name, is_ours: is_ours_raw(&raw(object, kind)) }))
}

async fn is_granted(client: &Client, review: &Review, verb: String) -> kube::Result<bool> {
    let User { username, uid, groups, extra } = review.user.clone();
    let question = SubjectAccessReview {
        spec: SubjectAccessReviewSpec {
            user: Some(username),
            uid,
            groups: Some(groups),
            extra: Some(extra),
            resource_attributes: Some(ResourceAttributes {
                group: Some("apps".to_owned()),
                resource: Some("deployments".to_owned()),
                verb: Some(verb),
                namespace: Some(review.namespace.clone()),
                name: Some(review.name.clone()),
                ..ResourceAttributes::default()
            }),
            ..SubjectAccessReviewSpec::default()
        },
        ..SubjectAccessReview::default()
    };
    let answer =
        Api::<SubjectAccessReview>::all(client.clone()).create(&PostParams::default(), &question).await?;
    Ok(answer.status.is_some_and(|status| status.allowed))
}
