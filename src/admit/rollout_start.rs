//! Whether a profile lets a rollout start. Admission has checked its plan, but templates, the profile and the time may
//! have changed since.

use super::policy::plan;
use crate::{
    config::{dry_start::dry_starts, namespace::Settings},
    domain::{review::User, strategy::RolloutSpec},
    policy::{FREEZE, Occasion, Subject, exemption, profile::Profile},
    providers::Defaults,
};
use jiff::Timestamp;
use serde_json::Value;

/// A rollout that is about to start.
#[derive(Debug)]
pub struct RolloutStart<'a> {
    /// The plan that will be frozen; `None` for a retry, whose plan is already frozen.
    pub spec: Option<&'a RolloutSpec>,
    /// The pod template.
    pub template: &'a Value,
    /// What the plan was read from.
    pub settings: &'a Settings,
    /// What applies where a provider's configuration leaves a setting out.
    pub providers: &'a Defaults,
    /// The exemption that admission has recorded for the user who released it, see [`exemption`].
    pub exemption: Option<&'a str>,
    /// The time.
    pub now: Timestamp,
}

/// Whether a profile lets a rollout start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Permission {
    /// The profile does not apply to the user who released or retries it.
    Exempt,
    /// Every rule lets it start.
    Granted,
    /// Why it must wait.
    Denied(String),
}

impl RolloutStart<'_> {
    /// Whether the profile of this `name` lets it start.
    #[must_use]
    pub fn permission(&self, profile: &Profile, name: &str) -> Permission {
        // The user who released it is not known any more; admission has recorded an exemption.
        if self.exemption == Some(exemption(name, None).as_str()) {
            return Permission::Exempt;
        }
        let dry_starts = self.spec.map(dry_starts).unwrap_or_default();
        let subject = Subject {
            user: &User::default(),
            now: self.now,
            occasion: Occasion::Start,
            opted_in: true,
            plan: self.spec.map(|spec| plan(spec, &dry_starts, self.providers)),
            template: if self.spec.is_some() { self.template } else { &Value::Null },
            has_route: true,
            is_unexposed: true,
            override_freeze: self.exemption.filter(|exempt| *exempt == exemption(name, Some(FREEZE))),
        };
        let reasons = profile.check(&subject).into_iter().map(|violation| {
            format!("{} (policy {name}, rule {})", self.settings.locate(violation.finding), violation.rule)
        });
        let reasons: Vec<String> = reasons.collect();
        if reasons.is_empty() { Permission::Granted } else { Permission::Denied(reasons.join("; ")) }
    }
}
