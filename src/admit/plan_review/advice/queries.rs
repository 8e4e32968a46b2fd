//! What is wrong or unwise in the queries and conditions of metrics.

use super::distinct;
use crate::{
    analysis::condition,
    config::{
        dry_start::{DryMetric, DryStart, shown},
        queries::{ReadQuery, blind, counting_query, sight_of},
    },
    document::finding::{Finding, Findings},
    domain::value::ResultType,
    promql::{
        Problem, Query, ValueType, or_zero, parts,
        sight::{Mark, Sight, UNKNOWN, example},
        with_namespace,
    },
    providers,
};

/// What is wrong with metrics: refused, because every measurement would be an error, or about somebody else.
#[must_use]
pub fn faults(dry_starts: &[DryStart], marks: &[Mark]) -> Findings {
    let metrics = dry_starts.iter().flat_map(|dry_start| &dry_start.metrics);
    // The same template may run in several steps.
    distinct(metrics.flat_map(|metric| {
        let DryMetric { path, spec, queries, result, .. } = metric;
        let counted: Vec<ReadQuery> = counting_query(spec).into_iter().collect();
        let place = format!("{path}.provider.{}.query", spec.provider.key);
        let mut found = faults_of(&place, queries, marks);
        found.extend(queries.iter().filter_map(|query| unusable(&place, query, result)));
        found.extend(faults_of(&format!("{path}.minSamples.query"), &counted, marks));
        found.extend(misfits(metric));
        found
    }))
}

fn faults_of(place: &str, queries: &[ReadQuery], marks: &[Mark]) -> Findings {
    let readable = queries.iter().filter(|(text, _)| !is_open(text));
    let broken = readable.filter_map(|(text, query)| match query {
        Err(problem @ (Problem::Syntax(_) | Problem::Unknown(_))) => {
            Some((text.as_str(), problem.to_string()))
        }
        _ => None,
    });
    let first = queries.first().map_or("", |(text, _)| text);
    let blind = blind(queries, marks).map(|why| (first, why));
    broken.chain(blind).map(|(text, why)| Finding::new(place, shown(text), shown(&why))).collect()
}

/// A query whose answer the provider cannot use.
fn unusable(place: &str, (text, query): &ReadQuery, result: &ResultType) -> Option<Finding> {
    let returns = query.as_ref().ok()?.returns;
    let problem = match (returns, result) {
        (ValueType::String, _) => "answers a string, which is no measurement",
        (ValueType::Scalar, ResultType::Named(_)) => {
            "answers a number without a series, which named queries cannot carry; write vector(…)"
        }
        (ValueType::Matrix, ResultType::Named(_)) => {
            "answers a range of samples, which named queries cannot carry; write last_over_time(…)"
        }
        _ => return None,
    };
    Some(Finding::new(place, shown(text), problem))
}

/// Whether a value that is filled in later may be what makes it readable.
fn is_open(text: &str) -> bool {
    text.contains(UNKNOWN) || text.contains("{{")
}

/// Conditions that cannot be evaluated whatever is measured.
fn misfits(metric: &DryMetric) -> Findings {
    let problem = |(name, condition): (&str, &Option<String>)| {
        let text = condition.as_deref().filter(|text| !is_open(text))?;
        let why = condition::check_for(text, &metric.result).err()?;
        Some(Finding::new(format!("{}.{name}", metric.path), text, why))
    };
    conditions(metric).into_iter().filter_map(problem).collect()
}

fn conditions(metric: &DryMetric) -> [(&'static str, &Option<String>); 2] {
    [
        ("successCondition", &metric.spec.success_condition),
        ("failureCondition", &metric.spec.failure_condition),
    ]
}

/// What is worth a second thought about one metric of a Deployment in `namespace`.
pub(super) fn advice(metric: &DryMetric, marks: &[Mark], namespace: &str) -> Vec<String> {
    let read: Vec<&Query> = metric.queries.iter().filter_map(|(_, query)| query.as_ref().ok()).collect();
    let mut warnings = Vec::new();
    if metric.queries.iter().any(|(_, query)| query.as_ref().is_err_and(|problem| *problem == Problem::Size))
    {
        warnings.push(format!("the query {}", Problem::Size));
    }
    let provider = &metric.spec.provider;
    let unchecked = providers::find(&provider.key).and_then(|known| known.unchecked(&provider.config));
    warnings.extend(unchecked.map(|why| {
        format!("the query is not checked, because {why}: whether it sees the canary is for you to make sure")
    }));
    warnings.extend(sight(metric, &read, marks, namespace));
    warnings.extend(metric.queries.iter().filter_map(share));
    warnings.extend(unasked(metric));
    let is_total = read.len() == metric.queries.len() && read.iter().all(|query| query.is_total);
    if metric.result == ResultType::Numbers && !is_total && expects_samples(metric) {
        warnings.push(
            "while the query has no series, result[0] is an error, and errors in a row abort the release; with \
             len(result) == 0 || … it waits instead, and pauses for a person if no data comes: no data is never evidence"
                .to_owned(),
        );
    }
    let name = &metric.spec.name;
    warnings.into_iter().map(|warning| format!("metric {name:?}: {}", shown(&warning))).collect()
}

/// A query that judges more than the canary.
fn sight(metric: &DryMetric, read: &[&Query], marks: &[Mark], namespace: &str) -> Option<String> {
    let selectors: Vec<_> = read.iter().flat_map(|query| query.selectors.clone()).collect();
    if selectors.is_empty() {
        let is_constant = !read.is_empty() && read.len() == metric.queries.len();
        return is_constant.then(|| "the query names no series, so it sees nobody".to_owned());
    }
    let missing = with_namespace(&selectors, namespace);
    if sight_of(&metric.queries, marks) == Sight::Both {
        let wanted: Vec<String> = example(marks).into_iter().chain(missing).collect();
        let wanted =
            if wanted.is_empty() { String::new() } else { format!(", such as {}", wanted.join(",")) };
        return Some(format!(
            "the query does not tell the canary from stable, so it judges both together; add a matcher{wanted}"
        ));
    }
    (!missing.is_empty()).then(|| {
        format!(
            "the query names no namespace, so series of the same name in others count as well; add {}",
            missing.join(" and ")
        )
    })
}

/// A share of answers that has no value when no answer is of the kind that it counts.
fn share((text, _): &ReadQuery) -> Option<String> {
    let written = or_zero(text)?;
    let counted = parts(text).into_iter().find(|part| !part.selector_note.is_empty())?.selector_note;
    Some(format!(
        "the query has no value while nothing matches {counted}, whatever else is answered: an outage would look like no traffic; write {written}"
    ))
}

/// Conditions that nobody asks.
fn unasked(metric: &DryMetric) -> Option<String> {
    let (name, _) = conditions(metric).into_iter().find(|(_, condition)| condition.is_some())?;
    let key = &metric.spec.provider.key;
    (metric.result == ResultType::Verdict)
        .then(|| format!("{name} has no effect: provider {key} judges itself; remove it"))
}

/// A condition looks at the first sample without asking whether there is one.
fn expects_samples(metric: &DryMetric) -> bool {
    let careful = ["len(result)", "isNil(", "default(", "any(", "all(", "none(", "count("];
    conditions(metric)
        .into_iter()
        .filter_map(|(_, condition)| condition.as_deref())
        .any(|text| text.contains("result[0]") && !careful.iter().any(|word| text.contains(word)))
}
