//! A release as text, for `get`, `list` and `history`.

use super::{
    analysis,
    style::{Style, Tone, ago, columns, span},
    subject::{Pod, Side, Subject},
};
use crate::{
    decide::{
        report,
        view::{PodsView, ProgressView},
    },
    domain::state::{AbortReport, HistoryEntry, Outcome, Phase},
};
use jiff::Timestamp;
use std::fmt::Write;

/// A release: phase, steps, analysis, pods.
#[must_use]
pub fn tree(subject: &Subject, pods: &[Pod], style: Style, now: Timestamp) -> String {
    let mut text = head(subject, style, now);
    text += &view_abort(subject, style);
    if let Some(progress) = &subject.view.rollout {
        text += &steps(progress, subject.view.phase, style);
        for run in &progress.analyses {
            text += &analysis::summary(run, style, now);
        }
    }
    if !pods.is_empty() {
        text += &pods_text(pods, style);
    }
    text
}

fn view_abort(subject: &Subject, style: Style) -> String {
    subject.view.abort.as_ref().map(|report| abort(report, style)).unwrap_or_default()
}

/// What an abort was about, and what to do next.
#[must_use]
pub fn abort(report: &AbortReport, style: Style) -> String {
    let next = [("Next", report::next(report))];
    let facts = report::facts(report).into_iter().chain(next);
    let rows = facts.flat_map(|(title, text)| {
        let titles = [title].into_iter().chain(std::iter::repeat(""));
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        titles.zip(lines).map(|(title, line)| vec![format!("  {title}"), line]).collect::<Vec<_>>()
    });
    let rows: Vec<Vec<String>> = rows.collect();
    let painted = columns(&rows, |_, column, text| match column {
        0 => style.paint(Tone::Faint, text),
        _ => text.to_owned(),
    });
    format!("\n{}\n{painted}", style.paint(Tone::Strong, &format!("Abort of revision {}", report.revision)))
}

/// The lines that say where a release is.
fn head(subject: &Subject, style: Style, now: Timestamp) -> String {
    let view = &subject.view;
    let mut rows = vec![
        ("Deployment", format!("{}/{}", subject.owner.namespace, subject.owner.name)),
        ("Phase", phase_line(subject, now)),
    ];
    rows.extend(subject.ordered.map(|order| ("Ordered", format!("{order}, not carried out yet"))));
    if let Some(waits) = &view.waits {
        let until = waits.until.map(|until| format!(", {}", countdown(until, now))).unwrap_or_default();
        rows.push(("Waits for", format!("{}{until}", waits.message)));
    }
    // The message of a wait says nothing more.
    let is_said =
        |message: &String| view.waits.as_ref().is_some_and(|waits| message.contains(&waits.message));
    rows.extend(view.message.clone().filter(|message| !is_said(message)).map(|text| ("Message", text)));
    if let Some(progress) = &view.rollout {
        rows.push(("Weight", weight(progress)));
    }
    rows.extend(view.stable.as_ref().map(|side| ("Stable", pods_line(side))));
    rows.extend(view.canary.as_ref().map(|side| ("Canary", pods_line(side))));
    let rows: Vec<Vec<String>> = rows.into_iter().map(|(name, text)| vec![name.to_owned(), text]).collect();
    columns(&rows, |row, column, text| match (row, column) {
        (_, 0) => style.paint(Tone::Faint, text),
        (1, _) => style.paint(tone(view.phase), text),
        (0, _) => style.paint(Tone::Strong, text),
        _ => text.to_owned(),
    })
}

fn phase_line(subject: &Subject, now: Timestamp) -> String {
    let view = &subject.view;
    let step = view.rollout.as_ref().and_then(step).map(|step| format!(", step {step}")).unwrap_or_default();
    let since =
        view.since.map(|since| format!(", since {}", span(now.duration_since(since)))).unwrap_or_default();
    format!("{}{step}{since} (revision {})", view.phase, view.revision)
}

/// `2/4`, counted from 1.
fn step(progress: &ProgressView) -> Option<String> {
    let step = progress.step?;
    (step < progress.steps).then(|| format!("{}/{}", step + 1, progress.steps))
}

fn weight(progress: &ProgressView) -> String {
    match progress.observed_weight {
        Some(observed) => format!("{observed} % to the canary"),
        None => format!("{} % to the canary, not in force yet", progress.weight),
    }
}

fn pods_line(side: &PodsView) -> String {
    format!("{}   {}/{} pods ready", side.images.join(", "), side.ready, side.desired)
}

fn countdown(until: Timestamp, now: Timestamp) -> String {
    if until > now {
        format!("for {} more", span(until.duration_since(now)))
    } else {
        "any moment".to_owned()
    }
}

const fn tone(phase: Phase) -> Tone {
    match phase {
        Phase::Healthy => Tone::Good,
        Phase::Aborting | Phase::Degraded => Tone::Bad,
        Phase::Held | Phase::Progressing | Phase::Paused | Phase::Promoting => Tone::Notice,
    }
}

fn steps(progress: &ProgressView, phase: Phase, style: Style) -> String {
    let mut text = format!("\n{}\n", style.paint(Tone::Strong, "Steps"));
    let is_past = |index: usize| match progress.step {
        Some(step) => index < step,
        None => phase == Phase::Promoting,
    };
    for (index, words) in progress.plan.iter().enumerate() {
        let number = index + 1;
        let line = if is_past(index) {
            style.paint(Tone::Good, &format!("  ✔ {number}  {words}"))
        } else if progress.step == Some(index) {
            style.paint(Tone::Notice, &format!("  ▶ {number}  {words}"))
        } else {
            style.paint(Tone::Faint, &format!("  · {number}  {words}"))
        };
        let _ = writeln!(text, "{line}");
    }
    text
}

fn pods_text(pods: &[Pod], style: Style) -> String {
    let row = |pod: &Pod| {
        let restarts = if pod.restarts > 0 { format!("restarts: {}", pod.restarts) } else { String::new() };
        let ready = if pod.is_ready { "ready" } else { "not ready" };
        let mut row =
            vec![format!("  {}", pod.side), pod.name.clone(), pod.status.clone(), ready.to_owned(), restarts];
        if style.wide {
            row.extend([pod.ip.clone(), pod.node.clone()]);
        }
        row
    };
    let rows: Vec<Vec<String>> = pods.iter().map(row).collect();
    let painted = columns(&rows, |row, column, text| match (column, pods.get(row)) {
        (0, Some(pod)) if pod.side == Side::Canary => style.paint(Tone::Notice, text),
        (3, Some(pod)) => style.paint(if pod.is_ready { Tone::Good } else { Tone::Bad }, text),
        _ => text.to_owned(),
    });
    format!("\n{}\n{painted}", style.paint(Tone::Strong, "Pods"))
}

/// One line for each Deployment.
#[must_use]
pub fn table(subjects: &[Subject], style: Style, now: Timestamp) -> String {
    let mut rows = vec![
        ["NAMESPACE", "NAME", "PHASE", "STEP", "WEIGHT", "SINCE", "WAITS FOR"].map(str::to_owned).to_vec(),
    ];
    rows.extend(subjects.iter().map(|subject| table_row(subject, now)));
    if style.wide {
        for (row, subject) in rows.iter_mut().zip([None].into_iter().chain(subjects.iter().map(Some))) {
            row.splice(6..6, wide_cells(subject));
        }
    }
    columns(&rows, |row, column, text| match (row, column) {
        (0, _) => style.paint(Tone::Strong, text),
        (_, 2) => subjects
            .get(row - 1)
            .map_or(text.to_owned(), |subject| style.paint(tone(subject.view.phase), text)),
        _ => text.to_owned(),
    })
}

fn table_row(subject: &Subject, now: Timestamp) -> Vec<String> {
    let view = &subject.view;
    let progress = view.rollout.as_ref();
    let why = view.waits.as_ref().map(|waits| waits.message.clone()).or_else(|| view.message.clone());
    vec![
        subject.owner.namespace.clone(),
        subject.owner.name.clone(),
        view.phase.to_string(),
        progress.and_then(step).unwrap_or_default(),
        progress.map(|progress| format!("{} %", progress.weight)).unwrap_or_default(),
        view.since.map(|since| span(now.duration_since(since))).unwrap_or_default(),
        why.unwrap_or_default(),
    ]
}

/// More columns; their headings without a release.
fn wide_cells(subject: Option<&Subject>) -> [String; 3] {
    let Some(Subject { view, .. }) = subject else {
        return ["REVISION", "READY", "IMAGES"].map(str::to_owned);
    };
    let stable = view.stable.as_ref();
    [
        view.revision.to_string(),
        stable.map(|side| format!("{}/{}", side.ready, side.desired)).unwrap_or_default(),
        stable.map(|side| side.images.join(",")).unwrap_or_default(),
    ]
}

/// One line that says where a release is, for pipes and logs.
#[must_use]
pub fn line(subject: &Subject) -> String {
    let view = &subject.view;
    let progress = view.rollout.as_ref();
    let step = progress.and_then(step).map(|step| format!(", step {step}")).unwrap_or_default();
    let weight = progress.map(|progress| format!(", weight {}", progress.weight)).unwrap_or_default();
    let why = view.message.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
    format!("{}{step}{weight}{why}", view.phase)
}

/// Past releases, newest first.
#[must_use]
pub fn history(entries: &[HistoryEntry], style: Style, now: Timestamp) -> String {
    let mut rows = vec![["REVISION", "OUTCOME", "ENDED", "TOOK", "MESSAGE"].map(str::to_owned).to_vec()];
    rows.extend(entries.iter().rev().map(|entry| {
        vec![
            entry.revision.to_string(),
            entry.outcome.to_string(),
            ago(entry.ended_at, now),
            span(entry.ended_at.duration_since(entry.started_at)),
            entry.message.clone(),
        ]
    }));
    let newest_first: Vec<&HistoryEntry> = entries.iter().rev().collect();
    columns(&rows, |row, column, text| match (row, column) {
        (0, _) => style.paint(Tone::Strong, text),
        (_, 1) => newest_first.get(row - 1).map_or(text.to_owned(), |entry| {
            let tone = if entry.outcome == Outcome::Aborted { Tone::Bad } else { Tone::Good };
            style.paint(tone, text)
        }),
        _ => text.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        decide::fixtures::{now, seen, state},
        domain::{
            metric::AnalysisRun,
            state::{RolloutState, RunRecord, Stage},
        },
        objects::manifest::Owner,
    };
    use insta::assert_snapshot;
    use jiff::SignedDuration;
    use serde_json::json;
    use std::sync::Arc;

    const PLAIN: Style = Style { color: false, wide: false };

    fn subject(state: RolloutState) -> Subject {
        let seen = seen(4, "web:2", true);
        let owner = Owner { name: "web".into(), namespace: "shop".into(), uid: "u".into() };
        Subject::of(owner, Arc::new(state), &seen)
    }

    fn measured() -> RunRecord {
        let taken = |second: i64, value: &str| {
            let at = (now() + SignedDuration::from_secs(second)).to_string();
            json!({"phase": "Successful", "value": value, "startedAt": at, "finishedAt": at})
        };
        let run = json!({
            "name": "web-b-2", "phase": "Running",
            "specs": [{
                "name": "errors", "successCondition": "result[0] < 0.05",
                "provider": {"key": "prometheus", "config": {"query": "errors"}},
            }],
            "results": [{
                "name": "errors", "phase": "Running", "retention": 10, "count": 3, "successful": 3,
                "measurements": [taken(0, "[0.01]"), taken(10, "[0.03]"), taken(20, "[0.02]")],
            }],
        });
        RunRecord { step: None, run: serde_json::from_value::<AnalysisRun>(run).unwrap() }
    }

    fn at_a_step() -> Subject {
        let paused = Stage::Step { index: 1, entered_at: now(), inconclusive: None };
        let mut recorded = state(&seen(4, "web:2", true), paused);
        recorded.rollout.as_mut().unwrap().runs.push(measured());
        subject(recorded)
    }

    #[test]
    fn a_release_is_shown_with_its_steps_analysis_and_pods() {
        let pod = |side, name: &str, status: &str, is_ready| Pod {
            side,
            name: name.to_owned(),
            status: status.to_owned(),
            is_ready,
            restarts: i64::from(!is_ready),
            ip: "10.0.0.1".to_owned(),
            node: "node-1".to_owned(),
        };
        let pods = [
            pod(Side::Stable, "web-1", "Running", true),
            pod(Side::Canary, "web-canary-1", "CrashLoopBackOff", false),
        ];
        let later = now() + SignedDuration::from_secs(30);
        assert_snapshot!("release", tree(&at_a_step(), &pods, PLAIN, later));
        assert_snapshot!("run", analysis::run(&at_a_step().view.rollout.unwrap().analyses[0], PLAIN, later));
        let wide = Style { wide: true, ..PLAIN };
        assert_snapshot!("wide", pods_text(&pods, wide) + &table(&[at_a_step()], wide, later));
        assert_snapshot!("table", table(&[at_a_step(), subject(RolloutState::default())], PLAIN, later));
    }

    #[test]
    fn a_line_says_why_a_release_stands_still() {
        let aborted = Stage::Aborted { since: now(), message: "RolloutAborted: bad".into() };
        assert_eq!(
            line(&subject(state(&seen(4, "web:2", true), aborted))),
            "Degraded, weight 50: RolloutAborted: bad"
        );
    }

    #[test]
    fn an_abort_is_shown_with_what_failed_what_had_changed_and_what_to_do() {
        let aborted = Stage::Aborted { since: now(), message: "RolloutAborted: bad".into() };
        let mut recorded = state(&seen(4, "web:2", true), aborted);
        recorded.add_report(AbortReport {
            revision: 2,
            attempt: 1,
            metrics: vec!["errors: [0.01], [0.5] (good if result[0] < 0.05)".to_owned()],
            pods: Some("pod web-canary-1: web: OOMKilled (exit code 137)".to_owned()),
            changes: vec!["container web: image web:1 → web:2".into(), "container web: env added: A".into()],
            back_after_seconds: Some(7),
        });
        assert_snapshot!("aborted", tree(&subject(recorded), &[], PLAIN, now()));
    }

    #[test]
    fn colours_are_for_terminals_only() {
        let colored = tree(&at_a_step(), &[], Style { color: true, wide: false }, now());
        assert!(colored.contains("\u{1b}[33m"), "{colored}");
        assert!(!tree(&at_a_step(), &[], PLAIN, now()).contains('\u{1b}'));
    }
}
