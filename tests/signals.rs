//! The dashboard and the alerts ask for metrics and labels that Haldane exports, in PromQL, and say what to do.
//!
//! `tests/chart` runs the alerts in promtool.
// The lints allow it in test functions; their helpers are tests as well.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use haldane::{domain::state::Phase, runtime::metrics::Metric};
use regex::Regex;
use serde_json::Value;
use std::{collections::BTreeSet, fs, path::Path};
use strum::IntoEnumIterator;

fn text(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

fn dashboard() -> Value {
    serde_json::from_str(&text("deploy/grafana/haldane.json")).unwrap()
}

fn alerts() -> Vec<Value> {
    let rules: Value = serde_saphyr::from_str(&text("deploy/alerts/haldane.yaml")).unwrap();
    let groups = rules["groups"].as_array().unwrap().iter();
    groups.flat_map(|group| group["rules"].as_array().unwrap().clone()).collect()
}

/// A query, and the labels that are read from its series.
struct Query {
    place: String,
    expr: String,
    read: Vec<String>,
}

fn of_alerts() -> Vec<Query> {
    let read = Regex::new(r"\$labels\.(\w+)").unwrap();
    let alerts = alerts().into_iter().map(|alert| Query {
        place: alert["alert"].as_str().unwrap().to_owned(),
        expr: alert["expr"].as_str().unwrap().to_owned(),
        read: read
            .captures_iter(&alert["annotations"].to_string())
            .map(|found| found[1].to_owned())
            .collect(),
    });
    alerts.collect()
}

fn of_dashboard() -> Vec<Query> {
    let read = Regex::new(r"\{\{(\w+)\}\}").unwrap();
    let dashboard = dashboard();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let of_panel = |panel: &Value| {
        let place = panel["title"].as_str().unwrap().to_owned();
        let targets = panel["targets"].as_array().cloned().unwrap_or_default().into_iter();
        let queries = targets.map(|target| Query {
            place: place.clone(),
            expr: target["expr"].as_str().unwrap().to_owned(),
            read: read
                .captures_iter(target["legendFormat"].as_str().unwrap())
                .map(|found| found[1].to_owned())
                .collect(),
        });
        queries.collect::<Vec<_>>()
    };
    panels.flat_map(of_panel).collect()
}

/// The metric that a series belongs to.
fn metric(series: &str) -> Option<Metric> {
    Metric::iter().find(|metric| {
        let rest = series.strip_prefix(metric.full_name().as_str());
        match metric.kind() {
            "histogram" => rest.is_some_and(|rest| ["_bucket", "_sum", "_count"].contains(&rest)),
            _ => rest == Some(""),
        }
    })
}

fn labels(metric: Metric, series: &str) -> BTreeSet<&'static str> {
    let own = metric.labels().split(", ").filter(|label| !label.is_empty());
    own.chain(series.ends_with("_bucket").then_some("le")).collect()
}

/// Values of a label that the code defines one by one; none where they are anybody's.
fn values(metric: Metric, label: &str) -> Option<BTreeSet<String>> {
    let quoted = Regex::new("`([A-Za-z]+)`").unwrap();
    match label {
        "phase" => Some(Phase::iter().map(|phase| <&str>::from(phase).to_owned()).collect()),
        // The rules are counted by the same decisions.
        "decision" => Some(documented(Metric::AdmissionDecisions, &quoted)),
        "category" | "result" | "verdict" | "outcome" => Some(documented(metric, &quoted)),
        _ => None,
    }
}

fn documented(metric: Metric, quoted: &Regex) -> BTreeSet<String> {
    quoted.captures_iter(metric.help()).map(|found| found[1].to_owned()).collect()
}

#[test]
fn every_metric_and_label_is_one_that_haldane_exports() {
    let series = Regex::new(r"(haldane_\w+)(?:\{([^}]*)\})?").unwrap();
    let matcher = Regex::new(r#"(\w+)(=|!=|=~|!~)"([^"]*)""#).unwrap();
    let grouping = Regex::new(r"(?:by|on) ?\(([^)]*)\)").unwrap();
    let queries: Vec<Query> = of_alerts().into_iter().chain(of_dashboard()).collect();
    assert!(queries.len() > 30, "{}", queries.len());
    for Query { place, expr, read } in queries {
        let mut known = BTreeSet::new();
        for found in series.captures_iter(&expr) {
            let metric = metric(&found[1]).unwrap_or_else(|| panic!("{place}: no metric {}", &found[1]));
            let labels = labels(metric, &found[1]);
            let matchers = found.get(2).map_or("", |matchers| matchers.as_str());
            for matcher in matcher.captures_iter(matchers) {
                let [label, value] = [1, 3].map(|group| matcher.get(group).unwrap().as_str());
                assert!(labels.contains(label), "{place}: {} has no label {label}", &found[1]);
                let Some(values) = values(metric, label) else { continue };
                for value in value.split('|') {
                    assert!(values.contains(value), "{place}: {label} is never {value:?}, but {values:?}");
                }
            }
            known.extend(labels);
        }
        assert!(!known.is_empty() || expr.contains("haldane_"), "{place}: {expr}");
        let grouped = grouping.captures_iter(&expr);
        let grouped = grouped.flat_map(|found| found[1].split(", ").map(str::to_owned).collect::<Vec<_>>());
        for label in grouped.chain(read).filter(|label| !label.is_empty()) {
            // Prometheus adds the address that it scraped.
            let is_known = known.contains(label.as_str()) || label == "instance";
            assert!(is_known, "{place}: no series of {expr} has a label {label}");
        }
    }
}

#[test]
fn every_query_is_promql() {
    for Query { place, expr, .. } in of_alerts().into_iter().chain(of_dashboard()) {
        let expr = expr.replace("$__rate_interval", "5m").replace("$__range", "6h");
        promql_parser::parser::parse(&expr).unwrap_or_else(|error| panic!("{place}: {error}: {expr}"));
    }
}

#[test]
fn the_dashboard_shows_every_metric() {
    let shown: String = of_dashboard().into_iter().map(|query| query.expr).collect();
    let missing: Vec<_> = Metric::iter().filter(|metric| !shown.contains(&metric.full_name())).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// Grafana asks each panel's targets by these; of two that are equal it shows one.
#[test]
fn panels_have_places_and_numbers_of_their_own() {
    let dashboard = dashboard();
    let panels = dashboard["panels"].as_array().unwrap();
    let numbers: BTreeSet<u64> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(numbers.len(), panels.len());
    let mut taken = BTreeSet::new();
    for panel in panels {
        let [x, y, w, h] = ["x", "y", "w", "h"].map(|side| panel["gridPos"][side].as_u64().unwrap());
        assert!(x + w <= 24, "{}", panel["title"]);
        for (column, line) in (x..x + w).flat_map(|column| (y..y + h).map(move |line| (column, line))) {
            assert!(taken.insert((column, line)), "{} covers another panel", panel["title"]);
        }
    }
}

/// Headings of a page, as links name them.
fn anchors(page: &str) -> BTreeSet<String> {
    let text = text(page);
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let anchor = |heading: &str| -> String {
        let plain = heading.trim_start_matches('#').trim().to_lowercase();
        let kept =
            plain.chars().filter(|letter| letter.is_alphanumeric() || [' ', '-', '_'].contains(letter));
        kept.map(|letter| if letter == ' ' { '-' } else { letter }).collect()
    };
    headings.map(anchor).collect()
}

#[test]
fn every_alert_says_what_to_do_and_where_it_is_explained() {
    let operations = text("docs/operations.md");
    for alert in alerts() {
        let name = alert["alert"].as_str().unwrap();
        let severity = alert["labels"]["severity"].as_str().unwrap_or_default();
        assert!(["critical", "warning", "info"].contains(&severity), "{name}: severity {severity:?}");
        let row = format!("\n| `{name}` | ");
        let row = operations.split_once(&row).unwrap_or_else(|| panic!("docs/operations.md lacks {name}")).1;
        assert!(row.lines().next().unwrap().ends_with(&format!("| {severity} |")), "{name}: {severity}");
        let annotations = &alert["annotations"];
        for key in ["summary", "description"] {
            assert!(annotations[key].as_str().is_some_and(|text| text.len() > 20), "{name}: {key}");
        }
        let link = annotations["runbook_url"].as_str().unwrap_or_default();
        let (page, anchor) = link.split_once('#').unwrap_or((link, ""));
        assert!(anchor.is_empty() || anchors(page).contains(anchor), "{name}: {link}");
        assert!(text(page).len() > 100, "{name}: {link}");
    }
}
