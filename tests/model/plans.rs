//! Random plans, as users write them.

use crate::rng::Rng;
use haldane::domain::{k8s::selector::Labels, keys};
use std::fmt::Write as _;

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

/// Header routes of a plan: NGINX can hold one, so it is set by steps or by annotation.
const BY_ANNOTATION: &str =
    ", trafficRouting: {nginx: {additionalIngressAnnotations: {canary-by-header: X-Canary}}}";

/// What is split by a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    /// Requests, by an Ingress.
    Traffic,
    /// Pods behind the Service, because there is no Ingress.
    Pods,
}

/// A plan: which annotation holds it, and what that says.
pub type Plan = (&'static str, String);

/// The plan of a Deployment, and its other annotations.
pub fn annotations(rng: &mut Rng, split: Split) -> (Plan, Labels) {
    let plan = match split {
        Split::Traffic if rng.chance(15) => (keys::BLUE_GREEN, blue_green(rng)),
        _ => (keys::CANARY, canary(rng, split)),
    };
    let mut annotations = Labels::from([(plan.0.to_owned(), plan.1.clone())]);
    if rng.chance(40) || plan.1.to_lowercase().contains("analysis") {
        annotations.insert(keys::ANALYSIS.to_owned(), METRICS.to_owned());
    }
    if rng.chance(20) {
        annotations.insert(keys::RESTART.to_owned(), "canary".to_owned());
    }
    (plan, annotations)
}

fn canary(rng: &mut Rng, split: Split) -> String {
    let count = 1 + rng.below(5);
    let steps: Vec<String> = (0..count).map(|_| format!("{{{}}}", step(rng, split))).collect();
    let by_step = steps.iter().any(|step| step.contains("setHeaderRoute"));
    let mut plan = format!("{{steps: [{}]", steps.join(", "));
    if rng.chance(40) {
        write!(plan, ", analysis: {{startingStep: {}}}", rng.below(count)).unwrap();
    }
    plan += &settings(rng);
    if rng.chance(15) {
        plan += ", replicaProgressThreshold: {type: Percent, value: 50}";
    }
    if rng.chance(15) {
        plan += ", minPodsPerReplicaSet: 2";
    }
    if rng.chance(20) {
        plan += ", canaryService: web-canary";
    }
    if split == Split::Traffic {
        if rng.chance(15) {
            write!(plan, ", scaleDownDelaySeconds: {}", rng.pick(&[1, 60])).unwrap();
        }
        plan += if by_step { "" } else { BY_ANNOTATION };
    }
    plan + "}"
}

/// What canaries and blue-green have in common.
fn settings(rng: &mut Rng) -> String {
    let mut settings = String::new();
    if rng.chance(30) {
        write!(settings, ", abortScaleDownDelaySeconds: {}", rng.pick(&[0, 1, 120])).unwrap();
    }
    if rng.chance(15) {
        settings += ", rollbackWindow: {revisions: 1}";
    }
    settings
}

fn blue_green(rng: &mut Rng) -> String {
    let mut plan = format!("{{activeService: web, scaleDownDelaySeconds: {}", rng.pick(&[0, 5, 60]));
    plan += rng.pick(&["", ", autoPromotionEnabled: false", ", autoPromotionSeconds: 20"]);
    plan += rng.pick(&["", ", previewReplicaCount: 1"]);
    plan += rng.pick(&["", ", prePromotionAnalysis: {}", ", postPromotionAnalysis: {}"]);
    plan + &settings(rng) + "}"
}

fn step(rng: &mut Rng, split: Split) -> &'static str {
    match rng.below(if split == Split::Traffic { 5 } else { 4 }) {
        0..2 => {
            rng.pick(&["setWeight: 5", "setWeight: 25", "setWeight: 50", "setWeight: 100", "setWeight: 0"])
        }
        2 => rng.pick(&["pause: {duration: 10}", "pause: {duration: 1m}", "pause: {}"]),
        3 => rng.pick(&["analysis: {}", "analysis: {}", "pause: {duration: 10}, analysis: {}"]),
        _ => rng.pick(&[
            "setCanaryScale: {replicas: 2}",
            "setCanaryScale: {weight: 50}",
            "setCanaryScale: {matchTrafficWeight: true}",
            "setHeaderRoute: {name: testers, match: [{headerName: X-Canary, headerValue: {exact: \"1\"}}]}",
            "setHeaderRoute: {name: testers}",
        ]),
    }
}
