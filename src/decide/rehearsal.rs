//! The rehearsal of a rollout's analyses: before the canary gets traffic, each query is asked about stable. A query
//! that can see nobody there, or a canary that is not scraped as stable is, stops the rollout at weight 0, before any
//! user is harmed.

use super::{Event, analyses, decision::Decision, events::AFTER_REHEARSAL};
use crate::{
    analysis::{self, Answer, ResolvedArg},
    config::rehearsal::{Question, question, scrape},
    domain::{
        metric::{AnalysisPhase, AnalysisRun, MetricResult, MetricSpec, ProviderRef, SecretKeyRef},
        state::{Rehearsal, Rollout},
        strategy::AnalysisRef,
        value::Reading,
    },
    gocompat::duration::GoDuration,
    promql::sight::Mark,
    routers,
};
use serde_json::Value;
use std::collections::BTreeMap;

/// Time between two tries.
const INTERVAL: GoDuration = GoDuration::from_secs(10);
/// Failed tries that a metric may have: Prometheus may not have scraped what is there.
const TRIES: i32 = 2;
/// The same for the question whether the canary is scraped: two of Prometheus' usual intervals.
const SCRAPE_TRIES: i32 = 12;
/// How long that takes, in words.
const SCRAPE_TIME: &str = "2m";
/// Name of the metric that says whether the canary is scraped.
const SCRAPED: &str = "scraped";

/// Whether the canary may get traffic. Called when its pods are ready.
pub(super) fn is_passed(rollout: &mut Rollout, decision: &mut Decision<'_>) -> bool {
    match &rollout.rehearsal {
        Some(rehearsal) if rehearsal.run.is_none() => rehearsal.problem.is_none() || rehearsal.accepted,
        Some(_) => advance(rollout, decision),
        None => {
            let Some(run) = made(rollout, decision) else { return false };
            rollout.rehearsal = Some(Rehearsal { run: Some(run), problem: None, accepted: false });
            advance(rollout, decision)
        }
    }
}

/// One look at the rehearsal under way.
fn advance(rollout: &mut Rollout, decision: &mut Decision<'_>) -> bool {
    let Some(run) = rollout.rehearsal.as_mut().and_then(|rehearsal| rehearsal.run.take()) else {
        return false;
    };
    if run.specs.is_empty() {
        return true;
    }
    // The conditions are about what is missing, so an empty answer is one.
    let mut answers = decision.input.measurements.answers.get(&run.name).cloned().unwrap_or_default();
    for answer in &mut answers {
        answer.no_data = None;
    }
    let now = on_stable_now(&answers);
    let run = analyses::advance_with(run, answers, decision);
    for (metric, value) in now {
        decision
            .events
            .push(Event::normal("AnalysisRehearsed", format!("Metric '{metric}' on stable now: {value}")));
    }
    match run.phase {
        AnalysisPhase::Error => {
            let message = format!("Rehearsal phase error: {}", run.message);
            decision.abort(rollout, &message);
            false
        }
        AnalysisPhase::Successful => true,
        AnalysisPhase::Pending | AnalysisPhase::Running => {
            set(rollout, |rehearsal| rehearsal.run = Some(run));
            false
        }
        AnalysisPhase::Failed | AnalysisPhase::Inconclusive => {
            let problem = problem(&run, rollout, decision);
            decision.events.push(Event::warning(
                "RolloutPaused",
                format!("Rollout is paused at weight 0 (RehearsalFailed): {problem}; {AFTER_REHEARSAL}"),
            ));
            set(rollout, |rehearsal| rehearsal.problem = Some(problem));
            false
        }
    }
}

fn set(rollout: &mut Rollout, change: impl FnOnce(&mut Rehearsal)) {
    if let Some(rehearsal) = &mut rollout.rehearsal {
        change(rehearsal);
    }
}

/// The values of the metrics themselves.
fn on_stable_now(answers: &[Answer]) -> Vec<(String, String)> {
    let value = |answer: &Answer| match &answer.outcome {
        Ok(Reading::Value { value, .. }) => Some((answer.metric.clone(), Question::value(value)?)),
        _ => None,
    };
    answers.iter().filter_map(value).collect()
}

/// What the failed metrics have not seen.
fn problem(run: &AnalysisRun, rollout: &Rollout, decision: &Decision<'_>) -> String {
    let failed = |name: &str| {
        let is = |result: &&MetricResult| result.name == name && result.phase == AnalysisPhase::Failed;
        run.results.iter().any(|result| is(&result))
    };
    let Some((metrics, _)) = metrics(rollout, decision) else { return run.message.clone() };
    let marks = analyses::marks(rollout, decision);
    let blind = metrics.iter().filter(|spec| failed(&spec.name));
    let blind = blind.filter_map(|spec| Some(question(spec, &marks)?.problem(&spec.name)));
    let unscraped = metrics.iter().find_map(|spec| scrape(spec, &marks)).filter(|_| failed(SCRAPED));
    let unscraped = unscraped.map(|scrape| scrape.problem(SCRAPE_TIME));
    let problems: Vec<String> = blind.chain(unscraped).collect();
    if problems.is_empty() { run.message.clone() } else { problems.join("; ") }
}

/// The run of the rehearsal; `None` while an argument is not known.
fn made(rollout: &Rollout, decision: &Decision<'_>) -> Option<AnalysisRun> {
    let marks = analyses::marks(rollout, decision);
    let (metrics, secrets) = metrics(rollout, decision)?;
    let mut specs: Vec<MetricSpec> = metrics.iter().filter_map(|spec| rehearsed(spec, &marks)).collect();
    // Where pods are the split there is no canary before there is traffic.
    if !routers::by_pods(rollout.strategy()) {
        specs.extend(metrics.iter().find_map(|spec| scraped(spec, &marks)));
    }
    let result =
        |spec: &MetricSpec| MetricResult { name: spec.name.clone(), retention: 1, ..MetricResult::default() };
    Some(AnalysisRun {
        name: analyses::rehearsal_name(rollout, decision),
        results: specs.iter().map(result).collect(),
        specs,
        secrets,
        ..AnalysisRun::default()
    })
}

/// Metrics and the secrets that their configurations name.
pub(super) type Metrics = (Vec<MetricSpec>, BTreeMap<String, SecretKeyRef>);

/// Every metric that decides about the rollout, once, as it would be asked about stable. An analysis that means
/// another secret by the name of a known one is left out.
pub(super) fn metrics(rollout: &Rollout, decision: &Decision<'_>) -> Option<Metrics> {
    let stable = rollout.stable_pod_hash.clone();
    let (mut metrics, mut secrets): Metrics = Default::default();
    for analysis in rollout.strategy().analyses() {
        if stable.is_none() && analyses::needs_hash(analysis) {
            return None;
        }
        // One that cannot start says so when it is to.
        let Some(run) = started(rollout, analysis, stable.as_deref(), decision) else { continue };
        if run.secrets.iter().any(|(name, secret)| secrets.get(name).is_some_and(|known| known != secret)) {
            continue;
        }
        secrets.extend(run.secrets);
        let deciding = run.specs.into_iter().zip(run.results).filter(|(_, result)| !result.dry_run);
        for (spec, _) in deciding {
            if metrics.iter().all(|known| known.name != spec.name) {
                metrics.push(spec);
            }
        }
    }
    Some((metrics, secrets))
}

/// An analysis with stable's hash for both sides.
fn started(
    rollout: &Rollout,
    analysis: &AnalysisRef,
    stable: Option<&str>,
    decision: &Decision<'_>,
) -> Option<AnalysisRun> {
    let (templates, args): (_, Vec<ResolvedArg>) =
        analyses::resolve(rollout, analysis, |_| stable.map(str::to_owned), decision).ok()?;
    analysis::start("rehearsal", &templates, &analysis.rules, &args).ok()
}

/// A metric of the rehearsal: asked until some selector has a series on stable.
fn rehearsed(spec: &MetricSpec, marks: &[Mark]) -> Option<MetricSpec> {
    let question = question(spec, marks)?;
    Some(tried(spec, &spec.name, question.condition(), question.config, TRIES))
}

/// Whether the canary is scraped: asked until it is.
fn scraped(spec: &MetricSpec, marks: &[Mark]) -> Option<MetricSpec> {
    let scrape = scrape(spec, marks)?;
    Some(tried(spec, SCRAPED, scrape.condition, scrape.config, SCRAPE_TRIES))
}

/// A metric that is good as soon as the condition holds of what is asked, and bad after so many failures.
fn tried(spec: &MetricSpec, name: &str, condition: String, config: Value, tries: i32) -> MetricSpec {
    let provider = ProviderRef { key: spec.provider.key.clone(), config };
    MetricSpec {
        interval: Some(INTERVAL),
        success_condition: Some(condition),
        failure_limit: Some(tries),
        consecutive_error_limit: spec.consecutive_error_limit,
        consecutive_success_limit: Some(1),
        skip_rehearsal: true,
        ..MetricSpec::new(name, provider)
    }
}

/// A person continues although the rehearsal has failed.
pub(super) fn accept(rollout: &mut Rollout) {
    set(rollout, |rehearsal| rehearsal.accepted |= rehearsal.problem.is_some());
}

/// A person wants a rehearsal that has failed to be repeated.
pub(super) fn repeat(rollout: &mut Rollout) {
    if rollout.rehearsal.as_ref().is_some_and(|rehearsal| rehearsal.failure().is_some()) {
        begin_again(rollout);
    }
}

/// The next look begins a rehearsal.
pub(super) fn begin_again(rollout: &mut Rollout) {
    if rollout.rehearsal.take().is_some() {
        rollout.rehearsals = rollout.rehearsals.saturating_add(1);
    }
}
