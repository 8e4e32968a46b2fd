//! The controller's writes, in the order and under the conditions of `controller/{reconcile,apply,state}.rs`.

use super::{cluster::Cluster, process::Stored};
use haldane::{
    build::{
        manifest::{Kind, Manifest},
        pair::find,
    },
    controller::apply::deployment_patch,
    decide::{DeploymentWrite, Plan, ProgressingCondition},
    domain::{observed::Observed, state::RolloutState},
};
use serde_json::{Value, json};
use std::fmt;

/// One request that changes the cluster.
#[derive(Debug, Clone, PartialEq)]
pub enum Write {
    /// The state `ConfigMap`.
    State(Box<RolloutState>),
    /// Server-side apply of an object of ours.
    Apply(Manifest),
    /// The `Progressing` condition.
    Condition(ProgressingCondition),
    /// The user's Deployment.
    Deployment(DeploymentWrite),
    /// Removal of an object of ours.
    Delete(Kind, String),
}

impl fmt::Display for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::State(state) => match &state.rollout {
                None => write!(f, "state: no rollout, blocked {:?}", state.blocked),
                Some(rollout) => write!(
                    f,
                    "state: revision {} {:?}, weight {} known since {:?}, {} pods, runs {:?}",
                    rollout.revision,
                    rollout.stage,
                    rollout.traffic.weight,
                    rollout.traffic.seen_at,
                    rollout.canary_replicas,
                    rollout.runs.iter().map(|r| (r.step, r.run.phase)).collect::<Vec<_>>(),
                ),
            },
            Self::Apply(manifest) => {
                let weight =
                    &manifest.body["metadata"]["annotations"]["nginx.ingress.kubernetes.io/canary-weight"];
                let replicas = &manifest.body["spec"]["replicas"];
                write!(f, "apply {}, weight {weight}, replicas {replicas}", manifest.kind)
            }
            Self::Condition(condition) => write!(f, "condition {}", condition.message),
            Self::Deployment(write) => write!(f, "deployment {write:?}"),
            Self::Delete(kind, _) => write!(f, "delete {kind}"),
        }
    }
}

/// Another writer was faster.
#[derive(Debug)]
pub struct Conflict;

/// What a plan asks for, in order.
pub fn writes(plan: &Plan, stored: &Stored) -> Vec<Write> {
    let state = (plan.state != stored.state).then(|| Write::State(Box::new(plan.state.clone())));
    let objects = plan.apply.iter().cloned().map(Write::Apply);
    let rest = plan.condition.iter().cloned().map(Write::Condition);
    let deployment = plan.deployment.map(Write::Deployment);
    let deletions = plan.delete.iter().map(|(kind, name)| Write::Delete(*kind, name.clone()));
    state.into_iter().chain(objects).chain(rest).chain(deployment).chain(deletions).collect()
}

impl Cluster {
    /// Carries out one request of a controller that has seen `seen` and `stored`.
    pub fn write(&mut self, write: &Write, seen: &Observed, stored: &Stored) -> Result<(), Conflict> {
        match write {
            Write::State(state) => {
                if self.record.as_ref().map(|(_, version)| *version) != stored.version {
                    return Err(Conflict);
                }
                let version = self.bump();
                self.record = Some((state.as_ref().clone(), version));
            }
            Write::Apply(manifest) => {
                let known = find(&seen.ours, manifest.kind, &manifest.name);
                self.apply(&manifest.for_update_of(known), manifest)?;
            }
            Write::Condition(condition) => {
                let mut web = self.web.clone();
                web["status"]["conditions"] = json!([{
                    "type": "Progressing", "status": condition.status,
                    "reason": condition.reason, "message": condition.message,
                }]);
                self.store_web(web);
            }
            Write::Deployment(write) => {
                let mut web = self.web.clone();
                json_patch::patch(&mut web, &deployment_patch(seen, *write)).map_err(|_| Conflict)?;
                self.store_web(web);
            }
            Write::Delete(kind, name) => {
                let uid =
                    |ours: &[Value]| find(ours, *kind, name).map(|object| object["metadata"]["uid"].clone());
                match (uid(&self.ours), uid(&seen.ours)) {
                    (Some(now), Some(then)) if now != then => return Err(Conflict),
                    _ => self.delete(*kind, name),
                }
            }
        }
        Ok(())
    }
}
