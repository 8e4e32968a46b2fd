//! What is told about admission requests: metrics for Prometheus, and a decision log for people.

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

/// Target of the decision log, so that a filter can choose it: `HALDANE_LOG=info,decisions=debug`.
const TARGET: &str = "decisions";

/// Counters and times.
#[derive(Debug)]
pub(super) struct Record {
    decisions: Family<Decided, Counter>,
    rules: Family<Ruled, Counter>,
    latency: Family<Asked, Histogram>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Asked {
    stage: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Decided {
    stage: &'static str,
    decision: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ruled {
    stage: &'static str,
    decision: &'static str,
    rule: &'static str,
}

impl Record {
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

    /// A request was answered, or refused, after this time.
    pub fn took(&self, stage: Stage, time: Duration) {
        self.latency.get_or_create(&Asked { stage: stage.into() }).observe(time.as_secs_f64());
    }

    fn count(&self, stage: Stage, decision: &'static str, rules: &BTreeSet<&'static str>) {
        let stage = stage.into();
        self.decisions.get_or_create(&Decided { stage, decision }).inc();
        for rule in rules {
            self.rules.get_or_create(&Ruled { stage, decision, rule }).inc();
        }
    }
}

/// What log lines of one review have in common. Of the highest level, so that no filter that lets a line pass drops
/// what it is about.
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

/// The review has been read.
pub(super) fn is_about(span: &Span, review: &Review) {
    span.record("uid", review.uid.as_str());
    span.record("operation", <&str>::from(review.operation));
    span.record("kind", review.kind.as_str());
    span.record("namespace", review.namespace.as_str());
    span.record("name", review.name.as_str());
}

/// One line a decision: who wanted what with which object, and what decided; for every operator to see where
/// Haldane did something.
///
/// All of it is what the request claims. Only `peer` is known: the claim is as good as what stands at that address.
///
/// The values of fields stay out of it, for a mistaken one may hold a secret; their paths tell where it was.
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
