//! What a profile says of a rollout that is about to start. Admission has judged its plan, but templates, the profile
//! and the time may be others by now.

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
pub struct Start<'a> {
    /// The plan that is to be frozen; `None` for a retry, whose plan is.
    pub spec: Option<&'a RolloutSpec>,
    /// The pod template.
    pub template: &'a Value,
    /// What the plan was read from.
    pub settings: &'a Settings,
    /// What providers need not be told.
    pub providers: &'a Defaults,
    /// What admission has written down of who released it, see [`exemption`].
    pub exemption: Option<&'a str>,
    /// The time.
    pub now: Timestamp,
}

impl Start<'_> {
    /// Whether the whole profile of this `name` does not hold for who released it.
    #[must_use]
    pub fn is_exempt(&self, name: &str) -> bool {
        self.exemption == Some(exemption(name, None).as_str())
    }

    /// Why the profile of this `name` does not let it start.
    #[must_use]
    pub fn objection(&self, profile: &Profile, name: &str) -> Option<String> {
        if self.is_exempt(name) {
            return None;
        }
        let dry_starts = self.spec.map(dry_starts).unwrap_or_default();
        let subject = Subject {
            // The user who released it is not known any more; an exemption was written down.
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
        let told = profile.check(&subject).into_iter().map(|violation| {
            format!("{} (policy {name}, rule {})", self.settings.locate(violation.finding), violation.rule)
        });
        let told: Vec<String> = told.collect();
        (!told.is_empty()).then(|| told.join("; "))
    }
}
