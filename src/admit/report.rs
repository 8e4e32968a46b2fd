//! What the parts of a review have found, in one form.

use super::{kubectl_warnings, rules};
use crate::{
    document::finding::Findings,
    domain::{
        k8s::selector::Labels,
        review::{Outcome, Verdict},
    },
    promql::sight::Mark,
};
use json_patch::PatchOperation;
use std::collections::{BTreeMap, BTreeSet};

/// What one part of a review has found, or all parts together.
#[derive(Debug, Default)]
pub struct Report {
    /// Reasons to refuse the request.
    pub findings: Findings,
    /// Shown to the user.
    pub warnings: Vec<String>,
    /// Recorded in the API server's audit log.
    pub audit: BTreeMap<String, String>,
    /// Rules that decided.
    pub rules: BTreeSet<&'static str>,
    /// What tells the two sides apart in Prometheus.
    pub marks: Vec<Mark>,
    /// Labels of the pods that have another value on canary pods, with that value.
    pub relabelled: Labels,
    /// The enforced profile that does not apply to the user.
    pub exempt: Option<String>,
}

impl Report {
    /// Adds what another part has found.
    pub fn extend(&mut self, other: Self) {
        // Without `..`, so that a new field is not forgotten here.
        let Self { findings, warnings, audit, rules, marks, relabelled, exempt } = other;
        self.findings.extend(findings);
        self.warnings.extend(warnings);
        self.audit.extend(audit);
        self.rules.extend(rules);
        self.marks.extend(marks);
        self.relabelled.extend(relabelled);
        self.exempt = self.exempt.take().or(exempt);
    }

    /// The verdict that lets the request pass after `patch`.
    #[must_use]
    pub fn allow(self, patch: Vec<PatchOperation>) -> Verdict {
        self.verdict(Verdict::allow_with(patch))
    }

    /// The refusal for the findings, naming the Deployment as Kubernetes' own validation does.
    #[must_use]
    pub fn refuse(mut self, name: &str) -> Verdict {
        let mut verdict = Verdict::invalid(rules::PLAN, std::mem::take(&mut self.findings));
        if let Outcome::Deny { message, .. } = &mut verdict.outcome {
            *message = format!("Deployment.apps {name:?} is invalid: {message}");
        }
        self.verdict(verdict)
    }

    fn verdict(self, verdict: Verdict) -> Verdict {
        let warnings = kubectl_warnings::lines(self.warnings);
        Verdict { warnings, audit: self.audit, rules: self.rules, ..verdict }
    }
}
