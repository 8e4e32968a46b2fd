//! Looks up what admission must know, within a deadline.

use crate::cluster::discovery::Installed;
use crate::{
    admit::{
        facts::{Fact, Facts, Holder, Neighbours, Questions},
        plan_review::claims::{self, AccessModes},
    },
    cluster::{
        api, namespaces,
        objects::{api_of, list, raw, replica_sets},
        profiles,
        records::{self, StateError, state_name},
        templates,
        views::Views,
        world::{self, ObserveError},
    },
    config::namespace::Namespace,
    decide::pass::Source,
    domain::{
        k8s::selector,
        observed::ReplicaSetView,
        review::{Review, User},
        state::RolloutState,
        world::{Pods, World},
    },
    objects::{canary_deployment::canary_name, marks::is_ours_raw},
    runtime::clock,
};
use futures::future::join_all;
use k8s_openapi::{
    api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec},
    apimachinery::pkg::apis::meta::v1::LabelSelector,
};
use kube::{Api, Client, api::PostParams};
use serde_json::Value;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::time::{Instant, timeout_at};

/// The RBAC verb that allows a release in a freeze.
const OVERRIDE_FREEZE: &str = "override-freeze";

/// Leaves time for the answer: the API server waits 5 s in all.
const DEADLINE: Duration = Duration::from_secs(3);

/// Looks up what a review needs. A fact that does not arrive in time is an error of its own.
pub struct LookUp<'a> {
    client: &'a Client,
    views: &'a Arc<Views>,
    installed: &'a Installed,
    own_namespace: &'a str,
    review: &'a Review,
    deadline: Instant,
    /// What users have was taken from a watch.
    may_be_behind: AtomicBool,
}

impl<'a> LookUp<'a> {
    /// The deadline counts from now.
    #[must_use]
    pub fn new(
        client: &'a Client,
        views: &'a Arc<Views>,
        installed: &'a Installed,
        own_namespace: &'a str,
        review: &'a Review,
    ) -> Self {
        let deadline = Instant::from_std(clock::monotonic() + DEADLINE);
        Self {
            client,
            views,
            installed,
            own_namespace,
            review,
            deadline,
            may_be_behind: AtomicBool::default(),
        }
    }

    /// Whether an answer was taken from a watch, which may be about to report something else.
    #[must_use]
    pub fn may_be_behind(&self) -> bool {
        self.may_be_behind.load(Ordering::Relaxed)
    }

    /// Until when answers are waited for.
    #[must_use]
    pub const fn deadline(&self) -> Instant {
        self.deadline
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
            wanted(questions.pair, self.neighbours(Source::Watches)),
            self.in_time(templates::look_up(client, place, own_namespace, &questions.templates)),
            self.may(verb),
            self.may(override_freeze),
            policy,
            wanted(questions.adoptable, self.in_time(adoptable(client, review))),
        );
        Facts { state, neighbours, templates, may, may_override, policy, adoptable }
    }

    /// The objects around the Deployment. Late answers of other APIs do not affect the rest.
    ///
    /// # Errors
    /// Why they could not be read in time.
    pub async fn neighbours(&self, users: Source) -> Fact<Neighbours> {
        let (neighbours, selecting, claims) = tokio::join!(
            self.in_time(self.around(users)),
            self.in_time(self.installed.objects(&self.review.namespace)),
            self.claims(),
        );
        let (selecting, unread) = selecting.map_or_else(|why| (Vec::new(), Some(why)), |found| (found, None));
        neighbours.map(|neighbours| Neighbours { selecting, unread, claims, ..neighbours })
    }

    async fn around(&self, users: Source) -> Result<Neighbours, ObserveError> {
        let Self { client, review, .. } = self;
        let namespace = review.namespace.as_str();
        let (world, deployment, record) = tokio::try_join!(
            self.world(users),
            holder(client, namespace, "apps/v1", "Deployment", canary_name(&review.name)),
            holder(client, namespace, "v1", "ConfigMap", state_name(&review.name)),
        )?;
        let pods = Pods::of(self.template());
        let endpoints = world::endpoints(client, namespace, &pods.labels, &world).await?;
        let holders = deployment.into_iter().chain(record).collect();
        Ok(Neighbours { world, endpoints, holders, ..Neighbours::default() })
    }

    /// Access modes of the claims that the pods mount. One that is missing or cannot be read in time is left out.
    async fn claims(&self) -> AccessModes {
        let api = api_of(self.client, "v1", "PersistentVolumeClaim", &self.review.namespace);
        let read = claims::names(self.template()).into_iter().map(async |name| {
            let claim = self.in_time(api.get_opt(name)).await.ok()??;
            Some((name.to_owned(), claims::access_modes(&raw(claim, "PersistentVolumeClaim"))))
        });
        join_all(read).await.into_iter().flatten().collect()
    }

    /// The pod template as it would be stored.
    fn template(&self) -> &Value {
        let object = self.review.object.as_ref();
        object.and_then(|object| object.pointer("/spec/template")).unwrap_or(&Value::Null)
    }

    /// What users have in the namespace.
    async fn world(&self, users: Source) -> Result<Arc<World>, ObserveError> {
        let namespace = &self.review.namespace;
        if users == Source::Server {
            return self.views.read(namespace).await;
        }
        let (world, is_new) = self.views.world(namespace).await?;
        self.may_be_behind.store(!is_new, Ordering::Relaxed);
        Ok(world)
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
    let found = api_of(client, api_version, kind, namespace).get_opt(&name).await?;
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
