//! Recorded answers of Argo Rollouts 1.9, each line run through the real code.
//!
//! A line passes, differs by a named rule of [`differences`], does not apply to Haldane, or fails the test. `make
//! conformance` prints the figures, `make conformance DIR=folder` the recordings in another folder of this format.
// The lints allow it in test functions; their helpers are tests as well.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod args;
mod assess;
mod conditions;
mod differences;
mod evaluate;
mod outcomes;
mod prometheus;
mod provider;
mod refusals;
mod replay;
mod replicas;
mod report;
mod steps;
mod strategy;
mod values;
mod web;

use report::{Figures, Recording};
use std::fs;

static RECORDINGS: &[Recording] = &[
    Recording { file: "args.jsonl", check: args::check },
    Recording { file: "args-more.jsonl", check: args::check },
    Recording { file: "assess.jsonl", check: assess::check },
    Recording { file: "assess-more.jsonl", check: assess::check },
    Recording { file: "conditions.jsonl", check: conditions::check },
    Recording { file: "conditions-more.jsonl", check: conditions::check },
    Recording { file: "evaluate.jsonl", check: evaluate::check },
    Recording { file: "prometheus.jsonl", check: prometheus::check },
    Recording { file: "prometheus-more.jsonl", check: prometheus::check },
    Recording { file: "replicas.jsonl", check: replicas::check },
    Recording { file: "replicas-more.jsonl", check: replicas::check },
    Recording { file: "steps.jsonl", check: steps::check },
    Recording { file: "steps-more.jsonl", check: steps::check },
    Recording { file: "web.jsonl", check: web::check },
    Recording { file: "web-more.jsonl", check: web::check },
];

#[test]
fn haldane_answers_as_argo_does() {
    let folder = report::folder();
    let mut all = Figures::default();
    for recording in RECORDINGS {
        let Some(figures) = recording.run(&folder) else {
            println!("{:18} is not in {}", recording.file, folder.display());
            continue;
        };
        print!("{}\n{}", figures.line(recording.file), figures.details());
        all.add(figures);
    }
    println!("{}", all.line("total"));
    assert!(all.passed > 0, "{} has no recordings", folder.display());
    assert!(all.failed.is_empty(), "{} lines failed:\n{}", all.failed.len(), all.details());
    if folder == report::own_folder() {
        assert_documented(&all);
    }
}

/// The page of differences follows from the recordings; `UPDATE_DOCS=1` writes it.
fn assert_documented(all: &Figures) {
    const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/conformance.md");
    let text = all.page();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(PAGE, &text).unwrap();
    }
    let written = fs::read_to_string(PAGE).unwrap_or_default();
    assert!(written == text, "docs/conformance.md is not what this run found; run `make docs`");
}

#[test]
fn every_recording_has_its_check() {
    for entry in fs::read_dir(report::folder()).unwrap() {
        let path = entry.unwrap().path();
        let known = RECORDINGS.iter().any(|recording| path.ends_with(recording.file));
        let is_recording = path.extension().is_some_and(|extension| extension == "jsonl");
        assert!(known || !is_recording, "nothing checks {}", path.display());
    }
}
