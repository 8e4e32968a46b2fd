//! What the commands look at: a Deployment, its record, and its pods. The user's own rights apply.

use super::error::CanaryError;
use crate::{
    cluster::{
        objects::{api_of, list},
        records,
        world::{self, ObserveError},
    },
    config::annotations::is_opted_in_or_marked,
    decide::RolloutView,
    domain::{
        k8s::{
            json_pointer::part,
            label_rewrite::{CANARY_OF_LABEL, owner_label},
            selector,
        },
        observed::Observed,
        request::{Order, Request},
        state::RolloutState,
    },
    objects::manifest::Owner,
};
use kube::Client;
use serde::Serialize;
use serde_json::Value;
use std::sync::Arc;

/// See the module.
#[derive(Debug)]
pub struct Subject {
    /// The Deployment.
    pub owner: Owner,
    /// Its record.
    pub state: Arc<RolloutState>,
    /// What people see of it.
    pub view: RolloutView,
    /// What selects its own pods.
    pub(super) selector: String,
    /// An order that was not carried out yet: what is recorded is from before it.
    pub ordered: Option<Order>,
    /// The template has changed since: what is recorded is about another one.
    pub is_overtaken: bool,
}

/// Which side of a release a pod is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, strum::Display)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Side {
    /// The version that serves.
    Stable,
    /// The new version that is tried.
    Canary,
}

/// A release as programs see it: [`RolloutView`], and whose it is.
#[derive(Debug, Serialize)]
pub struct Shown<'a> {
    namespace: &'a str,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    ordered: Option<String>,
    #[serde(flatten)]
    view: &'a RolloutView,
}

/// A pod in a few words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Pod {
    /// Its side.
    pub side: Side,
    /// Its name.
    pub name: String,
    /// What kubectl shows as its status.
    pub status: String,
    /// Whether it serves.
    pub is_ready: bool,
    /// How often its containers have been restarted.
    pub restarts: i64,
    /// Its address.
    pub ip: String,
    /// Its node.
    pub node: String,
}

impl Subject {
    /// Looks at a managed Deployment.
    ///
    /// # Errors
    /// See [`CanaryError`].
    pub async fn look(client: &Client, namespace: &str, name: &str) -> Result<Self, CanaryError> {
        let ((owner, mut seen), recorded) = tokio::try_join!(find(client, namespace, name), async {
            records::load(client, namespace, name).await.map_err(CanaryError::from)
        })?;
        let state = recorded.of(&owner.uid).state;
        let sides = world::sides(client, &owner, &seen.deployment).await?;
        (seen.ours, seen.replica_sets, seen.canary_sets) =
            (sides.canary, sides.stable_sets, sides.canary_sets);
        Ok(Self::of(owner, state, &seen))
    }

    pub(super) fn of(owner: Owner, state: Arc<RolloutState>, seen: &Observed) -> Self {
        let is_new = |request: &Request| state.handled_request.as_ref() != Some(&request.id);
        let request = seen.request().filter(|request| state.rollout.is_some() && is_new(request));
        let is_overtaken = state.rollout.as_ref().is_some_and(|rollout| rollout.hash != seen.template_hash());
        let view = RolloutView::of(&state, seen);
        let selector = selector::text(&seen.deployment.spec.selector);
        Self { owner, state, view, selector, ordered: request.map(|request| request.order()), is_overtaken }
    }

    /// As `get -o json` prints it.
    #[must_use]
    pub fn shown(&self) -> Shown<'_> {
        let Owner { namespace, name, .. } = &self.owner;
        Shown { namespace, name, ordered: self.ordered.map(|order| order.to_string()), view: &self.view }
    }

    /// Whether the record is from before an order or a change of the template.
    #[must_use]
    pub fn is_outdated(&self) -> bool {
        self.ordered.is_some() || self.is_overtaken
    }

    /// Looks at the same Deployment again.
    ///
    /// # Errors
    /// See [`CanaryError`].
    pub async fn again(&self, client: &Client) -> Result<Self, CanaryError> {
        Self::look(client, &self.owner.namespace, &self.owner.name).await
    }

    /// Every managed Deployment of a namespace, or of all, in the order of their names. Their views show no canary.
    ///
    /// # Errors
    /// See [`CanaryError`].
    pub async fn list(client: &Client, namespace: Option<&str>) -> Result<Vec<Self>, CanaryError> {
        let (found, mut recorded) = tokio::try_join!(
            async { world::managed(client, namespace).await.map_err(CanaryError::from) },
            async { records::all(client, namespace).await.map_err(CanaryError::from) },
        )?;
        let mut subjects = Vec::new();
        for (owner, seen) in found {
            let record = recorded.remove(&(owner.namespace.clone(), records::state_name(&owner.name)));
            let state = record.transpose()?.unwrap_or_default().of(&owner.uid).state;
            subjects.push(Self::of(owner, state, &seen));
        }
        subjects.sort_by(|one, other| {
            (&one.owner.namespace, &one.owner.name).cmp(&(&other.owner.namespace, &other.owner.name))
        });
        Ok(subjects)
    }

    /// Pods of both sides, stable first.
    ///
    /// # Errors
    /// See [`CanaryError`].
    pub async fn pods(&self, client: &Client) -> Result<Vec<Pod>, CanaryError> {
        let [of_stable, of_canary] = self.pod_selectors();
        let pods = api_of(client, "v1", "Pod", &self.owner.namespace);
        let (stable, canary) =
            tokio::try_join!(list(&pods, "Pod", &of_stable), list(&pods, "Pod", &of_canary))
                .map_err(ObserveError::from)?;
        let stable = stable.iter().map(|object| Pod::of(Side::Stable, object));
        Ok(stable.chain(canary.iter().map(|object| Pod::of(Side::Canary, object))).collect())
    }

    /// What selects the pods of stable, and the canary's.
    pub(super) fn pod_selectors(&self) -> [String; 2] {
        let canary_of = owner_label(&self.owner.name);
        [
            format!("{},{CANARY_OF_LABEL}!={canary_of}", self.selector),
            format!("{CANARY_OF_LABEL}={canary_of}"),
        ]
    }
}

/// A managed Deployment alone.
///
/// # Errors
/// See [`CanaryError`].
pub async fn find(client: &Client, namespace: &str, name: &str) -> Result<(Owner, Observed), CanaryError> {
    let found = world::deployment(client, namespace, name).await?;
    let (namespace, name) = (namespace.to_owned(), name.to_owned());
    match found {
        None => Err(CanaryError::Absent { namespace, name }),
        Some((_, seen)) if !is_opted_in_or_marked(&seen.deployment.metadata) => {
            Err(CanaryError::NotManaged { namespace, name })
        }
        Some(found) => Ok(found),
    }
}

impl Pod {
    /// A pod as kubectl shows it: the reason of a container that does not run replaces the pod's phase.
    pub(super) fn of(side: Side, object: &Value) -> Self {
        let text = |at: &str| part(object, at).and_then(Value::as_str).map(str::to_owned);
        let containers = part(object, "/status/containerStatuses").and_then(Value::as_array);
        let containers = containers.map(Vec::as_slice).unwrap_or_default();
        let reason = |status: &Value| {
            let of = |state: &str| status.pointer(state).and_then(Value::as_str).map(str::to_owned);
            of("/state/waiting/reason").or_else(|| of("/state/terminated/reason"))
        };
        let conditions = part(object, "/status/conditions").and_then(Value::as_array);
        let is_ready = conditions.into_iter().flatten().any(|condition| {
            condition.get("type").and_then(Value::as_str) == Some("Ready")
                && condition.get("status").and_then(Value::as_str) == Some("True")
        });
        let is_deleted = part(object, "/metadata/deletionTimestamp").is_some();
        let status =
            if is_deleted { Some("Terminating".to_owned()) } else { containers.iter().find_map(reason) };
        Self {
            side,
            name: text("/metadata/name").unwrap_or_default(),
            status: status.or_else(|| text("/status/phase")).unwrap_or_default(),
            is_ready,
            ip: text("/status/podIP").unwrap_or_default(),
            node: text("/spec/nodeName").unwrap_or_default(),
            restarts: containers.iter().filter_map(|status| status.get("restartCount")?.as_i64()).sum(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_pod_is_shown_as_kubectl_shows_it() {
        let ready = json!([{"type": "Ready", "status": "True"}]);
        let running = json!({
            "metadata": {"name": "web-1"},
            "status": {"phase": "Running", "conditions": ready, "containerStatuses": [{"restartCount": 2}]},
        });
        let shown = Pod::of(Side::Stable, &running);
        assert_eq!((shown.status.as_str(), shown.is_ready, shown.restarts), ("Running", true, 2));
        let waiting = json!({"state": {"waiting": {"reason": "ImagePullBackOff"}}, "restartCount": 0});
        let stuck = json!({"metadata": {}, "status": {"phase": "Pending", "containerStatuses": [waiting]}});
        let shown = Pod::of(Side::Canary, &stuck);
        assert_eq!((shown.status.as_str(), shown.is_ready), ("ImagePullBackOff", false));
        let deleted = json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}, "status": {}});
        assert_eq!(Pod::of(Side::Canary, &deleted).status, "Terminating");
    }
}
