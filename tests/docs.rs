//! The documentation agrees with the code: the reference is generated from the tables that the parser reads, every
//! Event has a line, links have targets, and tests that are named exist.
//!
//! `make docs` (`UPDATE_DOCS=1`) writes `docs/reference.md`, `docs/troubleshooting.md` and the JSON Schema.
// The lints allow it in test functions; their helpers are tests as well.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "docs/compatibility.rs"]
mod compatibility;
#[path = "docs/notifications.rs"]
mod notifications;
#[path = "docs/plugin.rs"]
mod plugin;
#[path = "docs/reference.rs"]
mod reference;
#[path = "docs/rust_text.rs"]
mod rust_text;
#[path = "docs/schema.rs"]
mod schema;
#[path = "docs/schema_check.rs"]
mod schema_check;
#[path = "docs/troubleshooting.rs"]
mod troubleshooting;
#[path = "docs/watching.rs"]
mod watching;
#[path = "docs/words.rs"]
mod words;

use haldane::notify::REASONS;
use regex::Regex;
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

const REFERENCE: &str = "docs/reference.md";

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Files of the repository whose name ends so.
fn files(ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            match path.is_dir() {
                true if !["target", ".git", "node_modules"].contains(&name.as_str()) => folders.push(path),
                false if name.ends_with(ending) => found.push(path),
                _ => {}
            }
        }
    }
    assert!(!found.is_empty(), "no files *{ending}");
    found
}

#[test]
fn the_reference_is_fresh() {
    let path = root().join(REFERENCE);
    let text = reference::reference();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &text).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(written == text, "{REFERENCE} is not what the code says; run `make docs`");
}

#[test]
fn every_event_has_a_line() {
    let told = fs::read_to_string(root().join("docs/rollout.md")).unwrap();
    let direct = Regex::new(r#"Event::(?:normal|warning)\(\s*"(\w+)""#).unwrap();
    let by_phase = Regex::new(r#""((?:Metric|AnalysisRun)[A-Z]\w+)""#).unwrap();
    let mut reasons = BTreeSet::new();
    // The names of other tools' kinds look like reasons.
    let is_ours = |file: &&PathBuf| !file.starts_with(root().join("src/commands/canary/convert"));
    let code = files(".rs").into_iter().filter(|file| file.starts_with(root().join("src")));
    for file in code.collect::<Vec<_>>().iter().filter(is_ours) {
        let code = fs::read_to_string(file).unwrap();
        for found in direct.captures_iter(&code).chain(by_phase.captures_iter(&code)) {
            reasons.insert(found[1].to_owned());
        }
    }
    assert!(reasons.len() > 15, "{reasons:?}");
    let missing: Vec<_> = reasons.iter().filter(|reason| !told.contains(&format!("`{reason}`"))).collect();
    assert!(missing.is_empty(), "docs/rollout.md does not explain the Events {missing:?}");
    reasons.remove("NotificationFailed");
    let sent: BTreeSet<_> = REASONS.map(str::to_owned).into();
    assert_eq!(reasons, sent, "what notifications can be about");
}

/// A metric that is not in the table is not in the reference.
#[test]
fn every_metric_is_registered_by_the_table() {
    let direct: Vec<_> = files(".rs")
        .into_iter()
        .filter(|file| file.starts_with(root().join("src")) && !file.ends_with("runtime/metrics.rs"))
        .filter(|file| fs::read_to_string(file).unwrap().contains("registry.register("))
        .collect();
    assert!(direct.is_empty(), "these register metrics past `metrics::register`: {direct:?}");
}

#[test]
fn links_have_targets() {
    let link = Regex::new(r"\]\(([^)\s]+)\)").unwrap();
    let mut broken = Vec::new();
    for file in files(".md") {
        let text = fs::read_to_string(&file).unwrap();
        for found in link.captures_iter(&text) {
            let target = found[1].split('#').next().unwrap();
            let elsewhere = found[1].contains("://") || target.is_empty();
            if !elsewhere && !file.parent().unwrap().join(target).exists() {
                broken.push(format!("{}: {}", file.display(), &found[1]));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// A claim names the test that shows it, so the test must exist.
#[test]
fn tests_that_are_named_exist() {
    let code: String = files(".rs").iter().map(|file| fs::read_to_string(file).unwrap()).collect();
    let name = Regex::new(r"`([a-z0-9]+(?:_[a-z0-9]+){3,})`").unwrap();
    let mut missing = Vec::new();
    for file in files(".md").iter().filter(|file| is_prose(file)) {
        let text = fs::read_to_string(file).unwrap();
        // Metrics look the same.
        let named = name.captures_iter(&text).filter(|found| !found[1].starts_with("haldane_"));
        for found in named.filter(|found| !code.contains(&format!("fn {}(", &found[1]))) {
            missing.push(format!("{}: {}", file.display(), &found[1]));
        }
    }
    assert!(missing.is_empty(), "no such tests:\n{}", missing.join("\n"));
}

/// The table is about real clients, so the test of a row must run them on a real cluster.
#[test]
fn every_row_about_kubectl_names_what_shows_it_on_a_cluster() {
    let on_cluster = files(".rs").into_iter().filter(|file| file.starts_with(root().join("tests/e2e")));
    let code: String = on_cluster.map(|file| fs::read_to_string(file).unwrap()).collect();
    let text = fs::read_to_string(root().join("docs/kubectl.md")).unwrap();
    let table = text.lines().skip_while(|line| !line.starts_with("| --- ")).skip(1);
    let rows: Vec<_> = table.take_while(|line| line.starts_with("| ")).collect();
    assert!(rows.len() > 10, "{rows:#?}");
    let name = Regex::new("`([a-z0-9_]+)`").unwrap();
    for row in rows {
        let shown = row.trim_end_matches(" |").rsplit(" | ").next().unwrap();
        let mut names = name.captures_iter(shown).map(|found| found[1].to_owned()).peekable();
        assert!(names.peek().is_some(), "no test shows {row}");
        let missing: Vec<_> = names.filter(|name| !code.contains(&format!("fn {name}("))).collect();
        assert!(missing.is_empty(), "{missing:?} are not in tests/e2e, for {row}");
    }
}

fn is_prose(file: &Path) -> bool {
    file.parent() == Some(&root()) || file.starts_with(root().join("docs"))
}

#[test]
fn every_make_target_says_what_it_does() {
    let makefile = fs::read_to_string(root().join("Makefile")).unwrap();
    let phony: BTreeSet<_> = makefile.lines().filter_map(|line| line.strip_prefix(".PHONY: ")).collect();
    let help =
        Command::new("make").args(["--no-print-directory", "help"]).current_dir(root()).output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let missing: Vec<_> = phony.iter().filter(|target| !help.contains(&format!("\n  {target} "))).collect();
    assert!(missing.is_empty(), "`make help` lacks {missing:?}");
}
