//! Secrets in templates: where they may stand, and where they would be stored.

use super::read;
use haldane::domain::keys;
use std::collections::BTreeMap;

const STEPS: (&str, &str) = (keys::CANARY, "steps: [{setWeight: 20}, {analysis: {}}]");
const ARGS: &str = "args: [{name: token, valueFrom: {secretKeyRef: {name: metrics, key: token}}}]";

fn problems(metric: &str) -> Vec<String> {
    let analysis = format!("{ARGS}\nmetrics: [{{name: m, provider: {metric}}}]");
    let declared = read(&[STEPS, (keys::ANALYSIS, &analysis)]).unwrap();
    let completed = declared.complete(&BTreeMap::new());
    completed.err().unwrap_or_default().iter().map(ToString::to_string).collect()
}

#[test]
fn a_secret_in_a_header_is_fine_and_in_a_job_it_would_be_stored() {
    let header = "{web: {url: 'https://metrics.example', headers: [{key: A, value: '{{args.token}}'}]}}";
    assert_eq!(problems(header), Vec::<String>::new());
    let job = "{job: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: a, image: a, args: ['{{args.token}}']}]}}}}}";
    let problem = "metric \"m\": the secret args.token would be stored in the job; use env[].valueFrom.secretKeyRef in its containers instead";
    assert!(problems(job)[0].ends_with(problem), "{:?}", problems(job));
}
