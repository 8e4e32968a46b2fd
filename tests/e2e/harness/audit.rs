//! What Haldane asked of the API server, by the API server's own audit log.

use super::cluster::setting;
use jiff::Timestamp;
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    fmt, fs,
    path::{Path, PathBuf},
};

/// One request of Haldane's service account.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    verb: String,
    #[serde(rename = "requestURI", default)]
    uri: String,
    user: User,
    #[serde(default)]
    object_ref: Object,
    #[serde(default)]
    response_status: Status,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    /// When it arrived.
    #[serde(rename = "requestReceivedTimestamp")]
    pub at: Timestamp,
    /// When this entry was written: the answer was on its way.
    #[serde(rename = "stageTimestamp")]
    pub answered_at: Timestamp,
}

#[derive(Debug, Clone, Deserialize)]
struct User {
    #[serde(default)]
    extra: BTreeMap<String, Vec<String>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Object {
    resource: String,
    namespace: String,
    name: String,
    api_group: String,
    subresource: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Status {
    code: u16,
    message: String,
}

/// A verb on a resource of an API group, as RBAC grants it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Right {
    /// The API group; empty for the core.
    pub group: String,
    /// The resource, with its subresource.
    pub resource: String,
    /// The verb.
    pub verb: String,
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verb, self.resource)?;
        if self.group.is_empty() { Ok(()) } else { write!(f, ".{}", self.group) }
    }
}

/// Everything asked since then, oldest first.
#[track_caller]
pub fn since(start: Timestamp) -> Vec<Request> {
    let log = PathBuf::from(setting("HALDANE_AUDIT"));
    assert!(
        log.exists(),
        "{} does not exist: the API server of this cluster was started by an older `cluster up`; `cluster kill NAME apiserver` and `cluster start NAME apiserver` make it",
        log.display()
    );
    let mut requests: Vec<Request> = parts(&log).iter().flat_map(|part| read(part, start)).collect();
    requests.sort_by_key(|request| request.at);
    requests
}

/// The log and what was rotated away: `audit.log`, `audit-2026-01-01T00-00-00.000.log`.
fn parts(log: &Path) -> Vec<PathBuf> {
    let all = fs::read_dir(log.parent().expect("a folder")).expect("a readable folder");
    let is_part = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("audit") && name.ends_with(".log")
    };
    all.flatten().map(|entry| entry.path()).filter(is_part).collect()
}

/// The requests of one file. Most are older, and are passed over unread; a line that is just being written
/// cannot be read yet.
fn read(part: &Path, start: Timestamp) -> Vec<Request> {
    const RECEIVED: &str = "\"requestReceivedTimestamp\":\"";
    let text = fs::read_to_string(part).expect("a readable log");
    let is_new = |line: &&str| {
        let at = line.rfind(RECEIVED).and_then(|found| line.get(found + RECEIVED.len()..)?.split('"').next());
        at.and_then(|at| at.parse::<Timestamp>().ok()).is_some_and(|at| at >= start)
    };
    text.lines().filter(is_new).filter_map(|line| serde_json::from_str(line).ok()).collect()
}

impl Request {
    /// The pod that asked.
    pub fn pod(&self) -> &str {
        let pods = self.user.extra.get("authentication.kubernetes.io/pod-name");
        pods.and_then(|pods| pods.first()).map(String::as_str).unwrap_or_default()
    }

    /// HTTP status of the answer.
    pub fn code(&self) -> u16 {
        self.response_status.code
    }

    /// The namespace of what it is about; empty if that is in none.
    pub fn namespace(&self) -> &str {
        &self.object_ref.namespace
    }

    /// Whether it waits for what happens.
    pub fn is_watch(&self) -> bool {
        self.verb == "watch"
    }

    /// Whether RBAC refused it. Quotas and namespaces that are being deleted answer 403 as well.
    pub fn was_forbidden(&self) -> bool {
        let decision = self.annotations.get("authorization.k8s.io/decision");
        let status = &self.response_status;
        decision.is_some_and(|decision| decision == "forbid")
            || (status.code == 403 && status.message.contains("User \"system:serviceaccount:"))
    }

    /// Whether both ask for the same.
    pub fn repeats(&self, other: &Self) -> bool {
        let what = |request: &Self| (request.rights(), request.object_ref.namespace.clone());
        what(self) == what(other)
    }

    /// Whether it is about the lease by which one replica leads.
    pub fn is_about_the_lease(&self) -> bool {
        self.object_ref.resource == "leases"
    }

    /// Whether it asked to change something that a rollout consists of, and did.
    pub fn has_written(&self) -> bool {
        let is_question = self.object_ref.resource == "subjectaccessreviews";
        let writes = ["create", "update", "patch", "delete"].contains(&self.verb.as_str());
        // What admission tries is not written.
        let is_trial = self.uri.contains("dryRun=");
        writes && !is_question && !is_trial && !self.is_about_the_lease() && (200..300).contains(&self.code())
    }

    /// The rights that it needed. Applying an object that is not there needs `create` beside `patch`; asking
    /// which APIs there are is about no object, and Kubernetes grants it to everybody (`system:discovery`).
    pub fn rights(&self) -> Vec<Right> {
        let Object { resource, subresource, api_group, .. } = &self.object_ref;
        if resource.is_empty() {
            return Vec::new();
        }
        let resource =
            if subresource.is_empty() { resource.clone() } else { format!("{resource}/{subresource}") };
        let right = |verb: &str| Right {
            group: api_group.clone(),
            resource: resource.clone(),
            verb: verb.to_owned(),
        };
        let has_created = self.verb == "patch" && self.code() == 201;
        [Some(right(&self.verb)), has_created.then(|| right("create"))].into_iter().flatten().collect()
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Object { resource, namespace, name, .. } = &self.object_ref;
        let (at, verb, code) = (self.at, &self.verb, self.code());
        write!(f, "{at} {} {verb} {resource} {namespace}/{name}: {code}", self.pod())
    }
}
