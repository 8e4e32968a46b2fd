//! Outputs in the documentation are what the program prints.

use super::{files, root};
use regex::{Captures, Regex};
use serde_json::{Value, json};
use std::{
    fs,
    io::Write,
    process::{Command, Stdio},
};

/// A marker, and the block after it.
const BLOCK: &str = r"<!-- output: (?<file>\S+) -->\n```(?<kind>\w+)\n(?s:.*?)```\n";

/// What a snapshot holds, below its head.
fn snapshot(file: &str) -> String {
    let text = fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
    let (_, body) = text.strip_prefix("---\n").unwrap().split_once("\n---\n").unwrap();
    body.trim_matches('\n').to_owned()
}

#[test]
fn every_output_is_fresh() {
    let block = Regex::new(BLOCK).unwrap();
    let mut count = 0;
    for page in files(".md") {
        let written = fs::read_to_string(&page).unwrap();
        let text = block.replace_all(&written, |found: &Captures<'_>| {
            count += 1;
            let [file, kind] = ["file", "kind"].map(|name| &found[name]);
            format!("<!-- output: {file} -->\n```{kind}\n{}\n```\n", snapshot(file))
        });
        if std::env::var_os("UPDATE_DOCS").is_some() && text != written {
            fs::write(&page, text.as_ref()).unwrap();
        } else {
            assert!(text == written, "{} is not what the snapshots say; run `make docs`", page.display());
        }
    }
    assert!(count > 2, "{count} outputs");
}

/// README's Deployment, as its command opts it in, and what routes to it.
fn application(readme: &str) -> String {
    let annotation = Regex::new(r"(?m)^  (haldane\.dev/\w+)='(.*)'").unwrap();
    let annotations: serde_json::Map<String, Value> =
        annotation.captures_iter(readme).map(|found| (found[1].to_owned(), found[2].into())).collect();
    assert_eq!(annotations.len(), 2, "{annotations:?}");
    let (name, pods) = (json!({"name": "web"}), json!({"app": "web"}));
    let container = json!({"name": "web", "image": "web", "readinessProbe": {"httpGet": {"port": 80}}});
    let backend = json!({"service": {"name": "web", "port": {"number": 80}}});
    let path = json!({"path": "/", "pathType": "Prefix", "backend": backend});
    let objects = [
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "web", "annotations": annotations},
            "spec": {"replicas": 4, "selector": {"matchLabels": pods}, "template": {
                "metadata": {"labels": pods}, "spec": {"containers": [container]}}},
        }),
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": name,
            "spec": {"selector": pods, "ports": [{"port": 80}]},
        }),
        json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": name,
            "spec": {"ingressClassName": "nginx", "rules": [{"host": "web.example.com", "http": {"paths": [path]}}]},
        }),
    ];
    objects.map(|object| object.to_string()).join("\n---\n")
}

/// What `kubectl canary plan` prints, as the warnings of a dry run.
fn warnings(manifests: &str) -> String {
    let mut child = Command::new(env!("CARGO_BIN_EXE_kubectl-canary"))
        .args(["plan", "-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(manifests.as_bytes()).unwrap();
    let printed = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    let lines = printed.lines().filter_map(|line| line.strip_prefix("  "));
    lines.flat_map(|line| ["Warning: haldane: ", line, "\n"]).collect()
}

/// The last line is of a query, which needs Prometheus.
#[test]
fn the_preview_in_readme_is_fresh() {
    let path = root().join("README.md");
    let written = fs::read_to_string(&path).unwrap();
    let block = Regex::new(
        r"(?<before>--dry-run=server\n)(?s:.*?)(?<after>Warning: haldane: plan: on stable, .*\ndeployment.apps/web env updated \(server dry run\)\n```)",
    );
    let text = block.unwrap().replace(&written, |found: &Captures<'_>| {
        format!("{}{}{}", &found["before"], warnings(&application(&written)), &found["after"])
    });
    assert!(text.contains("Warning: haldane: plan 1/4: "), "{text}");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, text.as_ref()).unwrap();
    } else {
        assert!(text == written, "README.md does not show what the plan is; run `make docs`");
    }
}
