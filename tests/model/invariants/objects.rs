//! What may be written to Haldane's own objects.

use super::Violation;
use crate::sim::{cluster::Cluster, process::Request};
use haldane::{
    domain::{
        names::Weight,
        state::{Rollout, Stage},
        strategy::Step,
    },
    objects::manifest::{Kind, Manifest},
    routers::{self, nginx},
};
use serde_json::Value;

/// What an Ingress sends to the canary: its share, and whether requests with some header too.
fn traffic(ingress: &Manifest) -> (u8, bool) {
    let annotations = ingress.body["metadata"]["annotations"].as_object().unwrap();
    let weight = annotations["nginx.ingress.kubernetes.io/canary-weight"].as_str().unwrap();
    (weight.parse().unwrap(), annotations.keys().any(|key| key.contains("canary-by-")))
}

/// Pods of a canary Deployment that the user's own Service selects.
fn served_pods(deployment: &Manifest) -> i64 {
    let labels = deployment.body.pointer("/spec/template/metadata/labels/app").and_then(Value::as_str);
    if labels == Some("web") { deployment.body["spec"]["replicas"].as_i64().unwrap() } else { 0 }
}

/// An object that nobody wants any more sends nobody to the canary.
pub fn is_harmless(manifest: &Manifest) -> Result<(), Violation> {
    match manifest.kind {
        nginx::INGRESS if traffic(manifest) != (0, false) => {
            Err(format!("a replica that no longer leads has made an Ingress of {:?}", traffic(manifest)))
        }
        Kind::DEPLOYMENT if served_pods(manifest) > 0 => {
            Err("a replica that no longer leads has made canary pods behind the user's Service".to_owned())
        }
        _ => Ok(()),
    }
}

/// Traffic is never more than the recorded state allows, and the canary is never too small for it.
pub fn on_apply(
    manifest: &Manifest,
    request: &Request,
    tampered: bool,
    cluster: &Cluster,
) -> Result<(), Violation> {
    if !manifest.name.ends_with("-canary") && !manifest.name.starts_with("web-canary-") {
        return Err(format!("{} {} is not Haldane's", manifest.kind, manifest.name));
    }
    let state = cluster.state();
    match (manifest.kind, &state.rollout) {
        (nginx::INGRESS, Some(rollout)) => on_ingress(manifest, rollout, tampered, cluster),
        (Kind::DEPLOYMENT, Some(rollout)) => on_pods(served_pods(manifest), rollout, request),
        (nginx::INGRESS | Kind::DEPLOYMENT, None) => is_harmless(manifest),
        _ => Ok(()),
    }
}

/// The weight that the stage allows, and whether header routes may be on.
fn allowed(rollout: &Rollout) -> (Weight, bool) {
    match &rollout.stage {
        Stage::Start => (Weight::ZERO, true),
        Stage::Step { index, .. } => (rollout.strategy().weight_at(*index), true),
        // An order may have come at any step; until all traffic is shifted, its weight stays.
        Stage::PromoteScale => (most_until(rollout, rollout.strategy().steps.len()), true),
        Stage::PromoteShift | Stage::PromoteRoll => (Weight::FULL, true),
        Stage::Retreat { .. } | Stage::Aborted { .. } => (Weight::ZERO, false),
    }
}

/// The greatest weight up to the step at `last`.
fn most_until(rollout: &Rollout, last: usize) -> Weight {
    (0..=last).map(|index| rollout.strategy().weight_at(index)).max().unwrap_or(Weight::ZERO)
}

fn on_ingress(
    manifest: &Manifest,
    rollout: &Rollout,
    tampered: bool,
    cluster: &Cluster,
) -> Result<(), Violation> {
    let ((weight, has_routes), (most, routes)) = (traffic(manifest), allowed(rollout));
    if weight > most.percent() || (has_routes && !routes) {
        return Err(format!("weight {weight}, header routes {has_routes} in {:?}", rollout.stage));
    }
    let rises = cluster.weights.iter().rev().nth(1).is_none_or(|(_, last)| weight > *last);
    let sets = cluster.sets.iter().filter(|set| !set.owner.starts_with("web-"));
    let pods = sets.map(|set| set.pods.len()).sum::<usize>();
    // A user may give the canary a size of its own, or let steps go on with a part of it.
    let has_own_size = rollout.strategy().steps.iter().any(|step| matches!(step, Step::SetCanaryScale(_)));
    let needed = Weight::try_from(weight).unwrap().share_of(rollout.baseline_replicas);
    let needed = rollout.strategy().pods_needed(needed);
    if rises && !tampered && !has_own_size && i32::try_from(pods).unwrap() < needed {
        return Err(format!("weight rises to {weight} on {pods} pods, {needed} are needed"));
    }
    Ok(())
}

/// Where pods are the split, their number is the traffic.
fn on_pods(served: i64, rollout: &Rollout, request: &Request) -> Result<(), Violation> {
    // They are taken away only when the lower weight is known, so until then those of a higher one stay.
    let weight = match rollout.stage {
        Stage::Step { index, .. } => most_until(rollout, index),
        Stage::PromoteScale => Weight::FULL,
        _ => allowed(rollout).0,
    };
    let stable = request.look.seen.replicas().max(rollout.baseline_replicas);
    let most = routers::size::pods_for(rollout.strategy(), weight, stable);
    if served > i64::from(most) {
        return Err(format!("{served} canary pods are served in {:?}, at most {most} may be", rollout.stage));
    }
    Ok(())
}
