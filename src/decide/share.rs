//! The canary's share of the requests, by the data plane's own counts. While it clearly is another than the weight, no
//! step ends, and its step begins again afterwards: what is measured then is not about the traffic that the plan asks for.
//! Only a bad verdict counts at any time.
//!
//! In doubt nothing is said: without series, with few requests, or with long ones, which are counted when they end.

use super::{Event, analyses, decision::Decision, rehearsal, steps};
use crate::{
    analysis::Answer,
    config::{queries::queries, rehearsal::asking},
    domain::{
        counts::Counts,
        metric::{AnalysisRun, MetricResult, MetricSpec, ProviderRef},
        names::Weight,
        state::{Astray, Rollout, Share, Stage},
        value::Reading,
    },
    routers::{Requests, traffic},
};
use jiff::{SignedDuration, Timestamp};

/// Name of the metric.
const METRIC: &str = "share";
/// Time after a change of weight that no question is about: requests are counted when they end, and clocks differ.
const LEFT_OUT: SignedDuration = SignedDuration::from_secs(30);
/// Time before the first question about a weight; each next one comes when this has doubled.
const FIRST: SignedDuration = SignedDuration::from_secs(60);
/// A share that has been right for so long is not asked about again.
const LAST: SignedDuration = SignedDuration::from_hours(24);
/// The longest time that a question is about.
const LONGEST: SignedDuration = SignedDuration::from_mins(5);
/// Time between two questions while the share is astray.
const AGAIN: SignedDuration = SignedDuration::from_secs(30);
/// Fewer requests than these say nothing.
const LEAST: f64 = 100.0;

/// Asks about the share of the traffic that is in force, and judges the answers.
pub(super) fn observe(rollout: &mut Rollout, decision: &mut Decision<'_>) {
    let Some(since) = in_force_since(rollout, decision) else {
        // What is asked says nothing any more.
        rollout.share.iter_mut().for_each(|share| share.run = None);
        return;
    };
    let was_astray = is_confirmed(rollout);
    if let Some(share) = rollout.share.take() {
        rollout.share = Some(judged(share, rollout, decision));
    }
    if was_astray && rollout.astray().is_none() {
        begin_again(rollout, decision);
    }
    let known = rollout.share_now();
    let is_settled = known.is_some_and(|share| share.run.is_some() || share.accepted);
    let next = next(known, since).filter(|_| !is_settled);
    if next.is_some_and(|next| decision.is_time_to_measure(next)) {
        ask(rollout, since, decision);
    }
    on_deadline(rollout, decision);
}

fn is_confirmed(rollout: &Rollout) -> bool {
    rollout.astray().is_some_and(|astray| astray.confirmed)
}

/// The step begins again, with its analysis; not while a person is asked about that.
fn begin_again(rollout: &mut Rollout, decision: &mut Decision<'_>) {
    let Stage::Step { index, entered_at, inconclusive: None } = &mut rollout.stage else { return };
    *entered_at = decision.now();
    let index = *index;
    let runs = rollout.runs.iter_mut().filter(|record| record.step == Some(index));
    let unfinished = runs.filter(|record| record.run.completed_at.is_none());
    unfinished.for_each(|record| record.run.terminate = true);
    if analyses::phase_of_step(rollout, index).is_some() {
        analyses::start_step(rollout, index, decision);
    }
}

/// A person continues although the share is astray.
pub(super) fn accept(rollout: &mut Rollout) {
    let is_astray = rollout.astray().is_some();
    if let Some(share) = rollout.share.as_mut().filter(|_| is_astray) {
        (share.accepted, share.run) = (true, None);
    }
}

/// Since when every proxy has had the traffic, if its weight alone decides where a request goes.
fn in_force_since(rollout: &Rollout, decision: &Decision<'_>) -> Option<Timestamp> {
    let (strategy, traffic) = (rollout.strategy(), &rollout.traffic);
    let is_tried = matches!(rollout.stage, Stage::Step { .. }) && strategy.analyses().next().is_some();
    let is_split = Weight::ZERO < traffic.weight && traffic.weight < Weight::FULL;
    let is_plain = traffic.headers.is_empty() && traffic.mirror.is_none();
    let since = traffic.seen_at?.saturating_add(strategy.settle.signed()).ok()?;
    let is_in_force = since <= decision.now();
    (is_tried && is_split && is_plain && is_in_force && !strategy.unobserved).then_some(since)
}

/// When the next question is due, if there is one.
fn next(known: Option<&Share>, since: Timestamp) -> Option<Timestamp> {
    let (from, span) = match known.filter(|share| share.asked_at >= since) {
        None => (since, FIRST),
        Some(share) => match &share.astray {
            Some(astray) if astray.confirmed => (share.asked_at, AGAIN),
            // About another time than the first answer.
            Some(_) => (share.asked_at, SignedDuration::from_secs(share.seconds).max(AGAIN)),
            None => (share.asked_at, share.asked_at.duration_since(since)),
        },
    };
    (span < LAST).then(|| from.saturating_add(span).unwrap_or(Timestamp::MAX))
}

/// Asks, if there is somebody to ask.
fn ask(rollout: &mut Rollout, since: Timestamp, decision: &mut Decision<'_>) {
    let asked_at = decision.now();
    let most = asked_at.duration_since(since).saturating_sub(LEFT_OUT).min(LONGEST).as_secs();
    let astray = rollout.astray().cloned();
    // About a time like the first, so that the share is found to follow as soon as it was found not to.
    let same = rollout.share_now().filter(|share| share.astray.is_some()).map(|share| share.seconds);
    let seconds = same.map_or(most, |same| same.min(most));
    let questions = rollout.share.as_ref().map_or(0, |share| share.questions).saturating_add(1);
    let Some(run) = question(rollout, questions, seconds, decision) else { return };
    let traffic = rollout.traffic.asked_at;
    let share = Share { traffic, questions, asked_at, seconds, run: Some(run), astray, accepted: false };
    rollout.share = Some(judged(share, rollout, decision));
}

/// The question, to the Prometheus that the plan asks first.
fn question(rollout: &Rollout, number: u32, seconds: i64, decision: &Decision<'_>) -> Option<AnalysisRun> {
    let requests = traffic::requests(&decision.pair(rollout), &rollout.traffic)?;
    let (metrics, secrets) = rehearsal::metrics(rollout, decision)?;
    let asked = metrics.into_iter().find(|spec| !queries(spec).is_empty())?;
    let config = asking(&asked.provider.config, &requests.queries(seconds))?;
    let spec = MetricSpec {
        count: Some(1),
        consecutive_error_limit: Some(0),
        skip_rehearsal: true,
        ..MetricSpec::new(METRIC, ProviderRef { key: asked.provider.key, config })
    };
    let result = MetricResult { name: METRIC.to_owned(), retention: 1, ..MetricResult::default() };
    Some(AnalysisRun {
        name: analyses::share_name(rollout, number, decision),
        specs: vec![spec],
        results: vec![result],
        secrets,
        ..AnalysisRun::default()
    })
}

/// One look at the question under way. An error of the provider changes nothing.
fn judged(mut share: Share, rollout: &Rollout, decision: &mut Decision<'_>) -> Share {
    let Some(run) = share.run.take().filter(|_| share.traffic == rollout.traffic.asked_at) else {
        return share;
    };
    let mut answers = decision.input.measurements.answers.get(&run.name).cloned().unwrap_or_default();
    for answer in &mut answers {
        // That there are no series is an answer.
        answer.no_data = None;
    }
    let is_answered = answers.iter().any(|answer| answer.outcome.is_ok());
    let counts = answers.iter().find_map(counts);
    let run = analyses::advance_with(run, answers, decision);
    if !run.phase.is_completed() {
        share.run = Some(run);
    } else if is_answered {
        share.astray = astray(share.astray.take(), counts, share.seconds, rollout, decision);
    }
    share
}

fn counts(answer: &Answer) -> Option<Counts> {
    match &answer.outcome {
        Ok(Reading::Value { value, .. }) => Requests::counts(value),
        _ => None,
    }
}

/// What the counts say of the share. An Event reports a share that is astray when a second answer says the same.
fn astray(
    known: Option<Astray>,
    counts: Option<Counts>,
    seconds: i64,
    rollout: &Rollout,
    decision: &mut Decision<'_>,
) -> Option<Astray> {
    let weight = rollout.traffic.weight;
    let share = weight.percentage() / f64::from(Weight::PERCENT);
    let least = if known.is_some() { 0.0 } else { LEAST };
    let found = counts.and_then(|counts| counts.contradict(share, least));
    let Some((got, all)) = found else {
        if known.is_some_and(|astray| astray.confirmed) {
            let message =
                format!("The canary's share of the requests is weight {weight} now, its step begins again");
            decision.events.push(Event::normal("RolloutResumed", message));
        }
        return None;
    };
    if known.as_ref().is_some_and(|astray| astray.confirmed) {
        return known;
    }
    let causes = traffic::requests(&decision.pair(rollout), &rollout.traffic)?.causes;
    let message = format!(
        "it got {got:.0} of {all:.0} requests in {seconds} s, where about {:.0} were asked for; usual causes: {causes}",
        all * share
    );
    if known.is_some() {
        decision.events.push(Event::warning(
            "WeightNotFollowed",
            format!("The canary's share of the requests is not weight {weight}: {message}"),
        ));
    }
    let since = known.as_ref().map_or(decision.now(), |astray| astray.since);
    Some(Astray { since, confirmed: known.is_some(), message })
}

/// As pods that do not come: what is astray for the progress deadline ends the rollout, unless a person has paused it.
fn on_deadline(rollout: &mut Rollout, decision: &mut Decision<'_>) {
    let is_running = rollout.manual_pause.is_none();
    let confirmed = rollout.astray().filter(|astray| astray.confirmed && is_running);
    let Some(astray) = confirmed.cloned() else { return };
    let deadline = decision.seen().progress_deadline_seconds();
    let due = rollout.counted_from(astray.since).saturating_add(SignedDuration::from_secs(deadline.into()));
    if decision.is_time_to_measure(due.unwrap_or(Timestamp::MAX)) {
        let weight = rollout.traffic.weight;
        let late = format!(
            "the canary's share of the requests has not been weight {weight} for {deadline}s: {}",
            astray.message
        );
        steps::on_deadline(rollout, &late, decision);
    }
}

#[cfg(test)]
mod tests;
