//! A `ConfigMap` that is created or updated. A policy profile, an analysis template or a routing of notifications must be
//! valid.

use super::{AdmitConfig, object::Object, rules};
use crate::{
    config::{profile::read_profile, stored::read_template},
    domain::{
        keys,
        review::{Review, Verdict},
    },
    notify::{self, Routing},
    objects::marks::is_ours_raw,
};

/// See the module.
#[derive(Debug, Clone, Copy)]
pub struct ConfigMapRequest<'a> {
    name: &'a str,
    object: Object<'a>,
    config: &'a AdmitConfig,
}

impl<'a> ConfigMapRequest<'a> {
    /// The request, if it is one.
    #[must_use]
    pub(super) fn read(review: &'a Review, config: &'a AdmitConfig) -> Option<Self> {
        let is_map = review.group.is_empty() && review.kind == "ConfigMap";
        let object = Object(review.object.as_ref().filter(|_| is_map)?);
        Some(Self { name: &review.name, object, config })
    }

    /// Nothing needs to be looked up.
    #[must_use]
    pub(super) fn decide(self) -> Verdict {
        let (labels, data) = (self.object.labels(), self.object.map("/data", ""));
        let is_marked = |label| labels.get(label).is_some_and(|value| value == "true");
        let mut verdict = Verdict::allow();
        if is_marked(keys::POLICY) {
            match read_profile(&data) {
                Ok(_) => verdict = verdict.by(rules::PROFILE),
                Err(findings) => return Verdict::invalid(rules::PROFILE, findings),
            }
        }
        if is_marked(keys::TEMPLATE_LABEL) {
            match read_template(self.name, &data, "data") {
                Ok(_) => verdict = verdict.by(rules::TEMPLATE),
                Err(findings) => return Verdict::invalid(rules::TEMPLATE, findings),
            }
        }
        // The record of a Deployment `notifications` has the same name.
        if self.name == notify::CONFIG_MAP && !is_ours_raw(self.object.0) {
            let hosts = self.config.hosts.of_notifications();
            match Routing::read(&data).map(|routing| routing.refused(&hosts)) {
                Ok(refused) if refused.is_empty() => verdict = verdict.by(rules::NOTIFICATIONS),
                Ok(findings) | Err(findings) => return Verdict::invalid(rules::NOTIFICATIONS, findings),
            }
        }
        verdict
    }
}
