//! A dry run of a release tries the plan's queries on stable: which value they have now, and whether they find any
//! series.
//!
//! Anybody who can reach the webhook's port can forge a review. So a dry run queries only the Prometheus of the
//! installation, and the hosts that the installation allows for metrics by name.

use super::{
    AdmitConfig,
    examine::Examined,
    kubectl_warnings,
    plan_review::{advice::distinct, hosts},
};
use crate::{
    config::{
        dry_start::{CANARY_HASH, STABLE_HASH},
        rehearsal::{Question, question},
    },
    domain::{metric::ProviderRef, value::MetricValue},
    promql::sight::UNKNOWN,
};
use serde_json::Value;
use url::Url;

/// The most metrics that one dry run tries.
const MAX_METRICS: usize = 10;

/// A metric to try.
#[derive(Debug, Clone, PartialEq)]
pub struct Rehearsal {
    /// Name of the metric.
    metric: String,
    question: Question,
    /// The provider, and what to ask it.
    pub provider: ProviderRef,
}

/// The metrics that a dry run of a release tries, and warnings about those that it does not.
#[must_use]
pub(super) fn rehearsals(examined: &Examined, config: &AdmitConfig) -> (Vec<Rehearsal>, Vec<String>) {
    let (mut wanted, mut warnings) = (Vec::new(), Vec::new());
    let metrics =
        examined.dry_starts.iter().flat_map(|dry_start| &dry_start.metrics).map(|metric| &metric.spec);
    for spec in distinct(metrics) {
        let Some(mut question) = question(spec, &examined.report.marks) else { continue };
        question.config = without_hashes(&question.config);
        question.selectors = question.selectors.iter().map(|selector| of_any_hash(selector)).collect();
        let text = question.config.to_string();
        let provider = ProviderRef { key: spec.provider.key.clone(), config: question.config.clone() };
        let name = &spec.name;
        if text.contains(UNKNOWN) || text.contains("{{") {
            warnings.push(format!(
                "metric {name:?} is not tried now, but on stable when the release starts: some of its arguments are known only then"
            ));
        } else if !may_be_asked(&provider, config) {
            warnings.push(format!(
                "metric {name:?} is not tried now, but on stable when the release starts: a dry run queries only the installation's own Prometheus (--prometheus-address) and hosts that --metric-hosts-allowed names"
            ));
        } else if wanted.len() < MAX_METRICS {
            wanted.push(Rehearsal { metric: name.clone(), question, provider });
        }
    }
    (wanted, distinct(warnings))
}

/// The hashes are known only when the release starts, so a dry run matches any.
fn without_hashes(config: &Value) -> Value {
    match config {
        Value::String(text) => Value::String(of_any_hash(text)),
        Value::Object(fields) => fields
            .iter()
            .map(|(key, value)| (key.clone(), without_hashes(value)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        other => other.clone(),
    }
}

fn of_any_hash(query: &str) -> String {
    [CANARY_HASH, STABLE_HASH].iter().fold(query.to_owned(), |text, hash| {
        text.replace(&format!("=\"{hash}\""), "=~\".+\"").replace(hash, "[a-z0-9]+")
    })
}

/// Whether a dry run may query these hosts.
fn may_be_asked(provider: &ProviderRef, config: &AdmitConfig) -> bool {
    let own = config.providers.prometheus_address.as_deref().and_then(|address| Url::parse(address).ok());
    let place = |url: &Url| (url.host_str().map(str::to_owned), url.port_or_known_default());
    let is_own = |url: &Url| own.as_ref().is_some_and(|own| place(own) == place(url));
    let narrowed = !config.hosts.allowed.is_empty();
    let addresses = hosts::addresses(provider, &config.providers);
    addresses.iter().all(|address| {
        address.as_ref().is_ok_and(|url| is_own(url) || (narrowed && config.hosts.check(url).is_ok()))
    })
}

impl Rehearsal {
    /// The result, as warnings.
    #[must_use]
    pub fn warnings(&self, answer: &Result<MetricValue, String>) -> Vec<String> {
        let name = &self.metric;
        kubectl_warnings::lines([match answer {
            Err(why) => format!("plan: metric {name:?} could not be tried on stable: {why}"),
            Ok(value) if !self.question.is_seen(value) => self.question.problem(name),
            Ok(value) => match Question::value(value) {
                Some(now) => format!("plan: on stable, metric {name:?} is {now} now"),
                None => format!("plan: on stable, metric {name:?} has series, but no value now"),
            },
        }])
    }
}
