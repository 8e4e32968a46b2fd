//! A trial of the canary's objects: the API server is asked to create them in a dry run, so that what its policies,
//! webhooks and quotas do not accept is known when a release is applied, and not only when its canary starts.

use crate::admit::{deployment::DeploymentRequest, facts::Facts, kubectl_warnings, report::Report, rules};
use crate::{
    config::annotations::path,
    document::finding::Finding,
    domain::{
        k8s::{json_pointer::part, label_rewrite::LabelRewrite},
        keys,
        observed::Observed,
        review::Verdict,
        state::Traffic,
        strategy::CanaryStrategy,
        troubles::{DENIED, FORBIDDEN, QUOTA, advice_on},
    },
    objects::{
        manifest::{Manifest, Owner},
        pair::Pair,
    },
    routers::{self, traffic},
};
use serde_json::Value;

/// The objects to create in a dry run.
#[derive(Debug)]
pub struct Trial {
    /// Name of the Deployment.
    deployment: String,
    /// The objects.
    pub objects: Vec<Manifest>,
}

/// What the API server says of one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It would accept it.
    Accepted,
    /// It would not, with this code and in these words.
    Refused(u16, String),
    /// Nothing that could be read, or nothing in time.
    None,
}

/// What an answer is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Weight {
    /// It says nothing about the release.
    Nothing,
    /// It may be another when the canary starts.
    Doubt,
    /// The canary cannot start.
    Certain,
}

impl Trial {
    /// The objects of the release's canary, at weight 0. `None` where it is not known what they would be.
    #[must_use]
    pub fn of(
        write: &DeploymentRequest<'_>,
        strategy: &CanaryStrategy,
        rewrite: &LabelRewrite,
        facts: &Facts,
    ) -> Option<Self> {
        let (world, old) = (&facts.neighbours.as_ref().ok()?.world, write.old?);
        let uid = part(old.0, "/metadata/uid").and_then(Value::as_str)?;
        let seen = Observed {
            deployment: serde_json::from_value(write.new.0.clone()).ok()?,
            template: write.new.template().clone().into(),
            world: world.clone(),
            ..Observed::default()
        };
        let owner = Owner {
            name: write.review.name.clone(),
            namespace: write.review.namespace.clone(),
            uid: uid.to_owned(),
        };
        let by_pods = routers::by_pods(strategy);
        let pair = Pair { seen: &seen, owner: &owner, strategy, rewrite, by_pods };
        let nothing = Traffic::none(write.now);
        let mut objects = pair.objects(1, &nothing);
        objects.extend(traffic::desired(&pair, &nothing));
        Some(Self { deployment: owner.name, objects })
    }

    /// The verdict on the release, with what the API server says of each object.
    #[must_use]
    pub fn conclude(&self, verdict: Verdict, answers: &[Answer]) -> Verdict {
        let mut report =
            Report { rules: verdict.rules.clone(), audit: verdict.audit.clone(), ..Report::default() };
        for (object, answer) in self.objects.iter().zip(answers) {
            let Answer::Refused(code, message) = answer else { continue };
            let advice = advice_on(message).map(|advice| format!("; {advice}")).unwrap_or_default();
            match weight(*code, message) {
                Weight::Nothing => {}
                Weight::Doubt => report.warnings.push(format!(
                    "the canary needs {} {:?}, which the API server would not accept now: {message}{advice}",
                    object.kind, object.name
                )),
                Weight::Certain => {
                    let problem = format!(
                        "the API server does not accept this object, which the canary needs: {message}{advice}"
                    );
                    let place = format!("{} {}", object.kind, object.name);
                    report.findings.push(Finding::new(path(keys::CANARY), place, problem));
                }
            }
        }
        if !report.findings.is_empty() {
            report.warnings.clear();
            report.rules.insert(rules::PLAN);
            return report.refuse(&self.deployment);
        }
        if answers.contains(&Answer::None) {
            report.warnings.push(
                "not every object of the canary was tried: the API server gave no answer in time".to_owned(),
            );
        }
        let mut warnings = verdict.warnings;
        warnings.extend(kubectl_warnings::lines(report.warnings));
        Verdict { warnings, ..verdict }
    }
}

/// What does not exist before the canary starts, such as the Service behind its route, may be missed by a webhook.
const MISSING: [&str; 2] = ["not found", "does not exist"];

/// A denial that a policy or the API server's own validation decides by the object is the same when the canary starts. A
/// quota may be free then, a webhook may be back, and rights may be given.
fn weight(code: u16, message: &str) -> Weight {
    let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
    let is_unknown = says(&["does not support dry run", "being terminated"]) || matches!(code, 404 | 409);
    // A webhook chooses the code of its denial itself.
    let is_denied = DENIED.is_in(message) && (400..500).contains(&code);
    let is_by_chance = QUOTA.is_in(message) || FORBIDDEN.is_in(message) || says(&MISSING);
    match (is_unknown, is_denied || matches!(code, 403 | 422)) {
        (true, _) => Weight::Nothing,
        (false, true) if !is_by_chance => Weight::Certain,
        _ => Weight::Doubt,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_policy_or_a_validation_decides_is_certain() {
        for (code, message, expected) in [
            (422, "Service \"web-canary\" is invalid: spec.ports: Required value", Weight::Certain),
            (
                403,
                "ValidatingAdmissionPolicy 'team' with binding 'team' denied request: no team",
                Weight::Certain,
            ),
            (400, "admission webhook \"x\" denied the request: host is taken", Weight::Certain),
            (403, "pods \"x\" is forbidden: violates PodSecurity \"restricted:latest\"", Weight::Certain),
            (
                403,
                "services \"web-canary\" is forbidden: exceeded quota: q, used: 1, limited: 1",
                Weight::Doubt,
            ),
            (403, "services is forbidden: User \"h\" cannot create resource \"services\"", Weight::Doubt),
            (500, "Internal error occurred: failed calling webhook \"x\": connection refused", Weight::Doubt),
            (500, "admission webhook \"x\" denied the request: internal", Weight::Doubt),
            (400, "admission webhook \"x\" denied the request: Service web-canary not found", Weight::Doubt),
            (429, "too many requests", Weight::Doubt),
            (400, "admission webhook \"x\" does not support dry run", Weight::Nothing),
            (409, "services \"web-canary\" already exists", Weight::Nothing),
            (404, "the server could not find the requested resource", Weight::Nothing),
            (
                403,
                "unable to create new content in namespace x because it is being terminated",
                Weight::Nothing,
            ),
        ] {
            assert_eq!(weight(code, message), expected, "{code} {message}");
        }
    }
}
