//! Runs every line of a file and counts what came of it.

use crate::differences::{Kind, Rule};
use serde_json::Value;
use std::collections::BTreeMap;

/// What came of one line.
pub enum Outcome {
    /// Haldane answers as Argo does.
    Passed,
    /// It answers otherwise, on purpose or as a known gap.
    Different(&'static Rule),
    /// It answers otherwise, and nothing says why.
    Failed(String),
}

/// Runs `check` on each line of `text`, prints the figures, and fails if a line failed.
pub fn run(file: &str, text: &str, check: impl Fn(&Value) -> Outcome) {
    let mut passed = 0;
    let mut by_rule: BTreeMap<&str, (&Rule, Vec<String>)> = BTreeMap::new();
    let mut failures = Vec::new();
    for line in text.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let id = line["id"].as_str().unwrap().to_owned();
        match check(&line) {
            Outcome::Passed => passed += 1,
            Outcome::Different(rule) => by_rule.entry(rule.name).or_insert((rule, Vec::new())).1.push(id),
            Outcome::Failed(why) => failures.push(format!("{id} ({}): {why}", line["why"].as_str().unwrap())),
        }
    }
    let count = |kind| {
        by_rule.values().filter(|(rule, _)| rule.kind == kind).map(|(_, ids)| ids.len()).sum::<usize>()
    };
    println!(
        "{file}: {passed} passed, {} different on purpose, {} known gap, {} not applicable, {} failed",
        count(Kind::OnPurpose),
        count(Kind::KnownGap),
        count(Kind::NotApplicable),
        failures.len()
    );
    for (rule, ids) in by_rule.values() {
        println!("  {:3} {} ({}): {} [{}]", ids.len(), rule.name, rule.kind, rule.reason, ids.join(" "));
    }
    assert!(failures.is_empty(), "{file}:\n{}", failures.join("\n"));
}
