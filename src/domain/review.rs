//! One admission request and the answer to it, free of the wire format.

use crate::document::finding::{Finding, Findings};
use json_patch::PatchOperation;
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Which admission phase asks, and about what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, strum::IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub enum Stage {
    /// The mutating phase: the verdict may patch the object.
    Mutate,
    /// The validating phase: the object is final, a patch would be dropped.
    Validate,
    /// The mutating phase, for a Deployment that nothing opts in: the verdict may warn, and never refuses.
    Warn,
}

/// What the API server is about to do with the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, strum::IntoStaticStr)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
pub enum Operation {
    /// A new object.
    Create,
    /// A change of an existing one, by whatever verb.
    Update,
    /// A deletion.
    Delete,
    /// A connection to a subresource such as `exec`.
    Connect,
}

/// The user who asked, as the API server authenticated them; enough for a `SubjectAccessReview`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct User {
    /// User name, e.g. `jane` or `system:serviceaccount:NAMESPACE:NAME`.
    pub username: String,
    /// Identifier that stays when a name is given to someone else.
    pub uid: Option<String>,
    /// Groups the user is in.
    pub groups: Vec<String>,
    /// What else the authenticator knows; some authorisers decide by it.
    pub extra: BTreeMap<String, Vec<String>>,
}

/// One admission request.
///
/// The objects are kept as the API server sent them, so that fields this build has never heard of
/// survive and patches are made against what is really there.
#[derive(Debug, Clone, PartialEq)]
pub struct Review {
    /// Identifies the request; the answer must carry it.
    pub uid: String,
    /// API group of the object, empty for the core group.
    pub group: String,
    /// Kind of the object, e.g. `Deployment`, or `Scale` for that subresource.
    pub kind: String,
    /// What is about to happen.
    pub operation: Operation,
    /// Subresource such as `scale`; none for the object itself.
    pub sub_resource: Option<String>,
    /// Namespace of the object, empty if it has none.
    pub namespace: String,
    /// Name of the object, empty while the server has yet to generate it.
    pub name: String,
    /// The user who asked.
    pub user: User,
    /// The field manager of the request, e.g. `kubectl-rollout`, where the client named one.
    pub field_manager: Option<String>,
    /// Nothing will be stored: the verdict must have no effect.
    pub dry_run: bool,
    /// The object as it would be stored; none on deletion.
    pub object: Option<Value>,
    /// The object as it is stored now; none on creation.
    pub old_object: Option<Value>,
}

/// The decision itself.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Let it pass, after this patch; an empty patch changes nothing.
    Allow {
        /// Operations against the request's object.
        patch: Vec<PatchOperation>,
    },
    /// Refuse it.
    Deny {
        /// HTTP status code for the client, 400 to 599.
        code: u16,
        /// Machine-readable reason, one of Kubernetes' `StatusReason`s such as `Invalid` or `Forbidden`.
        reason: &'static str,
        /// What a person reads.
        message: String,
        /// The fields that are wrong, if the refusal is about fields.
        causes: Findings,
    },
}

/// The answer to a [`Review`].
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// Pass or refuse.
    pub outcome: Outcome,
    /// Shown to the client as `Warning: …`, also when the request passes.
    pub warnings: Vec<String>,
    /// Recorded in the API server's audit log; keys are qualified there with the webhook's name.
    pub audit: BTreeMap<String, String>,
    /// Which of our rules decided, such as `hold`: a label of the metric and a field of the decision log, so
    /// from a fixed set. None where nothing had to be decided.
    pub rules: BTreeSet<&'static str>,
}

impl Verdict {
    /// Passes the request as it is.
    #[must_use]
    pub fn allow() -> Self {
        Self::allow_with(Vec::new())
    }

    /// Passes the request after `patch`.
    #[must_use]
    pub fn allow_with(patch: Vec<PatchOperation>) -> Self {
        Self::from(Outcome::Allow { patch })
    }

    /// Refuses the request by `rule`, because the user may not do this now (`403 Forbidden`).
    #[must_use]
    pub fn forbid(rule: &'static str, message: impl Into<String>) -> Self {
        let (message, causes) = (message.into(), Vec::new());
        Self::from(Outcome::Deny { code: 403, reason: "Forbidden", message, causes }).by(rule)
    }

    /// Refuses the request by `rule`, because fields of it are wrong (`422 Invalid`); the message lists them all.
    #[must_use]
    pub fn invalid(rule: &'static str, causes: Findings) -> Self {
        let message = causes.iter().map(Finding::to_string).collect::<Vec<_>>().join("; ");
        Self::from(Outcome::Deny { code: 422, reason: "Invalid", message, causes }).by(rule)
    }

    /// Says that `rule` decided, too.
    #[must_use]
    pub fn by(mut self, rule: &'static str) -> Self {
        self.rules.insert(rule);
        self
    }

    /// Whether the request passes.
    #[must_use]
    pub const fn is_allowed(&self) -> bool {
        matches!(self.outcome, Outcome::Allow { .. })
    }
}

impl From<Outcome> for Verdict {
    /// A verdict without warnings, audit annotations and rules.
    fn from(outcome: Outcome) -> Self {
        Self { outcome, warnings: Vec::new(), audit: BTreeMap::new(), rules: BTreeSet::new() }
    }
}
