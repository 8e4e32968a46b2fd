//! The verdict about a Namespace that is being written: what it says must be readable.

use super::{Context, facts::Facts, kubectl_warnings, object::Object, rules};
use crate::{
    config::{annotations::DeclaredPlan, namespace::Namespace},
    document::finding::Findings,
    domain::{
        keys,
        review::{Review, Verdict},
        strategy::TemplateRef,
    },
};
use std::collections::BTreeSet;

/// The Namespace that a request writes; `None` when it is about something else.
fn written<'a>(review: &'a Review, own_namespace: &str) -> Option<(Namespace, Object<'a>)> {
    if !review.group.is_empty() || review.kind != "Namespace" {
        return None;
    }
    let object = Object(review.object.as_ref()?);
    Some((Namespace::new(&review.name, own_namespace, object.labels(), object.annotations()), object))
}

/// Templates that its defaults name.
pub(super) fn references(context: &Context<'_>) -> BTreeSet<TemplateRef> {
    let written = written(context.review, &context.config.own_namespace);
    let declared = written.and_then(|(namespace, _)| namespace.check(&context.config.defaults).ok());
    declared.map(|declared| declared.references()).unwrap_or_default()
}

/// The verdict; `None` when the request is about something else.
pub(super) fn verdict(context: &Context<'_>, facts: &Facts) -> Option<Verdict> {
    let (namespace, _) = written(context.review, &context.config.own_namespace)?;
    let (findings, mut warnings) = match namespace.check(&context.config.defaults) {
        Ok(declared) => complete(declared, facts),
        Err(findings) => (findings, Vec::new()),
    };
    if !findings.is_empty() {
        return Some(Verdict::invalid(rules::NAMESPACE, findings));
    }
    if namespace.speaks_in_vain() {
        warnings.push(format!(
            "annotations {}… of a Namespace are defaults for Deployments that it opts in, and it has no label {}: enabled",
            keys::PREFIX,
            keys::CANARY
        ));
    }
    let label = |object| Object(object).labels().remove(keys::CANARY);
    if namespace.opts_in() && context.review.old_object.as_ref().and_then(label).is_none() {
        warnings.push(format!(
            "from its next release on, each Deployment of this Namespace to which an Ingress leads takes a canary; the annotation {}: disabled keeps one out",
            keys::CANARY
        ));
    }
    let mut verdict = Verdict::allow().by(rules::NAMESPACE);
    verdict.warnings = kubectl_warnings::lines(warnings);
    Some(verdict)
}

/// What is wrong with the plan as a whole, and what may still come: templates are often made after the
/// Namespace, and each release looks for them again.
fn complete(declared: DeclaredPlan, facts: &Facts) -> (Findings, Vec<String>) {
    let missing = |reference: &TemplateRef| match &facts.templates {
        Ok(found) if found.contains_key(reference) => None,
        Ok(_) => Some(format!("analysis template {:?} does not exist yet; releases need it", reference.name)),
        Err(why) => Some(format!("analysis template {:?} was not checked: {why}", reference.name)),
    };
    let warnings: Vec<String> = declared.references().iter().filter_map(missing).collect();
    match &facts.templates {
        Ok(found) if warnings.is_empty() => (declared.complete(found).err().unwrap_or_default(), warnings),
        _ => (Findings::new(), warnings),
    }
}
