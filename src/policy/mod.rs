//! Policy: what an administrator requires of releases. A profile is a document with rules; the labels of a
//! namespace bind it.
//!
//! A rule reports what is wrong and not what follows from it: the mode in which the namespace binds the profile
//! decides whether a violation denies the request, warns or is only audited. A new rule is one file and one line in
//! [`RULES`].

mod allowed_verbs;
mod canary_required;
mod concurrent_canaries;
mod first_weight;
mod freeze;
mod metric_hosts;
mod minimum_samples;
mod minimum_soak;
mod pod_template;
pub mod profile;
mod required_evidence;
mod required_metrics;
mod restart_is_canary;
mod weight_increase;

pub use concurrent_canaries::Limits;
pub use freeze::FREEZE;

use crate::{
    document::{fields::Node, finding::Findings},
    domain::{
        hosts::Hosts, k8s::selector::Labels, keys, metric::MetricSpec, request::Verb, review::User,
        strategy::CanaryStrategy,
    },
};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use std::fmt::Debug;
use url::Host;

/// A requirement for releases.
#[derive(Debug)]
pub struct Rule {
    /// Its key in a profile.
    pub id: &'static str,
    /// What it requires, for the reference page.
    pub doc: &'static str,
    /// An example of its settings, as below its key.
    pub example: &'static str,
    /// Reads the settings.
    pub read: fn(Node<'_>) -> Option<Box<dyn Check>>,
}

/// A rule with its settings.
pub trait Check: Debug + Send + Sync {
    /// What is wrong with the subject: field, value, what is allowed and what to do next.
    fn check(&self, subject: &Subject<'_>) -> Findings;

    /// Warnings about what the rule does not cover.
    fn notes(&self, _subject: &Subject<'_>) -> Vec<String> {
        Vec::new()
    }

    /// How many canaries may run at the same time. Admission cannot know when another one ends, so the controller asks.
    fn limits(&self) -> Option<Limits> {
        None
    }

    /// The only hosts that metrics may query. Arguments can change an address, so each connection checks them.
    fn metric_hosts(&self) -> Option<&[Hosts]> {
        None
    }
}

/// Every rule, in the order of the reference page.
pub static RULES: &[&Rule] = &[
    &canary_required::RULE,
    &first_weight::RULE,
    &weight_increase::RULE,
    &minimum_soak::RULE,
    &required_metrics::RULE,
    &required_evidence::RULE,
    &minimum_samples::RULE,
    &metric_hosts::RULE,
    &freeze::RULE,
    &concurrent_canaries::RULE,
    &allowed_verbs::RULE,
    &pod_template::RULE,
    &restart_is_canary::RULE,
];

/// What a profile checks.
#[derive(Debug, Clone)]
pub struct Subject<'a> {
    /// The user.
    pub user: &'a User,
    /// The time.
    pub now: Timestamp,
    /// The change that the request makes.
    pub occasion: Occasion,
    /// Whether the Deployment is opted in.
    pub opted_in: bool,
    /// The plan; `None` if there is none, or if it could not be read, which is an error of its own.
    pub plan: Option<Plan<'a>>,
    /// The pod template.
    pub template: &'a Value,
    /// Whether a route of the user goes to the pods of the Deployment.
    pub has_route: bool,
    /// Whether no user has received the canary version yet, so that an order to continue starts its release.
    pub is_unexposed: bool,
    /// The user's reason to release in a freeze; only if the user has the right to do so.
    pub override_freeze: Option<&'a str>,
}

/// The change that a request makes to the Deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occasion {
    /// It is created.
    Create,
    /// Its pod template changes.
    Release,
    /// Its pod template changes while no pod is ready: it starts without a canary.
    Native,
    /// It is created where pods of another template run, and is not held.
    Takeover,
    /// Its rollout starts, at some time after admission.
    Start,
    /// Its pods are replaced natively by pods of the same template.
    Restart,
    /// Its plan changes.
    Configure,
    /// It opts out.
    OptOut,
    /// An order is given.
    Order(Verb),
}

impl Occasion {
    /// Whether pods of another template will run.
    #[must_use]
    pub const fn releases(self) -> bool {
        matches!(self, Self::Release | Self::Native | Self::Takeover | Self::Start)
    }
}

/// What admission writes on a Deployment for the controller: the profile, or the one rule of it, that does not
/// apply to the user who made the release.
#[must_use]
pub fn exemption(profile: &str, rule: Option<&str>) -> String {
    // A profile's name is a label's value, which has no `/`.
    rule.map_or_else(|| profile.to_owned(), |rule| format!("{profile}/{rule}"))
}

/// What rules check of a plan.
#[derive(Debug, Clone)]
pub struct Plan<'a> {
    /// Steps and settings.
    pub strategy: &'a CanaryStrategy,
    /// How long each step waits, by index.
    pub waits: Vec<Wait>,
    /// Every metric of every analysis.
    pub metrics: Vec<PlannedMetric<'a>>,
}

/// The minimum wait of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// A person.
    Person,
    /// Time.
    Time(SignedDuration),
}

/// A metric of a plan, with its arguments substituted.
#[derive(Debug, Clone)]
pub struct PlannedMetric<'a> {
    /// Its field path.
    pub path: &'a str,
    /// Its specification.
    pub spec: &'a MetricSpec,
    /// Whether it is in dry run and cannot fail the analysis.
    pub is_dry_run: bool,
    /// Whether its provider gives a verdict without conditions.
    pub has_verdict: bool,
    /// The hosts that it queries; the whole address if it contains a secret argument.
    pub hosts: Vec<Result<Host, String>>,
}

impl Subject<'_> {
    /// The plan, if the request sets or starts it.
    #[must_use]
    pub fn judged_plan(&self) -> Option<&Plan<'_>> {
        let plans = matches!(self.occasion, Occasion::Create | Occasion::Configure);
        self.plan.as_ref().filter(|_| plans || self.occasion.releases())
    }
}

/// What a violation causes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, strum::Display, strum::EnumIter)]
#[strum(serialize_all = "lowercase")]
pub enum Mode {
    /// The request is denied.
    Enforce,
    /// The user gets a warning.
    Warn,
    /// It is recorded in the audit log of the API server.
    Audit,
}

impl Mode {
    /// The namespace label that binds a profile in this mode.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Enforce => keys::ENFORCE,
            Self::Warn => keys::WARN,
            Self::Audit => keys::AUDIT,
        }
    }
}

/// The profiles that the labels of a namespace bind, strictest mode first.
#[must_use]
pub fn bound(labels: &Labels) -> Vec<(Mode, &str)> {
    let modes = [Mode::Enforce, Mode::Warn, Mode::Audit].into_iter();
    modes.filter_map(|mode| Some((mode, labels.get(mode.label())?.as_str()))).collect()
}

#[cfg(test)]
mod tests;
