//! How canary pods differ from stable ones: a few labels have other values.

use super::selector::Labels;
use crate::domain::names::suffixed;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Label with the side of the pair.
pub const ROLE_LABEL: &str = "haldane.dev/role";
/// Label with the name of the Deployment that a canary object belongs to.
pub const CANARY_OF_LABEL: &str = "haldane.dev/canary-of";
/// Kubernetes' limit for label values.
const LABEL_VALUE_MAX: usize = 63;

/// The label keys whose values get `-canary` added on canary pods.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelRewrite {
    /// Name of the user's Deployment.
    pub of: String,
    /// The keys; none if the number of pods splits the traffic.
    pub keys: BTreeSet<String>,
}

/// The value of [`CANARY_OF_LABEL`] on all objects that Haldane creates for this Deployment.
#[must_use]
pub fn owner_label(deployment: &str) -> String {
    suffixed(deployment, "", LABEL_VALUE_MAX)
}

impl LabelRewrite {
    /// See [`owner_label`].
    #[must_use]
    pub fn owner_label(&self) -> String {
        owner_label(&self.of)
    }

    /// The labels of canary pods for the labels of stable pods, or the selector of canary pods for a selector of
    /// stable pods.
    #[must_use]
    pub fn apply(&self, stable: &Labels) -> Labels {
        let mut labels = self.rewritten(stable);
        labels.insert(ROLE_LABEL.to_owned(), "canary".to_owned());
        labels.insert(CANARY_OF_LABEL.to_owned(), self.owner_label());
        labels
    }

    /// The selector of exactly the canary pods of this Deployment.
    #[must_use]
    pub fn canary_only(&self) -> LabelSelector {
        LabelSelector { match_labels: Some(self.apply(&Labels::new())), match_expressions: None }
    }

    /// The new value of a label.
    #[must_use]
    pub fn value(value: &str) -> String {
        suffixed(value, "-canary", LABEL_VALUE_MAX)
    }

    fn rewritten(&self, stable: &Labels) -> Labels {
        let rewrite = |(key, value): (&String, &String)| {
            let value = if self.keys.contains(key) { Self::value(value) } else { value.clone() };
            (key.clone(), value)
        };
        stable.iter().map(rewrite).collect()
    }
}
