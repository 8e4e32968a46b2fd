//! A Namespace that is created or updated. Its label and its defaults for Deployments must be valid.

use super::{
    AdmitConfig,
    facts::{Facts, Questions},
    kubectl_warnings,
    object::Object,
    rules,
};
use crate::{
    config::{declared_plan::DeclaredPlan, namespace::Namespace},
    document::finding::Findings,
    domain::{
        keys,
        review::{Review, Verdict},
        strategy::TemplateRef,
    },
    routers,
};

/// See the module.
#[derive(Debug)]
pub struct NamespaceRequest<'a> {
    old: Option<Object<'a>>,
    namespace: Namespace,
    defaults: Result<DeclaredPlan, Findings>,
}

impl<'a> NamespaceRequest<'a> {
    /// The request, if it is one.
    #[must_use]
    pub(super) fn read(review: &'a Review, config: &AdmitConfig) -> Option<Self> {
        if !review.group.is_empty() || review.kind != "Namespace" {
            return None;
        }
        let (old, new) = (review.old_object.as_ref().map(Object), Object(review.object.as_ref()?));
        let namespace = Namespace::new(&review.name, &config.own_namespace, new.labels(), new.annotations());
        let defaults = namespace.check(&config.defaults);
        Some(Self { old, namespace, defaults })
    }

    /// The templates that its defaults name.
    #[must_use]
    pub(super) fn questions(&self) -> Questions {
        let templates = self.defaults.as_ref().map(DeclaredPlan::references).unwrap_or_default();
        Questions { templates, ..Questions::default() }
    }

    #[must_use]
    pub(super) fn decide(self, facts: &Facts) -> Verdict {
        let (findings, mut warnings) = match self.defaults {
            Ok(declared) => complete(declared, facts),
            Err(findings) => (findings, Vec::new()),
        };
        if !findings.is_empty() {
            return Verdict::invalid(rules::NAMESPACE, findings);
        }
        if self.namespace.has_no_effect() {
            warnings.push(format!(
                "annotations {}… of a Namespace are defaults for the Deployments that it opts in, but it has no label {}: enabled, so they have no effect; add the label, or remove the annotations",
                keys::PREFIX,
                keys::CANARY
            ));
        }
        let was_labelled = self.old.is_some_and(|old| old.labels().contains_key(keys::CANARY));
        if self.namespace.opts_in() && !was_labelled {
            warnings.push(format!(
                "from its next release on, each Deployment of this Namespace that an {} routes to is released by canary; to opt one out, annotate it with {}: disabled",
                routers::routes(None),
                keys::CANARY
            ));
        }
        let verdict = Verdict::allow().by(rules::NAMESPACE);
        Verdict { warnings: kubectl_warnings::lines(warnings), ..verdict }
    }
}

/// The findings of the plan as a whole, and warnings about missing templates: they are often created after the
/// Namespace, and each release looks for them again.
fn complete(declared: DeclaredPlan, facts: &Facts) -> (Findings, Vec<String>) {
    let missing = |reference: &TemplateRef| match &facts.templates {
        Ok(found) if found.contains_key(reference) => None,
        Ok(_) => Some(format!(
            "analysis template {:?} does not exist yet; create it before the next release",
            reference.name
        )),
        Err(why) => Some(format!("analysis template {:?} was not checked: {why}", reference.name)),
    };
    let warnings: Vec<String> = declared.references().iter().filter_map(missing).collect();
    match &facts.templates {
        Ok(found) if warnings.is_empty() => (declared.complete(found).err().unwrap_or_default(), warnings),
        _ => (Findings::new(), warnings),
    }
}
