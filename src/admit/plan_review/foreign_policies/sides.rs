//! What is chosen by its labels: of stable, and of the canary.

use super::forms::{KIND, NAME, NAMESPACE_LABELS};
use crate::domain::k8s::{
    label_rewrite::{CANARY_OF_LABEL, LabelRewrite, ROLE_LABEL},
    selector::Labels,
};

/// Most labels that a message proposes.
const MAX_SHOWN: usize = 3;

/// What an API chooses by label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// Pods.
    Pods,
    /// Services, whose pods it finds by their endpoints.
    Services,
    /// Routes, Services and Deployments, which it is attached to by reference.
    Targets,
}

/// Something of stable and its counterpart of the canary, as selectors see them.
#[derive(Debug, Clone)]
pub struct Sides {
    /// What they are.
    pub(super) subject: Subject,
    /// Labels of stable's.
    pub(super) stable: Labels,
    /// Labels of the canary's.
    pub(super) canary: Labels,
    /// What stable's is called in messages.
    pub(super) stable_name: String,
    /// What the canary's is called, with its verb.
    pub(super) canary_name: String,
}

impl Sides {
    /// The pods of a Deployment.
    #[must_use]
    pub fn pods(pods: &Labels, rewrite: &LabelRewrite, namespace: &str) -> Self {
        Self {
            subject: Subject::Pods,
            stable: seen(pods.clone(), namespace),
            canary: seen(rewrite.apply(pods), namespace),
            stable_name: "pods".to_owned(),
            canary_name: "the canary's have".to_owned(),
        }
    }

    /// A user's Service and the canary's, each with its name.
    #[must_use]
    pub fn services(stable: (&str, Labels), canary: (&str, Labels), namespace: &str) -> Self {
        Self {
            subject: Subject::Services,
            stable: seen(stable.1, namespace),
            canary: seen(canary.1, namespace),
            stable_name: format!("Service {:?}", stable.0),
            canary_name: format!("the canary's Service {:?} has", canary.0),
        }
    }

    /// A route, Service or Deployment of the user, with its labels, and its counterpart during a release.
    #[must_use]
    pub fn targets(kind: &str, stable: (&str, Labels), canary: &str) -> Self {
        let side = |name: &str, mut labels: Labels| {
            labels
                .extend([(KIND, kind), (NAME, name)].map(|(key, value)| (key.to_owned(), value.to_owned())));
            labels
        };
        Self {
            subject: Subject::Targets,
            stable: side(stable.0, stable.1),
            canary: side(canary, Labels::new()),
            stable_name: format!("{kind} {:?}", stable.0),
            canary_name: format!("{kind} {canary:?}"),
        }
    }

    /// The label by which the canary's is its own, for a message.
    pub(super) fn own(&self) -> String {
        pair(CANARY_OF_LABEL, self.canary.get(CANARY_OF_LABEL).map_or("", String::as_str))
    }

    /// Labels that the canary's has instead of stable's, its own the last.
    pub(super) fn changed(&self) -> String {
        let changed = self.canary.iter().filter(|(key, value)| {
            ![ROLE_LABEL, CANARY_OF_LABEL].contains(&key.as_str()) && self.stable.get(*key) != Some(*value)
        });
        let changed = changed.map(|(key, value)| pair(key, value));
        changed.chain([self.own()]).collect::<Vec<_>>().join(", ")
    }

    /// What to select by instead.
    pub(super) fn fix(&self, kind: &str) -> String {
        let is_pod_label = |key: &str| !NAMESPACE_LABELS.contains(&key);
        let kept = self
            .stable
            .iter()
            .filter(|(key, value)| is_pod_label(key) && self.canary.get(*key) == Some(*value));
        let kept: Vec<String> = kept.map(|(key, value)| pair(key, value)).take(MAX_SHOWN).collect();
        let kept =
            if kept.is_empty() { "add one".to_owned() } else { format!("such as {}", kept.join(", ")) };
        let place = match self.subject {
            Subject::Pods => "pod template",
            Subject::Services | Subject::Targets => "Service",
        };
        format!(
            "select by a label of the {place} that both have ({kept}), or add a copy of this {kind} that selects {}",
            self.own()
        )
    }

    /// The canary's labels with these keys.
    pub(super) fn instead<'a>(&self, keys: impl Iterator<Item = &'a String>) -> String {
        let instead = |key: &'a String| match self.canary.get(key) {
            Some(value) => pair(key, value),
            None => format!("no {key}"),
        };
        keys.map(instead).collect::<Vec<_>>().join(", ")
    }
}

/// Labels as policies of several namespaces see them.
fn seen(mut labels: Labels, namespace: &str) -> Labels {
    labels.extend(NAMESPACE_LABELS.map(|key| (key.to_owned(), namespace.to_owned())));
    labels
}

fn pair(key: &str, value: &str) -> String {
    format!("{key}={value}")
}
