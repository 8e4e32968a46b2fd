//! Analysis runs as text: verdicts, the last values, and the limits that they are compared with.

use super::style::{Style, Tone, ago, columns, sparkline};
use crate::{
    decide::view::{AnalysisView, MeasurementView, MetricView},
    domain::metric::AnalysisPhase,
};
use jiff::Timestamp;
use std::fmt::Write;

const fn verdict_tone(phase: AnalysisPhase) -> Tone {
    match phase {
        AnalysisPhase::Successful => Tone::Good,
        AnalysisPhase::Failed | AnalysisPhase::Error => Tone::Bad,
        AnalysisPhase::Inconclusive | AnalysisPhase::Pending | AnalysisPhase::Running => Tone::Notice,
    }
}

/// An analysis run, a line for each metric.
#[must_use]
pub fn summary(analysis: &AnalysisView, style: Style, now: Timestamp) -> String {
    let place = analysis.step.map_or("background".to_owned(), |step| format!("step {}", step + 1));
    let title = format!("Analysis {} ({place})", analysis.name);
    let phase = style.paint(verdict_tone(analysis.phase), &analysis.phase.to_string());
    let mut text = format!("\n{} {phase}\n", style.paint(Tone::Strong, &title));
    if !analysis.message.is_empty() {
        let _ = writeln!(text, "  {}", analysis.message);
    }
    let rows: Vec<Vec<String>> = analysis.metrics.iter().map(|metric| metric_row(metric, now)).collect();
    text += &columns(&rows, |row, column, cell| match (column, analysis.metrics.get(row)) {
        (1, Some(metric)) => style.paint(verdict_tone(metric.phase), cell),
        (3, Some(metric)) => painted_bars(metric, style, cell),
        _ => cell.to_owned(),
    });
    text
}

/// A bar in the colour of its measurement's verdict.
fn painted_bars(metric: &MetricView, style: Style, cell: &str) -> String {
    let verdicts = numbers(metric).map(|(_, phase)| Some(phase)).chain(std::iter::repeat(None));
    let bar = |(bar, verdict): (char, Option<AnalysisPhase>)| match verdict {
        Some(phase) => style.paint(verdict_tone(phase), &bar.to_string()),
        None => bar.to_string(),
    };
    cell.chars().zip(verdicts).map(bar).collect()
}

/// The last values as bars, and the lowest and the highest of them.
fn bars(metric: &MetricView) -> String {
    let values: Vec<f64> = numbers(metric).map(|(value, _)| value).collect();
    let finite = || values.iter().copied().filter(|value| value.is_finite());
    match (finite().reduce(f64::min), finite().reduce(f64::max)) {
        (Some(low), Some(high)) if low < high => format!("{} {low}…{high}", sparkline(&values)),
        _ => sparkline(&values),
    }
}

fn metric_row(metric: &MetricView, now: Timestamp) -> Vec<String> {
    let newest = metric.measurements.last();
    let last = match newest {
        Some(taken) => format!("{} {}", value_of(taken.value.as_deref(), &taken.message), ago(taken.at, now)),
        None => "not measured yet".to_owned(),
    };
    let limits = [("good if", &metric.success_condition), ("bad if", &metric.failure_condition)];
    let limits = limits.iter().filter_map(|(word, limit)| Some(format!("{word} {}", limit.as_ref()?)));
    let counts = [
        ("good", metric.successful),
        ("bad", metric.failed),
        ("undecided", metric.inconclusive),
        ("errors", metric.error),
    ];
    let counts = counts.iter().filter(|(_, count)| *count > 0).map(|(word, count)| format!("{count} {word}"));
    vec![
        format!("  {}", metric.name),
        metric.phase.to_string(),
        counts.collect::<Vec<_>>().join(", "),
        bars(metric),
        last,
        limits.collect::<Vec<_>>().join(", "),
    ]
}

fn value_of(value: Option<&str>, message: &str) -> String {
    value.filter(|value| !value.is_empty()).unwrap_or(message).to_owned()
}

/// The measurements that are one number, and their verdicts.
fn numbers(metric: &MetricView) -> impl Iterator<Item = (f64, AnalysisPhase)> {
    metric.measurements.iter().filter_map(|taken| Some((number(taken)?, taken.phase)))
}

/// The value of a measurement that is one number.
pub fn number(taken: &MeasurementView) -> Option<f64> {
    taken.value.as_deref()?.trim_matches(['[', ']']).parse().ok()
}

/// Each measurement of a run.
#[must_use]
pub fn run(analysis: &AnalysisView, style: Style, now: Timestamp) -> String {
    let mut text = summary(analysis, style, now);
    for metric in &analysis.metrics {
        let _ = writeln!(text, "\n  {} ({})", style.paint(Tone::Strong, &metric.name), metric.provider);
        for line in metric.query.iter().flat_map(|query| query.lines()) {
            let _ = writeln!(text, "    {}", style.paint(Tone::Faint, line));
        }
        let rows: Vec<Vec<String>> = metric
            .measurements
            .iter()
            .map(|taken| {
                vec![
                    format!("    {}", taken.at),
                    taken.phase.to_string(),
                    taken.value.clone().unwrap_or_default(),
                    taken.message.clone(),
                ]
            })
            .collect();
        text += &columns(&rows, |row, column, cell| match (column, metric.measurements.get(row)) {
            (1, Some(taken)) => style.paint(verdict_tone(taken.phase), cell),
            _ => cell.to_owned(),
        });
    }
    text
}
