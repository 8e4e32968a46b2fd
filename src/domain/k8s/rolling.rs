//! How many pods a rolling update may have away at once.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

/// What Kubernetes uses where `maxSurge` or `maxUnavailable` is absent.
pub const DEFAULT_SHARE: &str = "25%";

/// Whether `maxSurge` and `maxUnavailable` let a Deployment of this size lose every pod before a new one is ready.
#[must_use]
pub fn empties(surge: Option<&IntOrString>, unavailable: Option<&IntOrString>, replicas: i64) -> bool {
    // Source: kubernetes `pkg/controller/deployment/util`, `ResolveFenceposts`.
    let may_go = match (pods(surge, replicas, true), pods(unavailable, replicas, false)) {
        (0, 0) => 1,
        (_, unavailable) => unavailable,
    };
    replicas > 0 && may_go >= replicas
}

/// All pods of a Deployment of this size, in words.
#[must_use]
pub fn all_of(replicas: i64) -> String {
    if replicas == 1 { "its one pod".to_owned() } else { format!("all {replicas} pods") }
}

/// A setting as it is written.
#[must_use]
pub fn shown(setting: Option<&IntOrString>) -> String {
    match setting {
        None => DEFAULT_SHARE.to_owned(),
        Some(IntOrString::String(share)) => share.clone(),
        Some(IntOrString::Int(number)) => number.to_string(),
    }
}

/// The number of pods that a setting means: Kubernetes rounds a share up for `maxSurge` and down for `maxUnavailable`.
fn pods(setting: Option<&IntOrString>, replicas: i64, rounds_up: bool) -> i64 {
    let default = IntOrString::String(DEFAULT_SHARE.to_owned());
    match setting.unwrap_or(&default) {
        IntOrString::Int(number) => i64::from(*number),
        IntOrString::String(share) => {
            // The API server lets nothing else pass.
            let percent: i64 = share.trim_end_matches('%').parse().unwrap_or(0);
            let parts = percent.saturating_mul(replicas);
            let rest = if rounds_up { 99 } else { 0 };
            parts.saturating_add(rest) / 100
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_lets_every_pod_go_empties() {
        let read = |text: &str| match text.parse() {
            Ok(number) => Some(IntOrString::Int(number)),
            Err(_) => (!text.is_empty()).then(|| IntOrString::String(text.to_owned())),
        };
        let is = |replicas, surge: &str, unavailable: &str| {
            empties(read(surge).as_ref(), read(unavailable).as_ref(), replicas)
        };
        for (replicas, surge, unavailable) in [
            (1, "", "1"),
            (1, "0", ""),
            (1, "0", "0"),
            (1, "0%", "25%"),
            (2, "", "2"),
            (3, "", "100%"),
            (2, "", "5"),
        ] {
            assert!(is(replicas, surge, unavailable), "{replicas} {surge} {unavailable}");
        }
        for (replicas, surge, unavailable) in
            [(1, "", ""), (1, "25%", "25%"), (1, "1", "0"), (2, "", "50%"), (4, "0", "1"), (0, "", "1")]
        {
            assert!(!is(replicas, surge, unavailable), "{replicas} {surge} {unavailable}");
        }
    }
}
