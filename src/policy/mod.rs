//! L1: what an installation demands of releases. Profiles are documents; a namespace's labels bind them.
//!
//! A rule says what is wrong and never what follows from it: whether a violation refuses, warns or is only
//! written down is the mode under which the namespace has bound the profile. A new rule is its file and one
//! line in [`RULES`].

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

/// A demand on releases, as a profile states it.
#[derive(Debug)]
pub struct Rule {
    /// Its name in a profile.
    pub id: &'static str,
    /// What it demands, for the reference page.
    pub doc: &'static str,
    /// Its settings as they stand below its name.
    pub example: &'static str,
    /// Reads the settings.
    pub read: fn(Node<'_>) -> Option<Box<dyn Check>>,
}

/// A rule with its settings.
pub trait Check: Debug + Send + Sync {
    /// What is wrong with the subject: field, value, what is allowed and what to do.
    fn check(&self, subject: &Subject<'_>) -> Findings;

    /// What deserves a warning because the rule does not cover it.
    fn notes(&self, _subject: &Subject<'_>) -> Vec<String> {
        Vec::new()
    }

    /// How many canaries may run at once. Admission cannot know when there is room: the controller asks.
    fn limits(&self) -> Option<Limits> {
        None
    }

    /// The only hosts that metrics may be asked of. Arguments may make others of an address, so the connection asks.
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

/// What a profile looks at.
#[derive(Debug, Clone)]
pub struct Subject<'a> {
    /// Who asks.
    pub user: &'a User,
    /// When.
    pub now: Timestamp,
    /// What the request does.
    pub occasion: Occasion,
    /// Whether the Deployment is opted in.
    pub opted_in: bool,
    /// The plan; `None` where there is none or it could not be read, which is refused anyway.
    pub plan: Option<Plan<'a>>,
    /// The pod template.
    pub template: &'a Value,
    /// Whether an Ingress leads to the Deployment's pods.
    pub has_route: bool,
    /// Whether no user has met the version on trial yet, so that an order to go on starts its release.
    pub is_unexposed: bool,
    /// The user's reason to release in a freeze; only where the right to do so was confirmed.
    pub override_freeze: Option<&'a str>,
}

/// What a request does to the Deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occasion {
    /// It is made.
    Create,
    /// Its pod template changes.
    Release,
    /// Its pod template changes while no pod is ready: it starts without a canary.
    Native,
    /// It is made where pods of another template run, and nothing holds it.
    Takeover,
    /// Its rollout starts, some time after admission.
    Start,
    /// Its pods are replaced by pods of the same template, natively.
    Restart,
    /// Its plan changes.
    Configure,
    /// It opts out.
    OptOut,
    /// An order is given.
    Order(Verb),
}

impl Occasion {
    /// Whether another pod template comes to run.
    #[must_use]
    pub const fn releases(self) -> bool {
        matches!(self, Self::Release | Self::Native | Self::Takeover | Self::Start)
    }
}

/// What admission writes on a Deployment, for the controller, about the user who has released it: the profile that does
/// not hold for that user, or the one rule of it that does not.
#[must_use]
pub fn exemption(profile: &str, rule: Option<&str>) -> String {
    // A profile's name is a label's value, which has no `/`.
    rule.map_or_else(|| profile.to_owned(), |rule| format!("{profile}/{rule}"))
}

/// A plan as rules see it.
#[derive(Debug, Clone)]
pub struct Plan<'a> {
    /// Steps and settings.
    pub strategy: &'a CanaryStrategy,
    /// How long each step waits, by index.
    pub waits: Vec<Wait>,
    /// Every metric of every analysis.
    pub metrics: Vec<PlannedMetric<'a>>,
}

/// What a step waits for at least.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// A person.
    Person,
    /// Time.
    Time(SignedDuration),
}

/// A metric of a plan, its arguments filled in.
#[derive(Debug, Clone)]
pub struct PlannedMetric<'a> {
    /// Where it is written.
    pub path: &'a str,
    /// What it says.
    pub spec: &'a MetricSpec,
    /// Whether it is measured without a say in the verdict.
    pub is_dry_run: bool,
    /// Whether its provider judges by itself, without a condition.
    pub has_verdict: bool,
    /// The hosts that will be asked; the whole address where a secret argument stands in it.
    pub hosts: Vec<Result<Host, String>>,
}

impl Subject<'_> {
    /// The plan, where the request makes it or starts it.
    #[must_use]
    pub fn judged_plan(&self) -> Option<&Plan<'_>> {
        let plans = matches!(self.occasion, Occasion::Create | Occasion::Configure);
        self.plan.as_ref().filter(|_| plans || self.occasion.releases())
    }
}

/// What follows from a violation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, strum::Display, strum::EnumIter)]
#[strum(serialize_all = "lowercase")]
pub enum Mode {
    /// The request is refused.
    Enforce,
    /// The user is told.
    Warn,
    /// It is written into the API server's audit log.
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

/// The profiles that a namespace's labels bind, strictest mode first.
#[must_use]
pub fn bound(labels: &Labels) -> Vec<(Mode, &str)> {
    let modes = [Mode::Enforce, Mode::Warn, Mode::Audit].into_iter();
    modes.filter_map(|mode| Some((mode, labels.get(mode.label())?.as_str()))).collect()
}

#[cfg(test)]
mod tests;
