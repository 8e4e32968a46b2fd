//! Whether stable keeps serving while its Deployment replaces it, and comes back when a release is aborted.

use crate::admit::object::Object;
use crate::{
    document::finding::{Finding, Findings},
    domain::k8s::{json_pointer::part, rolling},
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::Value;

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
    // The API server lets nothing pass that is neither.
    let setting = |name: &str| -> Option<IntOrString> {
        let setting = part(object.0, "/spec/strategy/rollingUpdate")?.get(name)?;
        serde_json::from_value(setting.clone()).ok()
    };
    let (surge, unavailable) = (setting("maxSurge"), setting("maxUnavailable"));
    if !rolling::empties(surge.as_ref(), unavailable.as_ref(), replicas) {
        return (Findings::new(), Vec::new());
    }
    let consequence = if by_pods {
        "promotion may leave only canary pods to serve"
    } else {
        "promotion may remove every pod of stable before a new one is ready, and its Service answers with errors until then, also while the canary has all of the traffic"
    };
    let problem = format!(
        "with maxSurge {} it allows {} to be unavailable: {consequence}; set maxUnavailable: 0 and maxSurge: 1 or more",
        rolling::shown(surge.as_ref()),
        rolling::all_of(replicas)
    );
    let place = "spec.strategy.rollingUpdate.maxUnavailable";
    let finding = Finding::new(place, rolling::shown(unavailable.as_ref()), problem);
    if by_pods { (Findings::new(), vec![finding.to_string()]) } else { (vec![finding], Vec::new()) }
}
