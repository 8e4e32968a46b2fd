//! `kubectl canary convert`, on objects of Argo Rollouts and Flagger.

use super::canary;
use insta::assert_snapshot;

/// Exit code, and everything that is printed, of a conversion of one of the files next to this one.
fn converted(name: &str) -> (i32, String, String) {
    canary(&["convert", "-f", &format!("tests/plugin/convert/{name}.yaml")], "")
}

fn neighbours(name: &str) -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/plugin/convert");
    let text = std::fs::read_to_string(format!("{folder}/{name}.yaml")).unwrap();
    let around = |document: &&str| {
        ["Service", "Ingress"].iter().any(|kind| document.contains(&format!("kind: {kind}\n")))
    };
    // The canary's Service is Haldane's from now on.
    let documents =
        text.split("---\n").filter(around).filter(|document| !document.contains("name: shop-canary"));
    documents.collect::<Vec<_>>().join("---\n")
}

#[test]
fn what_can_be_carried_over_lints_clean() {
    for name in ["argo-canary", "argo-blue-green", "flagger-nginx"] {
        let (code, out, err) = converted(name);
        assert_eq!(code, 0, "{name}: {err}");
        assert_snapshot!(name, format!("{out}\n{err}"));
        let (code, problems, err) = canary(&["lint", "-f", "-"], &format!("{out}---\n{}", neighbours(name)));
        assert_eq!(code, 0, "{name}: {problems}{err}\n{out}");
    }
}

#[test]
fn what_cannot_is_listed_with_object_field_and_advice() {
    for name in ["argo-lost", "flagger-lost", "flagger-gates"] {
        let (code, out, err) = converted(name);
        assert_eq!(code, 1, "{name}: {err}");
        assert_snapshot!(name, format!("{out}\n{err}"));
    }
}

#[test]
fn an_unknown_provider_stays_so_that_admission_refuses_it() {
    let (_, out, _) = converted("argo-lost");
    assert!(out.contains("datadog:"), "{out}");
}

#[test]
fn objects_of_any_shape_are_no_reason_to_panic() {
    let rollout = "apiVersion: argoproj.io/v1alpha1\nkind: Rollout\n";
    let canary_of = "apiVersion: flagger.app/v1beta1\nkind: Canary\n";
    for text in [
        format!("{rollout}metadata: 1\nspec: 2\n"),
        format!("{rollout}metadata: {{name: a, labels: 1, annotations: []}}\nspec: {{strategy: {{canary: [1]}}, template: 1}}\n"),
        format!("{rollout}metadata: {{name: a}}\nspec: {{strategy: {{canary: {{steps: 1, trafficRouting: 2, analysis: []}}}}}}\n"),
        format!("{rollout}metadata: {{name: a}}\nspec: {{workloadRef: 1, strategy: 2}}\n"),
        format!("{canary_of}metadata: 1\nspec: []\n"),
        format!("{canary_of}metadata: {{name: a}}\nspec: {{targetRef: {{kind: Deployment, name: a}}, service: 1, analysis: {{metrics: [1, {{}}], webhooks: 1, stepWeight: 0}}}}\n"),
        "apiVersion: argoproj.io/v1alpha1\nkind: AnalysisTemplate\nmetadata: {labels: 1}\nspec: {metrics: 1}\n".to_owned(),
    ] {
        let (code, _, err) = canary(&["convert", "-f", "-"], &text);
        assert!([0, 1].contains(&code) && !err.contains("panicked"), "{text}: {err}");
    }
}
