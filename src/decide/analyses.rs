//! Analyses alongside and within the steps, and what their verdicts do.
//!
//! Source of the coupling: argo-rollouts `rollout/analysis.go`.

use super::{DueMeasurement, Event, crash_guard, decision::Decision, events::AFTER_VERDICT, evidence};
use crate::{
    analysis::{self, Answer, ResolvedArg, args::bind},
    config::queries::{blind, counting_query, marks_of, queries},
    domain::{
        metric::{AnalysisPhase, AnalysisRun, AnalysisTemplate, MetricResult, MetricSpec},
        state::{Rollout, RunRecord, Stage},
        strategy::{AnalysisRef, ArgSource, Side, Step, TemplateRef},
    },
    gocompat::duration::GoDuration,
    objects::pair::stable_services,
    promql::sight::Mark,
};
use jiff::SignedDuration;

/// Judges what has been measured, says what is to be measured, and draws the consequences.
pub(super) fn advance(rollout: &mut Rollout, decision: &mut Decision<'_>) {
    for position in 0..rollout.runs.len() {
        let Some(record) = rollout.runs.get_mut(position) else { return };
        if record.run.completed_at.is_some() {
            continue;
        }
        // The rest ends what still runs, as in Argo: abort, rollback, `promote` and `promote-full`.
        record.run.terminate |= !has_a_say(record.step, &rollout.stage);
        let before = record.run.clone();
        let after = advance_run(before.clone(), decision);
        let step = record.step;
        record.run = after.clone();
        report(&before, &after, step, decision);
        if !after.terminate && before.phase != after.phase {
            on_verdict(rollout, step, &after, decision);
        }
    }
}

/// A step's analysis decides about its step, the background one about everything until stable rolls.
fn has_a_say(step: Option<usize>, stage: &Stage) -> bool {
    match stage {
        Stage::Step { index, .. } => step.is_none_or(|step| step == *index),
        Stage::PromoteScale | Stage::PromoteShift => step.is_none(),
        _ => false,
    }
}

/// Ends all analyses: a person has decided without them.
pub(super) fn overrule(rollout: &mut Rollout) {
    rollout.runs.iter_mut().for_each(|record| record.run.terminate = true);
}

/// One pass over a run, and a second when a metric ended badly: it ends the others at once, also those
/// being measured, so that a slow provider cannot delay an abort.
fn advance_run(run: AnalysisRun, decision: &mut Decision<'_>) -> AnalysisRun {
    let answers = decision.input.measurements.answers.get(&run.name).cloned().unwrap_or_default();
    advance_with(run, answers, decision)
}

/// As [`advance_run`], with these answers.
pub(super) fn advance_with(
    mut run: AnalysisRun,
    mut answers: Vec<Answer>,
    decision: &mut Decision<'_>,
) -> AnalysisRun {
    let name = run.name.clone();
    // The answer to the write that recorded them may have been lost.
    answers.retain(|answer| !is_counted(&run, answer));
    crash_guard::answered(&mut run, &answers);
    let in_flight = decision.input.measurements.in_flight.get(&name).cloned().unwrap_or_default();
    let mut advance = analysis::advance(run, answers, &in_flight, decision.now());
    let term = decision.input.measurements.after_death.as_deref();
    let caution = crash_guard::caution(&mut advance.run, advance.due, term, decision.now());
    if !caution.errors.is_empty() {
        advance = analysis::advance(advance.run, caution.errors, &in_flight, decision.now());
    }
    advance.due = caution.measure;
    if caution.must_record {
        advance.wake_at = Some(decision.now());
    }
    if advance.run.completed_at.is_none() && advance.run.results.iter().any(ended_badly) {
        advance = analysis::advance(advance.run, Vec::new(), &[], decision.now());
    }
    for metric in &advance.due {
        let mut metrics = advance.run.specs.iter().zip(&advance.run.results);
        let found = metrics.find(|(spec, _)| spec.name == *metric);
        decision.measure.extend(found.map(|(metric, result)| DueMeasurement {
            run: name.clone(),
            metric: metric.clone(),
            number: result.count.saturating_add(result.error).saturating_add(1),
            secrets: advance.run.secrets.clone(),
            template: decision.seen().template_hash(),
            begun: advance.run.started_at,
            hosts: decision.metric_hosts.clone(),
        }));
    }
    if let Some(at) = advance.wake_at {
        decision.wake_to_measure(at);
    }
    advance.run
}

fn is_counted(run: &AnalysisRun, answer: &Answer) -> bool {
    let results = run.results.iter().filter(|result| result.name == answer.metric);
    let mut counted = results.flat_map(|result| &result.measurements);
    counted.any(|known| (known.started_at, known.finished_at) == (answer.started_at, answer.finished_at))
}

fn ended_badly(result: &MetricResult) -> bool {
    !result.dry_run
        && matches!(result.phase, AnalysisPhase::Failed | AnalysisPhase::Error | AnalysisPhase::Inconclusive)
}

/// Failed and Error abort; Inconclusive waits for a person; Successful is for the step to notice.
fn on_verdict(rollout: &mut Rollout, step: Option<usize>, run: &AnalysisRun, decision: &mut Decision<'_>) {
    match run.phase {
        // An earlier run may have ended the rollout in this same look.
        _ if !has_a_say(step, &rollout.stage) => {}
        AnalysisPhase::Failed | AnalysisPhase::Error => {
            let kind = if step.is_some() { "Step-based" } else { "Background" };
            let message = format!("{kind} analysis phase error/failed: {}", explained(run));
            decision.abort(rollout, &message);
        }
        AnalysisPhase::Inconclusive => {
            // When the last step is done, only a bad verdict stops the promotion.
            let Stage::Step { inconclusive, .. } = &mut rollout.stage else { return };
            let message = explained(run);
            decision.events.push(Event::warning(
                "RolloutPaused",
                format!("Rollout is paused (InconclusiveAnalysisRun): {message}; {AFTER_VERDICT}"),
            ));
            *inconclusive = Some(message);
        }
        AnalysisPhase::Pending | AnalysisPhase::Running | AnalysisPhase::Successful => {}
    }
}

/// The run's message in Argo's words, and what was measured: the value that decided, the condition that it does not
/// satisfy, and over which time; or the usual causes, if there was nothing to measure.
fn explained(run: &AnalysisRun) -> String {
    let metrics = run.specs.iter().zip(&run.results);
    let mut decided = metrics.filter(|(_, result)| !result.dry_run && result.phase == run.phase);
    let why = decided.find_map(|(spec, result)| unsatisfied(spec, result).or_else(|| unseen(spec, result)));
    why.map_or_else(|| run.message.clone(), |why| format!("{} ({why})", run.message))
}

fn unsatisfied(spec: &MetricSpec, result: &MetricResult) -> Option<String> {
    let why = analysis::unsatisfied(spec, result)?;
    let windows =
        queries(spec).into_iter().filter_map(|(_, query)| SignedDuration::try_from(query.ok()?.window).ok());
    Some(match windows.max().filter(SignedDuration::is_positive) {
        Some(window) => format!(
            "{why}, over {}",
            GoDuration::from_secs(u32::try_from(window.as_secs()).unwrap_or(u32::MAX))
        ),
        None => why,
    })
}

fn unseen(spec: &MetricSpec, result: &MetricResult) -> Option<String> {
    analysis::lacking(spec, result).map(|_| evidence::USUAL_CAUSES.to_owned())
}

/// Events about a run and its metrics, with Argo's texts and what was measured.
fn report(before: &AnalysisRun, after: &AnalysisRun, step: Option<usize>, decision: &mut Decision<'_>) {
    for result in after.results.iter().filter(|result| result.phase.is_completed()) {
        let known = before.results.iter().any(|old| old.name == result.name && old.phase == result.phase);
        if !known {
            let spec = after.specs.iter().find(|spec| spec.name == result.name);
            let why = spec.and_then(|spec| unsatisfied(spec, result));
            let why = why.map(|why| format!(": {why}")).unwrap_or_default();
            let message = format!("Metric '{}' Completed. Result: {}{why}", result.name, result.phase);
            decision.events.push(by_phase(
                result.phase,
                ["MetricSuccessful", "MetricFailed", "MetricError", "MetricInconclusive"],
                message,
            ));
        }
    }
    if before.phase != after.phase && after.phase.is_completed() {
        let kind = if step.is_some() { "Step" } else { "Background" };
        let message = format!("{kind} Analysis Run '{}' Completed. Result: {}", after.name, after.phase);
        let reasons =
            ["AnalysisRunSuccessful", "AnalysisRunFailed", "AnalysisRunError", "AnalysisRunInconclusive"];
        decision.events.push(by_phase(after.phase, reasons, message));
    }
}

/// `reasons` are for Successful, Failed, Error and Inconclusive.
fn by_phase(phase: AnalysisPhase, reasons: [&'static str; 4], message: String) -> Event {
    let [successful, failed, error, inconclusive] = reasons;
    match phase {
        AnalysisPhase::Failed => Event::warning(failed, message),
        AnalysisPhase::Error => Event::warning(error, message),
        AnalysisPhase::Inconclusive => Event::warning(inconclusive, message),
        AnalysisPhase::Successful | AnalysisPhase::Pending | AnalysisPhase::Running => {
            Event::normal(successful, message)
        }
    }
}

/// The verdict of the newest analysis of a step; `None` when none has been started.
pub(super) fn phase_of_step(rollout: &Rollout, index: usize) -> Option<AnalysisPhase> {
    rollout.runs.iter().rev().find(|record| record.step == Some(index)).map(|record| record.run.phase)
}

/// Starts the analysis of the step at `index`.
pub(super) fn start_step(rollout: &mut Rollout, index: usize, decision: &mut Decision<'_>) {
    if let Some(Step::Analysis(step)) = rollout.strategy().steps.get(index).cloned() {
        start(rollout, &step.analysis, Some(index), decision);
    }
}

/// Starts the background analysis if its step is reached and it has not been started: its arguments may have been
/// unknown until now.
pub(super) fn ensure_background(rollout: &mut Rollout, index: usize, decision: &mut Decision<'_>) {
    if rollout.background_run().is_none() {
        start_background(rollout, index, decision);
    }
}

/// Starts the background analysis once its step is reached, and again after a person overruled it.
pub(super) fn start_background(rollout: &mut Rollout, index: usize, decision: &mut Decision<'_>) {
    let Some(background) = rollout.strategy().background.clone() else { return };
    let newest = rollout.background_run().map(|record| record.run.phase);
    let wanted = newest.is_none_or(|phase| phase == AnalysisPhase::Inconclusive);
    if wanted && index >= background.starting_step && index < rollout.strategy().steps.len() {
        start(rollout, &background.analysis, None, decision);
    }
}

/// After a person overruled an inconclusive verdict, the question is asked again.
pub(super) fn start_again(rollout: &mut Rollout, index: usize, decision: &mut Decision<'_>) {
    start_background(rollout, index, decision);
    if phase_of_step(rollout, index) == Some(AnalysisPhase::Inconclusive) {
        start_step(rollout, index, decision);
    }
}

/// Starts an analysis, unless one of its arguments is not known yet: the hash of pods that are still to come.
fn start(rollout: &mut Rollout, analysis: &AnalysisRef, step: Option<usize>, decision: &mut Decision<'_>) {
    let is_unknown = |side: &Side| hash(rollout, *side).is_none();
    if sides_named(analysis).any(is_unknown) {
        return;
    }
    let name = run_name(rollout, step, decision);
    let run = resolve(rollout, analysis, |side| hash(rollout, side), decision)
        .and_then(|(templates, args)| analysis::start(&name, &templates, &analysis.rules, &args))
        .map(|run| AnalysisRun { metadata: analysis.metadata.clone(), ..run })
        .and_then(|run| sighted(run, rollout, decision));
    match run {
        Ok(run) => {
            let kind = if step.is_some() { "Step" } else { "Background" };
            decision.events.push(Event::normal(
                "AnalysisRunRunning",
                format!("{kind} Analysis Run '{name}' is running"),
            ));
            let run = advance_run(run, decision);
            rollout.add_run(RunRecord { step, run });
        }
        Err(problem) => {
            let kind = if step.is_some() { "Step-based" } else { "Background" };
            decision.abort(rollout, &format!("{kind} analysis phase error/failed: {problem}"));
        }
    }
}

/// Refuses a run that would judge stable: arguments may say something else now than they did at admission.
fn sighted(run: AnalysisRun, rollout: &Rollout, decision: &Decision<'_>) -> Result<AnalysisRun, String> {
    let marks = marks(rollout, decision);
    let found = run.specs.iter().find_map(|metric| {
        let counting: Vec<_> = counting_query(metric).into_iter().collect();
        let asked = [("the query", queries(metric)), ("minSamples.query", counting)];
        let why = asked.iter().find_map(|(which, read)| Some(format!("{which} {}", blind(read, &marks)?)))?;
        Some(format!("metric {:?}: {why}", metric.name))
    });
    found.map_or(Ok(run), Err)
}

/// What distinguishes the sides of the pair in Prometheus.
pub(super) fn marks(rollout: &Rollout, decision: &Decision<'_>) -> Vec<Mark> {
    let hashes = rollout.stable_pod_hash.as_deref().zip(rollout.canary_pod_hash.as_deref());
    let split: Vec<_> = stable_services(decision.seen(), rollout.strategy()).collect();
    marks_of(&rollout.rewrite, &decision.seen().pod_labels(), &split, rollout.strategy(), hashes)
}

/// Name of the rehearsal's run.
pub(super) fn rehearsal_name(rollout: &Rollout, decision: &Decision<'_>) -> String {
    format!("{}-rehearsal-{}", run_name(rollout, None, decision), rollout.rehearsals)
}

/// Name of the run that asks about the canary's share.
pub(super) fn share_name(rollout: &Rollout, number: u32, decision: &Decision<'_>) -> String {
    format!("{}-share-{number}", run_name(rollout, None, decision))
}

/// Argo's form: Deployment, hash, revision, step, and a number for repetitions.
fn run_name(rollout: &Rollout, step: Option<usize>, decision: &Decision<'_>) -> String {
    let hash = rollout.canary_pod_hash.as_deref().unwrap_or(rollout.hash.as_str());
    let step_part = step.map(|index| format!("-{index}")).unwrap_or_default();
    let base = format!("{}-{hash}-{}{step_part}", decision.input.owner.name, rollout.revision);
    match rollout.next_run_number(step, &base) {
        0 => base,
        number => format!("{base}.{number}"),
    }
}

fn hash(rollout: &Rollout, side: Side) -> Option<String> {
    match side {
        Side::Stable => rollout.stable_pod_hash.clone(),
        Side::Canary => rollout.canary_pod_hash.clone(),
    }
}

/// The sides whose hash an analysis takes as an argument.
fn sides_named(analysis: &AnalysisRef) -> impl Iterator<Item = &Side> {
    analysis.args.iter().filter_map(|arg| match &arg.source {
        ArgSource::PodTemplateHash(side) => Some(side),
        _ => None,
    })
}

/// Whether an analysis takes a hash as an argument.
pub(super) fn needs_hash(analysis: &AnalysisRef) -> bool {
    sides_named(analysis).next().is_some()
}

/// The templates and arguments of an analysis, given each side's `pod-template-hash`.
pub(super) fn resolve(
    rollout: &Rollout,
    analysis: &AnalysisRef,
    hash: impl Fn(Side) -> Option<String>,
    decision: &Decision<'_>,
) -> Result<(Vec<AnalysisTemplate>, Vec<ResolvedArg>), String> {
    let template = |wanted: &TemplateRef| {
        let found = rollout.spec.templates.iter().find(|template| template.reference == *wanted);
        found
            .map(|template| template.template.clone())
            .ok_or_else(|| format!("analysis template {:?} is not in the frozen plan", wanted.name))
    };
    let templates: Vec<AnalysisTemplate> =
        analysis.templates.iter().map(template).collect::<Result<_, _>>()?;
    let mut args = bind(&analysis.args, hash, |path| decision.seen().field(path))?;
    for (name, path) in analysis::fields_wanted(&templates, &args) {
        args.push(ResolvedArg { name, value: decision.seen().field(&path)? });
    }
    Ok((templates, args))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::{
            strategy::{Defaults, read_strategy},
            template,
        },
        decide::fixtures::{decided, now, seen, state},
        domain::strategy::NamedTemplate,
    };
    use serde_json::json;

    #[test]
    fn what_counts_the_samples_must_see_the_canary_as_well() {
        let seen = seen(4, "web:2", true);
        let first = Stage::Step { index: 0, entered_at: now(), inconclusive: None };
        let why_blind = |counted: &str| {
            let mut state = state(&seen, first.clone());
            let rollout = state.rollout.as_mut().unwrap();
            let defaults = Defaults { settle: "0s".parse().unwrap(), annotation_prefix: "nginx".into() };
            let plan = json!({"steps": [{"setWeight": 50}, {"pause": {}}], "analysis": {"templates": [{"templateName": "errors"}]}});
            rollout.spec.strategy = read_strategy(&plan, "canary", &defaults).unwrap();
            let text = json!({"metrics": [{
                "name": "errors", "interval": "1m",
                "minSamples": {"query": counted, "count": 100},
                "provider": {"prometheus": {"address": "http://prometheus", "query": "errors{app=\"web-canary\"}"}},
            }]});
            let reference = TemplateRef { name: "errors".into(), cluster_scope: false };
            let template = template::parse("errors", &text.to_string(), "spec").unwrap();
            rollout.spec.templates = vec![NamedTemplate { reference, template }];
            let plan = decided(state, &seen);
            plan.events.iter().map(|event| event.message.clone()).collect::<Vec<_>>().join("\n")
        };
        let blind = why_blind("sum(increase(requests{app=\"web\"}[1m]))");
        let why = "metric \"errors\": minSamples.query sees stable only, because app=\"web\" does not match the canary's series; write app=\"web-canary\"";
        assert!(blind.contains(why), "{blind}");
        let seeing = why_blind("sum(increase(requests{app=\"web-canary\"}[1m]))");
        assert!(!seeing.contains("sees stable only") && seeing.contains("is running"), "{seeing}");
    }
}
