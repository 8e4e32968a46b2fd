//! What the API server makes of the controller's writes, under the conditions of `controller/{apply,state}.rs`.

use super::{cluster::Cluster, desk::Request, workloads::set_condition};
use haldane::{
    cluster::apply::{conditions_patch, deployment_patch},
    decide::{
        self, Condition, DeploymentWrite, RELEASE, Refusal,
        pass::{Look, Stored},
    },
    domain::{observed::Observed, state::RolloutState},
    objects::manifest::{ASKED_AT_ANNOTATION, Kind, Manifest, Owner, find},
};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::{collections::BTreeSet, fmt, sync::Arc};

/// One request that changes the cluster.
#[derive(Debug, Clone, PartialEq)]
pub enum Write {
    /// The state `ConfigMap`.
    State(Arc<RolloutState>),
    /// Server-side apply of an object of ours.
    Apply(Manifest),
    /// Conditions of the user's Deployment.
    Conditions(Vec<Condition>),
    /// Haldane's own condition goes.
    ClearCondition,
    /// The user's Deployment.
    Deployment(DeploymentWrite),
    /// A `ReplicaSet` loses its pods.
    Empty(String),
    /// Removal of an object of ours.
    Delete(Kind, String),
    /// Removal of the state `ConfigMap`.
    Forget,
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
            Self::Conditions(conditions) => {
                let messages: Vec<_> = conditions.iter().map(|condition| &condition.message).collect();
                write!(f, "conditions {messages:?}")
            }
            Self::ClearCondition => f.write_str("clear the condition"),
            Self::Deployment(write) => write!(f, "deployment {write:?}"),
            Self::Empty(name) => write!(f, "empty {name}"),
            Self::Delete(kind, _) => write!(f, "delete {kind}"),
            Self::Forget => f.write_str("delete the record"),
        }
    }
}

/// Another writer was faster.
#[derive(Debug)]
pub struct Conflict;

/// Why a write was not carried out.
#[derive(Debug)]
pub enum Denial {
    /// See [`Conflict`].
    Conflict,
    /// Writes of this kind are not accepted at present.
    Refused(Refusal),
    /// Writes of this kind fail at present.
    Failed,
}

impl From<Conflict> for Denial {
    fn from(_: Conflict) -> Self {
        Self::Conflict
    }
}

/// What is done to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verb {
    /// It is made.
    Create,
    /// It is changed.
    Update,
    /// It is removed.
    Delete,
}

/// Kinds of objects and what may not be done to them.
pub type Refusing = BTreeSet<(&'static str, Verb)>;

/// Kinds of which writes can be refused: of ours, the record, and the user's Deployment.
pub const KINDS: [&str; 5] = ["Ingress", "Deployment", "Service", RECORD, USERS];

const RECORD: &str = "ConfigMap";
const USERS: &str = "Deployment of the user";

impl From<decide::Write<'_>> for Write {
    fn from(write: decide::Write<'_>) -> Self {
        match write {
            decide::Write::State(state) => Self::State(Arc::new(state.clone())),
            decide::Write::Apply(manifest) => Self::Apply(manifest.clone()),
            decide::Write::Conditions(conditions) => Self::Conditions(conditions.to_vec()),
            decide::Write::ClearCondition => Self::ClearCondition,
            decide::Write::Deployment(write) => Self::Deployment(write),
            decide::Write::Empty(name) => Self::Empty(name.to_owned()),
            decide::Write::Delete(kind, name) => Self::Delete(kind, name.to_owned()),
            decide::Write::Forget => Self::Forget,
        }
    }
}

impl Cluster {
    /// Carries out one request of a controller, or does not accept it.
    pub fn write(&mut self, request: &Request) -> Result<(), Denial> {
        let (kind, verb) = self.aim(&request.write);
        if self.refusing.contains(&(kind, verb)) {
            let message = format!("{verb:?} is forbidden");
            return Err(Denial::Refused(Refusal { object: kind.to_owned(), message }));
        }
        if self.failing.contains(&(kind, verb)) {
            return Err(Denial::Failed);
        }
        Ok(self.carry_out(request)?)
    }

    /// Whether this can be done at present.
    pub fn accepts(&self, kind: &'static str, verb: Verb) -> bool {
        [&self.refusing, &self.failing].iter().all(|denied| !denied.contains(&(kind, verb)))
    }

    /// Whether Ingresses can neither be changed nor removed.
    pub fn routes_are_fixed(&self) -> bool {
        [Verb::Update, Verb::Delete].iter().all(|verb| !self.accepts("Ingress", *verb))
    }

    /// What this write does to what.
    fn aim(&self, write: &Write) -> (&'static str, Verb) {
        let verb = |exists| if exists { Verb::Update } else { Verb::Create };
        match write {
            Write::State(_) => (RECORD, verb(self.record.is_some())),
            Write::Forget => (RECORD, Verb::Delete),
            Write::Apply(manifest) => {
                let exists = self.find(manifest.kind, &manifest.name).is_some();
                (manifest.kind.name(), verb(exists))
            }
            Write::Delete(kind, _) => (kind.name(), Verb::Delete),
            Write::Conditions(_) | Write::ClearCondition | Write::Deployment(_) | Write::Empty(_) => {
                (USERS, Verb::Update)
            }
        }
    }

    /// Nothing of the user's Deployment has changed since.
    fn is_still(&self, seen: &Observed) -> Result<(), Conflict> {
        let version = seen.deployment.metadata.resource_version.as_deref();
        (self.web["metadata"]["resourceVersion"].as_str() == version).then_some(()).ok_or(Conflict)
    }

    fn carry_out(&mut self, request: &Request) -> Result<(), Conflict> {
        let Request { write, look: Look { owner, seen, stored } } = request;
        match write {
            Write::State(state) => self.store(state, stored, owner),
            Write::Apply(manifest) => {
                let known = find(&seen.ours, manifest.kind, &manifest.name);
                self.apply(&manifest.for_update_of(known), manifest)
            }
            Write::Conditions(conditions) => {
                let mut web = self.web.clone();
                let patch = conditions_patch(seen, conditions, Timestamp::UNIX_EPOCH);
                if let Some(patch) = patch {
                    json_patch::patch(&mut web, &patch).map_err(|_| Conflict)?;
                } else {
                    self.is_still(seen)?;
                    for Condition { kind, status, reason, message } in conditions {
                        let set =
                            json!({"type": kind, "status": status, "reason": reason, "message": message});
                        set_condition(&mut web["status"], set);
                    }
                }
                self.store_web(web);
                Ok(())
            }
            Write::ClearCondition => {
                self.is_still(seen)?;
                let mut web = self.web.clone();
                if let Some(all) = web["status"]["conditions"].as_array_mut() {
                    all.retain(|condition| condition["type"] != RELEASE);
                }
                self.store_web(web);
                Ok(())
            }
            Write::Deployment(write) => {
                let mut web = self.web.clone();
                json_patch::patch(&mut web, &deployment_patch(seen, *write)).map_err(|_| Conflict)?;
                self.store_web(web);
                Ok(())
            }
            Write::Empty(name) => {
                let then = seen.replica_sets.iter().find(|set| set.name == *name);
                if let Some(set) = self.sets.iter_mut().find(|set| set.name == *name) {
                    if then.is_some_and(|then| then.version != set.as_seen()) {
                        return Err(Conflict);
                    }
                    set.wanted = 0;
                }
                self.touch();
                Ok(())
            }
            Write::Delete(kind, name) => {
                let version = |ours: &[Value]| {
                    find(ours, *kind, name).map(|object| object["metadata"]["resourceVersion"].clone())
                };
                match (version(&self.ours), version(&seen.ours)) {
                    (Some(now), Some(then)) if now != then => return Err(Conflict),
                    _ => self.delete(*kind, name),
                }
                Ok(())
            }
            Write::Forget if self.record_version() != stored.version => Err(Conflict),
            Write::Forget => {
                self.record = None;
                self.bump();
                Ok(())
            }
        }
    }

    /// Whether what routes still carries an older wish than the recorded one.
    pub fn awaits_its_wish(&self, write: &Write) -> bool {
        let Write::Apply(manifest) = write else { return false };
        let Some(index) = self.find(manifest.kind, &manifest.name) else { return false };
        let carried = self.ours[index]["metadata"]["annotations"][ASKED_AT_ANNOTATION].as_str();
        let state = self.state();
        let wanted = state.rollout.as_ref().map(|rollout| rollout.traffic.asked_at.to_string());
        carried.zip(wanted).is_some_and(|(carried, wanted)| carried != wanted)
    }

    /// What is recorded, as a pass reads it.
    pub fn stored(&self) -> Stored {
        let Some((state, version, uid)) = &self.record else { return Stored::default() };
        let (state, version) = (Arc::clone(state), Some(version.to_string()));
        Stored { state, version, owners: vec![uid.clone()], is_ahead: false }
    }

    /// Version of the record.
    pub fn record_version(&self) -> Option<String> {
        self.record.as_ref().map(|(_, version, _)| version.to_string())
    }

    fn store(&mut self, state: &Arc<RolloutState>, stored: &Stored, owner: &Owner) -> Result<(), Conflict> {
        if self.record_version() != stored.version {
            return Err(Conflict);
        }
        let is_same =
            |(known, _, uid): &(Arc<RolloutState>, u64, String)| known == state && *uid == owner.uid;
        // A write that changes nothing makes no new version.
        if !self.record.as_ref().is_some_and(is_same) {
            let version = self.bump();
            self.record = Some((Arc::clone(state), version, owner.uid.clone()));
        }
        Ok(())
    }
}
