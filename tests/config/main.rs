//! What users write: the examples, the registries' own examples, typical mistakes, and any text at all.
// The lints allow it in test functions; their helpers are tests as well.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod any_text;
mod examples;
mod plugins;
mod registries;
mod secrets;
mod steps;

use haldane::{
    config::{
        declared_plan::{DeclaredPlan, read_annotations},
        strategy::Defaults,
    },
    document::finding::Findings,
    domain::{k8s::selector::Labels, keys},
};

fn defaults() -> Defaults {
    Defaults { settle: "6s".parse().unwrap(), annotation_prefix: "nginx.ingress.kubernetes.io".into() }
}

/// Reads `haldane.dev/canary` alone.
fn canary(text: &str) -> Result<DeclaredPlan, Findings> {
    read(&[(keys::CANARY, text)])
}

fn read(annotations: &[(&str, &str)]) -> Result<DeclaredPlan, Findings> {
    let annotations: Labels = annotations.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    read_annotations(&annotations, &defaults())
}
