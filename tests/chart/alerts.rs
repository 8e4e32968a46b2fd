//! The alerts, as Prometheus reads them. `tests/signals.rs` compares their metrics with the code.

use crate::{documents, output, text};
use serde_json::Value;

#[test]
fn prometheus_accepts_the_alerts_and_they_fire_when_they_must() {
    output("promtool", &["check", "rules", "--lint-fatal", "deploy/alerts/haldane.yaml"]);
    output("promtool", &["test", "rules", "deploy/alerts/tests.yaml"]);
}

#[test]
fn every_alert_is_seen_to_fire() {
    let rules = documents(&text("deploy/alerts/haldane.yaml")).remove(0);
    let groups = rules["groups"].as_array().unwrap().iter();
    let alerts: Vec<&Value> = groups.flat_map(|group| group["rules"].as_array().unwrap()).collect();
    assert!(alerts.len() > 10, "{alerts:?}");
    let tests = text("deploy/alerts/tests.yaml");
    for alert in alerts {
        let name = alert["alert"].as_str().unwrap();
        assert!(tests.contains(&format!("alertname=\"{name}\"")), "no test expects {name}");
    }
}
