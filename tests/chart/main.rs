//! What people install and look at next to the manifests, with the tools that read it: the chart with Helm, the alerts
//! with promtool, the scripts for Argo CD with its interpreter. `make chart` puts the tools on the PATH.
// The lints allow it in test functions; their helpers are tests as well.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod alerts;
mod argocd;
mod helm;
mod share;

use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(path: impl AsRef<Path>) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

/// The documents of a text.
fn documents(yaml: &str) -> Vec<Value> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(yaml).unwrap();
    documents.into_iter().filter(|document| !document.is_null()).collect()
}

/// Runs a tool in the repository's folder.
fn run(tool: &str, args: &[&str]) -> Output {
    let output = Command::new(tool).args(args).current_dir(root()).output();
    output.unwrap_or_else(|error| panic!("cannot run {tool}: {error}; run these tests with `make chart`"))
}

/// The standard output of a tool that succeeds.
fn output(tool: &str, args: &[&str]) -> String {
    let Output { status, stdout, stderr } = run(tool, args);
    let (stdout, stderr) = [stdout, stderr].map(|bytes| String::from_utf8(bytes).unwrap()).into();
    assert!(status.success(), "{tool} {}: {stdout}{stderr}", args.join(" "));
    stdout
}

/// A folder that only this test writes to.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&folder).unwrap();
    folder
}
