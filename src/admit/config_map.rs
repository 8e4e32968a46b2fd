//! The verdict about a `ConfigMap` that is being written: a policy profile or an analysis template must be
//! readable.

use super::{object::Object, rules};
use crate::{
    config::{profile::read_profile, stored::read_template},
    domain::{
        keys,
        review::{Review, Verdict},
    },
};

/// The verdict; `None` when the request is about something else.
pub(super) fn verdict(review: &Review) -> Option<Verdict> {
    let is_map = review.group.is_empty() && review.kind == "ConfigMap";
    let object = Object(review.object.as_ref().filter(|_| is_map)?);
    let (labels, data) = (object.labels(), object.map("/data", ""));
    let is_marked = |label| labels.get(label).is_some_and(|value| value == "true");
    let mut verdict = Verdict::allow();
    if is_marked(keys::POLICY) {
        match read_profile(&data) {
            Ok(_) => verdict = verdict.by(rules::PROFILE),
            Err(findings) => return Some(Verdict::invalid(rules::PROFILE, findings)),
        }
    }
    if is_marked(keys::TEMPLATE_LABEL) {
        match read_template(&review.name, &data, "data") {
            Ok(_) => verdict = verdict.by(rules::TEMPLATE),
            Err(findings) => return Some(Verdict::invalid(rules::TEMPLATE, findings)),
        }
    }
    Some(verdict)
}
