//! Whether stable keeps serving while its Deployment replaces it, and comes back when a release is aborted.

use crate::admit::object::Object;
use crate::{
    document::finding::{Finding, Findings},
    domain::k8s::json_pointer::part,
};
use serde_json::Value;

/// What Kubernetes uses where `maxSurge` or `maxUnavailable` is absent.
const DEFAULT_SHARE: &str = "25%";

/// Settings of the Deployment with which no canary is safe, whatever else is in the namespace.
#[must_use]
pub fn unsafe_settings(object: Object<'_>) -> Findings {
    let kind = part(object.0, "/spec/strategy/type").and_then(Value::as_str).unwrap_or("RollingUpdate");
    let recreate = (kind != "RollingUpdate").then(|| {
        Finding::new(
            "spec.strategy.type",
            kind,
            "a canary needs RollingUpdate: stable must keep serving while it is replaced, or requests fail; remove spec.strategy, or opt out",
        )
    });
    let limit = part(object.0, "/spec/revisionHistoryLimit").and_then(Value::as_i64);
    let forgetful = limit.filter(|limit| *limit < 1).map(|limit| {
        Finding::new(
            "spec.revisionHistoryLimit",
            limit,
            "must be 1 or more: otherwise Kubernetes deletes stable's ReplicaSet when it is scaled to 0 during a canary, and stable cannot come back; remove the field (the default is 10), or opt out",
        )
    });
    recreate.into_iter().chain(forgetful).collect()
}

/// Whether Kubernetes may remove every pod of stable before the first new one is ready. It is refused where only a route
/// reaches the canary, and a warning where canary pods stay behind the user's Service (`by_pods`).
#[must_use]
pub fn empties(object: Object<'_>, by_pods: bool) -> (Findings, Vec<String>) {
    let replicas = object.replicas();
    let setting = |name: &str| part(object.0, "/spec/strategy/rollingUpdate")?.get(name);
    let (surge, unavailable) = (setting("maxSurge"), setting("maxUnavailable"));
    // Source: kubernetes `pkg/controller/deployment/util`, `ResolveFenceposts`.
    let may_go = match (pods(surge, replicas, true), pods(unavailable, replicas, false)) {
        (0, 0) => 1,
        (_, unavailable) => unavailable,
    };
    if replicas == 0 || may_go < replicas {
        return (Findings::new(), Vec::new());
    }
    let consequence = if by_pods {
        "promotion may leave only canary pods to serve"
    } else {
        "promotion may remove every pod of stable before a new one is ready, and its Service answers with errors until then, also while the canary has all of the traffic"
    };
    let of = if replicas == 1 { "its one pod".to_owned() } else { format!("all {replicas} pods") };
    let problem = format!(
        "with maxSurge {} it allows {of} to be unavailable: {consequence}; set maxUnavailable: 0 and maxSurge: 1 or more",
        shown(surge)
    );
    let finding = Finding::new("spec.strategy.rollingUpdate.maxUnavailable", shown(unavailable), problem);
    if by_pods { (Findings::new(), vec![finding.to_string()]) } else { (vec![finding], Vec::new()) }
}

/// The number of pods that a setting means: Kubernetes rounds a share up for `maxSurge` and down for `maxUnavailable`.
fn pods(setting: Option<&Value>, replicas: i64, rounds_up: bool) -> i64 {
    let default = Value::from(DEFAULT_SHARE);
    match setting.unwrap_or(&default) {
        Value::String(share) => {
            // The API server lets nothing else pass.
            let percent: i64 = share.trim_end_matches('%').parse().unwrap_or(0);
            let parts = percent.saturating_mul(replicas);
            let rest = if rounds_up { 99 } else { 0 };
            parts.saturating_add(rest) / 100
        }
        number => number.as_i64().unwrap_or(0),
    }
}

fn shown(setting: Option<&Value>) -> String {
    match setting {
        None => DEFAULT_SHARE.to_owned(),
        Some(Value::String(share)) => share.clone(),
        Some(number) => number.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn is_refused(replicas: i64, rolling: &Value) -> bool {
        let object = json!({"spec": {"replicas": replicas, "strategy": {"rollingUpdate": rolling}}});
        !empties(Object(&object), false).0.is_empty()
    }

    #[test]
    fn only_what_lets_every_pod_go_is_refused() {
        for (replicas, rolling) in [
            (1, json!({"maxUnavailable": 1})),
            (1, json!({"maxSurge": 0})),
            (1, json!({"maxSurge": 0, "maxUnavailable": 0})),
            (1, json!({"maxSurge": "0%", "maxUnavailable": "25%"})),
            (2, json!({"maxUnavailable": 2})),
            (3, json!({"maxUnavailable": "100%"})),
            (2, json!({"maxUnavailable": 5})),
        ] {
            assert!(is_refused(replicas, &rolling), "{replicas} {rolling}");
        }
        for (replicas, rolling) in [
            (1, json!({})),
            (1, Value::Null),
            (1, json!({"maxSurge": "25%", "maxUnavailable": "25%"})),
            (1, json!({"maxSurge": 1, "maxUnavailable": 0})),
            (2, json!({"maxUnavailable": "50%"})),
            (4, json!({"maxSurge": 0, "maxUnavailable": 1})),
            (0, json!({"maxUnavailable": 1})),
        ] {
            assert!(!is_refused(replicas, &rolling), "{replicas} {rolling}");
        }
    }
}
