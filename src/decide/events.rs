//! Events on the user's Deployment, with Argo Rollouts' reasons and messages.
//!
//! Source of the texts: argo-rollouts `utils/conditions/conditions.go`.

/// What a person can do after an undecided verdict.
pub(super) const AFTER_VERDICT: &str =
    "continue with haldane.dev/do=resume or end it with haldane.dev/do=abort";
/// What a person can do where the queries of an analysis do not work on stable.
pub(super) const AFTER_REHEARSAL: &str = "haldane.dev/do=resume rehearses again, haldane.dev/do=promote continues without it, haldane.dev/do=abort ends it";
/// What a person can do while a metric has no data.
pub(super) const WITHOUT_EVIDENCE: &str = "it continues as soon as there is data, haldane.dev/do=promote continues without it, haldane.dev/do=abort ends it";

/// What people read with `kubectl describe` and `kubectl events`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Normal or Warning.
    pub type_: EventType,
    /// A stable word for filters and alerts.
    pub reason: &'static str,
    /// For people.
    pub message: String,
}

/// Kubernetes' two types of Event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventType {
    /// As planned.
    Normal,
    /// A person should look.
    Warning,
}

impl Event {
    /// An Event about something going as planned.
    pub fn normal(reason: &'static str, message: impl Into<String>) -> Self {
        Self { type_: EventType::Normal, reason, message: message.into() }
    }

    /// An Event that a person should look at.
    pub fn warning(reason: &'static str, message: impl Into<String>) -> Self {
        Self { type_: EventType::Warning, reason, message: message.into() }
    }
}
