//! Random plans, as users write them.

use crate::rng::Rng;
use haldane::domain::{keys, selector::Labels};

const METRICS: &str = r#"
metrics:
  - name: share
    interval: 10s
    count: 2
    failureLimit: 0
    successCondition: "result[0] > 0.9"
    failureCondition: "result[0] < 0.5"
    consecutiveErrorLimit: 2
    provider: {prometheus: {query: "share"}}
"#;

/// The annotations of a Deployment.
pub fn annotations(rng: &mut Rng) -> Labels {
    let count = 1 + rng.below(5);
    let steps: Vec<String> = (0..count).map(|_| format!("{{{}}}", step(rng))).collect();
    let mut canary = format!("{{steps: [{}]", steps.join(", "));
    if rng.chance(40) {
        canary += &format!(", analysis: {{startingStep: {}}}", rng.below(count));
    }
    if rng.chance(30) {
        canary += &format!(", abortScaleDownDelaySeconds: {}", rng.pick(&[0, 1, 120]));
    }
    canary += ", trafficRouting: {nginx: {additionalIngressAnnotations: {canary-by-header: X-Canary}}}}";
    let mut annotations = Labels::from([(keys::CANARY.to_owned(), canary)]);
    if rng.chance(60) || annotations[keys::CANARY].contains("analysis") {
        annotations.insert(keys::ANALYSIS.to_owned(), METRICS.to_owned());
    }
    if rng.chance(20) {
        annotations.insert(keys::RESTART.to_owned(), "canary".to_owned());
    }
    annotations
}

fn step(rng: &mut Rng) -> &'static str {
    rng.pick(&[
        "setWeight: 5",
        "setWeight: 25",
        "setWeight: 50",
        "setWeight: 100",
        "setWeight: 0",
        "pause: {duration: 10}",
        "pause: {duration: 1m}",
        "pause: {}",
        "analysis: {}",
        "analysis: {}",
    ])
}
