//! What must hold while writes are not accepted.

use super::Violation;
use crate::sim::{cluster::Cluster, writes::Verb};
use haldane::{
    decide::Event,
    domain::state::{Outcome, Rollout, Stage},
    objects::manifest::Kind,
    routers,
};
use serde_json::Value;

/// After a whole pass that was not disturbed; `refused` = one of its writes was not accepted.
pub fn after_pass(cluster: &Cluster, refused: bool, tampered: bool) -> Result<(), Violation> {
    let state = cluster.state();
    if cluster.is_opted_in() && cluster.is_watched() && state.refused.is_some() != refused {
        return Err(format!("a write was refused: {refused}, and the record says {:?}", state.refused));
    }
    if tampered { Ok(()) } else { after_retreat(cluster) }
}

/// After a pass of which no write has failed by chance: it has taken the traffic back, if any way to do that was open.
pub fn after_retreat(cluster: &Cluster) -> Result<(), Violation> {
    let state = cluster.state();
    let Some(rollout) = &state.rollout else { return Ok(()) };
    let Stage::Retreat { outcome, .. } = rollout.stage else { return Ok(()) };
    if outcome != Outcome::Promoted && has_traffic(cluster, rollout) && can_take_it(cluster, rollout) {
        return Err(format!(
            "{outcome}, but the canary keeps its traffic, with {:?} refused and {:?} failing",
            cluster.refusing, cluster.failing
        ));
    }
    Ok(())
}

/// The record never says a weight lower than what is in force.
pub fn is_honest(rollout: &Rollout, cluster: &Cluster) -> Result<(), Violation> {
    let (said, carried) = (rollout.traffic.at_most().percent(), cluster.weight().unwrap_or(0));
    if said < carried {
        return Err(format!("the record says weight {said}, and an Ingress has {carried}"));
    }
    Ok(())
}

/// No weight is announced that no Ingress has had.
pub fn on_event(event: &Event, cluster: &Cluster) -> Result<(), Violation> {
    let weight = || event.message.rsplit(' ').next()?.parse::<u8>().ok();
    let Some(weight) = weight().filter(|_| event.reason == "TrafficWeightUpdated") else { return Ok(()) };
    let state = cluster.state();
    let by_pods = state.rollout.as_ref().is_some_and(|rollout| routers::by_pods(rollout.strategy()));
    if by_pods || weight == 0 || cluster.weights.iter().any(|(_, had)| *had == weight) {
        return Ok(());
    }
    Err(format!("announces {:?}, and no Ingress had it", event.message))
}

fn has_traffic(cluster: &Cluster, rollout: &Rollout) -> bool {
    let replicas = cluster.canary().and_then(|canary| canary["spec"]["replicas"].as_i64()).unwrap_or(0);
    let is_routed = cluster.weight().unwrap_or(0) > 0 || cluster.has_routes();
    let owner = cluster.owner();
    let is_ours = |canary: &Value| owner.owns(canary);
    cluster.canary().is_some_and(is_ours)
        && replicas > 0
        && (is_routed || routers::by_pods(rollout.strategy()))
}

fn can_take_it(cluster: &Cluster, rollout: &Rollout) -> bool {
    let accepts = |verb| cluster.accepts(Kind::DEPLOYMENT.name(), verb);
    accepts(Verb::Update)
        || accepts(Verb::Delete)
        || (!routers::by_pods(rollout.strategy()) && !cluster.routes_are_fixed())
}
