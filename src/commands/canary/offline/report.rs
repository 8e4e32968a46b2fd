//! Decisions as text, JSON and SARIF.

use super::Decision;
use crate::domain::review::Outcome;
use serde_json::{Value, json};

/// The whole decisions, as `kubectl apply --dry-run=server` shows them.
#[must_use]
pub fn plan(decisions: &[Decision]) -> String {
    let of = |decision: &Decision| {
        let (file, object) = (&decision.file, &decision.object);
        let refusal = match &decision.verdict.outcome {
            Outcome::Deny { message, .. } => Some(format!("  refused: {message}")),
            Outcome::Allow { .. } => None,
        };
        let is_silent = !decision.concerns_haldane && object.starts_with("Deployment ");
        let unmanaged = is_silent.then(|| "  not managed by Haldane".to_owned());
        let lines: Vec<String> = refusal
            .into_iter()
            .chain(unmanaged)
            .chain(decision.verdict.warnings.iter().map(|warning| format!("  {warning}")))
            .collect();
        if lines.is_empty() { String::new() } else { format!("{object} ({file})\n{}\n", lines.join("\n")) }
    };
    decisions.iter().map(of).collect()
}

/// Each refusal and each warning, by field where it is about one.
#[must_use]
pub fn problems(decisions: &[Decision]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for Decision { file, object, verdict, .. } in decisions {
        let problem = |is_error, rule: &str, message: String| Problem {
            file: file.clone(),
            object: object.clone(),
            rule: rule.to_owned(),
            is_error,
            message,
        };
        if let Outcome::Deny { message, causes, .. } = &verdict.outcome {
            let rule = verdict.rules.iter().next().copied().unwrap_or("refused");
            if causes.is_empty() {
                problems.push(problem(true, rule, message.clone()));
            }
            problems.extend(causes.iter().map(|cause| problem(true, rule, cause.to_string())));
        }
        problems.extend(verdict.warnings.iter().map(|warning| problem(false, "advice", warning.clone())));
    }
    problems
}

/// What `lint` reports.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// The file.
    pub file: String,
    /// The object.
    pub object: String,
    /// The rule of admission that decides.
    pub rule: String,
    /// Admission would refuse the object.
    pub is_error: bool,
    /// What is wrong, and what to do.
    pub message: String,
}

/// Problems in the Static Analysis Results Interchange Format, version 2.1.0, as code hosts read it.
#[must_use]
pub fn sarif(problems: &[Problem]) -> Value {
    let result = |problem: &Problem| {
        let level = if problem.is_error { "error" } else { "warning" };
        json!({
            "ruleId": problem.rule, "level": level,
            "message": {"text": format!("{}: {}", problem.object, problem.message)},
            "locations": [{"physicalLocation": {"artifactLocation": {"uri": problem.file}}}],
        })
    };
    let driver = json!({"name": "kubectl-canary", "version": env!("CARGO_PKG_VERSION")});
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "results": problems.iter().map(result).collect::<Vec<_>>()}],
    })
}
