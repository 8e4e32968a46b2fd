//! Records admission decisions: metrics for Prometheus, and a decision log for people.

use crate::{
    domain::review::{Outcome, Review, Stage, Verdict},
    runtime::metrics::{self, Metric},
};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::Registry,
};
use std::{collections::BTreeSet, net::IpAddr, time::Duration};
use tracing::{Span, debug, error_span, field::Empty, info};

/// Target of the decision log, for filters: `HALDANE_LOG=info,decisions=debug`.
const TARGET: &str = "decisions";

/// Counts decisions and writes the log.
#[derive(Debug)]
pub(super) struct DecisionLog {
    decisions: Family<DecisionLabels, Counter>,
    rules: Family<RuleLabels, Counter>,
    latency: Family<StageLabels, Histogram>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StageLabels {
    stage: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DecisionLabels {
    stage: &'static str,
    decision: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RuleLabels {
    stage: &'static str,
    decision: &'static str,
    rule: &'static str,
}

impl DecisionLog {
    /// Counts in `registry`.
    pub fn new(registry: &mut Registry) -> Self {
        let (decisions, rules) = (Family::default(), Family::default());
        let latency = Family::new_with_constructor(metrics::latencies as fn() -> Histogram);
        metrics::register(registry, Metric::AdmissionDecisions, decisions.clone());
        metrics::register(registry, Metric::AdmissionRules, rules.clone());
        metrics::register(registry, Metric::AdmissionDurationSeconds, latency.clone());
        Self { decisions, rules, latency }
    }

    /// A request got this verdict.
    pub fn decided(&self, stage: Stage, peer: IpAddr, review: &Review, verdict: &Verdict, took: Duration) {
        let decision = match &verdict.outcome {
            Outcome::Deny { .. } => "denied",
            Outcome::Allow { patch } if patch.is_empty() => "allowed",
            Outcome::Allow { .. } => "patched",
        };
        self.count(stage, decision, &verdict.rules);
        log(stage, peer, decision, review, verdict, took);
    }

    /// A request got no verdict.
    pub fn refused(&self, stage: Stage) {
        self.count(stage, "none", &BTreeSet::new());
    }

    /// A request took this time until its verdict or its HTTP error.
    pub fn took(&self, stage: Stage, time: Duration) {
        self.latency.get_or_create(&StageLabels { stage: stage.into() }).observe(time.as_secs_f64());
    }

    fn count(&self, stage: Stage, decision: &'static str, rules: &BTreeSet<&'static str>) {
        let stage = stage.into();
        self.decisions.get_or_create(&DecisionLabels { stage, decision }).inc();
        for rule in rules {
            self.rules.get_or_create(&RuleLabels { stage, decision, rule }).inc();
        }
    }
}

/// The span of a review, for the fields that its log lines have in common. It has the highest level, so that every filter
/// that passes a line also passes the fields.
pub(super) fn span(stage: Stage) -> Span {
    let stage = <&str>::from(stage);
    error_span!(
        "review",
        stage,
        uid = Empty,
        operation = Empty,
        kind = Empty,
        namespace = Empty,
        name = Empty
    )
}

/// Fills in the fields of the span once the review is read.
pub(super) fn is_about(span: &Span, review: &Review) {
    span.record("uid", review.uid.as_str());
    span.record("operation", <&str>::from(review.operation));
    span.record("kind", review.kind.as_str());
    span.record("namespace", review.namespace.as_str());
    span.record("name", review.name.as_str());
}

/// One line for each decision: the user, the object, and the rules that decided.
///
/// All of it is what the request claims, except `peer`: the claim is only as trustworthy as the process at that address.
///
/// Values of fields are left out, because a misplaced one may be a secret. Their paths are logged.
fn log(stage: Stage, peer: IpAddr, decision: &str, review: &Review, verdict: &Verdict, took: Duration) {
    let Review { uid, namespace, name, kind, operation, user, dry_run, .. } = review;
    let rules = list(verdict.rules.iter().copied());
    let (mut code, mut reason, mut message, mut fields) = (None, None, None, None);
    if let Outcome::Deny { code: status, reason: word, message: text, causes } = &verdict.outcome {
        (code, reason) = (Some(*status), Some(*word));
        if causes.is_empty() {
            message = Some(text.as_str());
        } else {
            fields = Some(list(causes.iter().map(|cause| cause.path.as_str())));
        }
    }
    macro_rules! write {
        ($level:ident) => {
            $level!(
                target: TARGET,
                stage = <&str>::from(stage),
                %peer,
                decision,
                rules,
                uid,
                namespace,
                name,
                kind,
                operation = <&str>::from(*operation),
                user = user.username,
                dry_run,
                code,
                reason,
                message,
                fields,
                warnings = verdict.warnings.len(),
                duration_ms = took.as_secs_f64() * 1e3,
            )
        };
    }
    if decision == "allowed" && verdict.rules.is_empty() { write!(debug) } else { write!(info) }
}

fn list<'a>(items: impl Iterator<Item = &'a str>) -> String {
    items.collect::<Vec<_>>().join(" ")
}
