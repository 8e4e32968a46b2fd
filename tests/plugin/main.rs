//! The commands of `kubectl canary` that need no cluster, on the manifests of the examples and on wrong ones.
// The lints allow it in test functions; their helpers are tests as well.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod convert;
mod krew;

use insta::assert_snapshot;
use std::{
    io::Write,
    process::{Command, Stdio},
};

/// Exit code, standard output and standard error of `kubectl canary`.
fn canary(args: &[&str], input: &str) -> (i32, String, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_kubectl-canary"))
        .args(args)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// A Deployment with this plan, and what routes to it.
fn app(plan: &str) -> String {
    format!(
        "apiVersion: apps/v1
kind: Deployment
metadata: {{name: web, annotations: {{haldane.dev/canary: '{plan}'}}}}
spec:
  replicas: 4
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec: {{containers: [{{name: web, image: web, readinessProbe: {{httpGet: {{port: 80}}}}}}]}}
---
apiVersion: v1
kind: Service
metadata: {{name: web}}
spec: {{selector: {{app: web}}, ports: [{{port: 80}}]}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {{name: web}}
spec:
  ingressClassName: nginx
  rules:
  - host: web.example.com
    http: {{paths: [{{path: /, pathType: Prefix, backend: {{service: {{name: web, port: {{number: 80}}}}}}}}]}}
"
    )
}

#[test]
fn every_example_passes_lint() {
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/examples")).unwrap() {
        let folder = entry.unwrap().path();
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        if !folder.is_dir() || ["demo", "sample-app"].contains(&name.as_str()) {
            continue;
        }
        let (code, out, err) = canary(&["lint", "-f", &format!("examples/{name}")], "");
        assert_eq!(code, 0, "{name}: {out}{err}");
    }
}

#[test]
fn a_plan_shows_every_step_without_a_cluster() {
    let (code, out, err) =
        canary(&["plan", "-n", "shop", "-f", "-"], &app("{steps: [{setWeight: 25}, {pause: {}}]}"));
    assert_eq!((code, err.as_str()), (0, ""));
    assert_snapshot!("a_plan", out);
}

#[test]
fn a_wrong_plan_is_refused_with_admissions_words() {
    let (code, out, _) = canary(&["lint", "-f", "-"], &app("{steps: [{setWeight: 250}, {puase: {}}]}"));
    assert_eq!(code, 1, "{out}");
    assert_snapshot!("a_wrong_plan", out);
    let (code, out, _) = canary(&["lint", "-o", "sarif", "-f", "-"], &app("{steps: [{setWeight: 250}]}"));
    let sarif: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &sarif["runs"][0]["results"][0]["level"]), (1, &"error".into()), "{sarif}");
}

#[test]
fn a_manifest_of_another_shape_is_no_reason_to_panic() {
    for text in ["kind: Deployment\napiVersion: apps/v1\nmetadata: 1\nspec: 2\n", "[1, 2]", "kind: 1", "~"] {
        let (code, _, err) = canary(&["plan", "-f", "-"], text);
        assert!([0, 1].contains(&code) && !err.contains("panicked"), "{text}: {err}");
    }
}

#[test]
fn a_field_is_explained_and_a_misspelt_one_gets_the_nearest() {
    let (code, out, _) = canary(&["explain", "canary.steps.pause"], "");
    assert!(code == 0 && out.contains("pause: {duration: 5m}"), "{out}");
    let (code, _, err) = canary(&["explain", "canary.stpes"], "");
    assert_eq!(
        (code, err.as_str()),
        (1, "error: there is no field canary.stpes; did you mean canary.steps?\n")
    );
}

#[test]
fn kubectl_completes_by_another_name_of_the_binary() {
    let link = format!("{}/kubectl_complete-canary", env!("CARGO_TARGET_TMPDIR"));
    drop(std::fs::remove_file(&link));
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_kubectl-canary"), &link).unwrap();
    let output = Command::new(link).args(["lint", "-o", "s"]).output().unwrap();
    let out = String::from_utf8(output.stdout).unwrap();
    assert!(out.starts_with("sarif\tSARIF 2.1.0") && out.ends_with("\n:4\n"), "{out}");
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let (code, out, err) = canary(&["lint", "-f", "nowhere.yaml"], "");
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(err.starts_with("error: cannot read nowhere.yaml: "), "{err}");
}
