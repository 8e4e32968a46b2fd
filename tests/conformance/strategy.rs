//! Recorded Rollouts as Haldane reads them.

use crate::{
    differences::{DEFAULT_PLAN, NO_CANARY, Rule},
    refusals,
};
use haldane::{
    config::strategy::{Defaults, read_strategy},
    document::finding::Findings,
    domain::{names::Weight, strategy::CanaryStrategy},
    routers::size::canary_size,
};
use serde_json::Value;

/// A Rollout under way.
pub struct Rollout {
    pub strategy: CanaryStrategy,
    pub index: usize,
    pub aborted: bool,
    pub replicas: i32,
}

/// Reads `strategy.canary`.
pub fn read(canary: &Value) -> Result<CanaryStrategy, Findings> {
    let defaults =
        Defaults { settle: "6s".parse().unwrap(), annotation_prefix: "nginx.ingress.kubernetes.io".into() };
    read_strategy(canary, "canary", &defaults)
}

/// The Rollout of a line; or the rule by which there is none, or what is wrong with it.
pub fn rollout(recorded: &Value) -> Result<Rollout, Result<&'static Rule, String>> {
    let (spec, status) = (&recorded["spec"], &recorded["status"]);
    let canary = &spec["strategy"]["canary"];
    let is_empty = |hash: &Value| hash.as_str().is_none_or(str::is_empty);
    if is_empty(&status["stableRS"]) || status["stableRS"] == status["currentPodHash"] {
        return Err(Ok(&NO_CANARY));
    }
    let strategy = read(canary)
        .map_err(|findings| refusals::rule(&findings).ok_or_else(|| format!("refused: {findings:?}")))?;
    if canary["steps"].as_array().is_none_or(Vec::is_empty) {
        return Err(Ok(&DEFAULT_PLAN));
    }
    let index = if status["promoteFull"] == true {
        strategy.steps.len()
    } else {
        usize::try_from(status["currentStepIndex"].as_i64().unwrap_or(0)).unwrap()
    };
    let replicas = i32::try_from(spec["replicas"].as_i64().unwrap_or(1)).unwrap();
    Ok(Rollout { strategy, index, aborted: status["abort"] == true, replicas })
}

impl Rollout {
    /// Size of the canary: an aborted one goes, unless it is to be kept as it was.
    pub fn canary(&self) -> i32 {
        if self.aborted && self.strategy.abort_scale_down_delay.is_some() {
            return 0;
        }
        canary_size(&self.strategy, self.index, Weight::ZERO, self.replicas)
    }

    /// Traffic of the canary.
    pub fn weight(&self) -> Weight {
        match self.index {
            _ if self.aborted => Weight::ZERO,
            index if index >= self.strategy.steps.len() => Weight::FULL,
            index => self.strategy.weight_at(index),
        }
    }
}
