//! What a Canary of Flagger says, with Flagger's defaults.

use super::text;
use crate::{
    commands::canary::explain::no_defaults, config::strategy::default_strategy,
    domain::k8s::json_pointer::part, objects::canary_service::canary_service_name,
};
use serde_json::Value;

/// Flagger's default for the time between two checks.
const INTERVAL: &str = "60s";

/// What has to be known of a Canary in several places.
pub struct Canary<'a> {
    /// The Deployment.
    pub target: &'a str,
    /// Its Service.
    pub service: &'a str,
    /// The router in Flagger's words.
    pub provider: &'a str,
    /// The analysis.
    pub analysis: &'a Value,
    /// The time between two checks.
    pub interval: &'a str,
    /// How many checks there are, if the weight does not rise.
    pub iterations: Option<i64>,
}

impl<'a> Canary<'a> {
    /// Reads it; what is absent has Flagger's default.
    pub fn of(object: &'a Value) -> Self {
        let target = text(object, "/spec/targetRef/name");
        let or = |value: &'a str, other: &'a str| if value.is_empty() { other } else { value };
        let implied = match (part(object, "/spec/ingressRef"), part(object, "/spec/service/gatewayRefs")) {
            (Some(_), _) => "nginx",
            (None, Some(_)) => "gatewayapi:v1",
            (None, None) => "kubernetes",
        };
        let analysis = part(object, "/spec/analysis").or_else(|| part(object, "/spec/canaryAnalysis"));
        let analysis = analysis.unwrap_or(&Value::Null);
        let iterations = analysis.get("iterations").and_then(Value::as_i64).filter(|count| *count > 0);
        Self {
            target,
            service: or(text(object, "/spec/service/name"), target),
            provider: or(text(object, "/spec/provider"), implied),
            analysis,
            interval: or(text(analysis, "/interval"), INTERVAL),
            iterations,
        }
    }

    /// Whether ingress-nginx splits its traffic.
    pub fn is_nginx(&self) -> bool {
        self.provider == "nginx"
    }

    /// Whether a Gateway does.
    pub fn is_gateway(&self) -> bool {
        self.provider.starts_with("gatewayapi")
    }

    /// The name of the canary's Service.
    pub fn canary_service(&self) -> String {
        canary_service_name(self.service, &default_strategy(&no_defaults()))
    }

    /// A/B tests: the canary gets requests by what they contain.
    pub fn is_ab_test(&self) -> bool {
        self.iterations.is_some() && self.analysis.get("match").is_some()
    }

    /// The webhooks, with their places in the list.
    pub fn webhooks(&self) -> impl Iterator<Item = (usize, &'a Value)> {
        self.analysis.get("webhooks").and_then(Value::as_array).into_iter().flatten().enumerate()
    }

    /// How many checks may fail: fewer than the threshold, and no more than there are.
    pub fn failure_limit(&self) -> i64 {
        let limit = self.analysis.get("threshold").and_then(Value::as_i64).unwrap_or(1).saturating_sub(1);
        limit.min(self.iterations.unwrap_or(limit)).max(0)
    }

    /// The weights, in order; none if the weight does not rise.
    pub fn weights(&self) -> Vec<u64> {
        let number = |key: &str| self.analysis.get(key).and_then(Value::as_u64).filter(|number| *number > 0);
        if let Some(list) = self.analysis.get("stepWeights").and_then(Value::as_array) {
            return list.iter().filter_map(Value::as_u64).collect();
        }
        let Some(step) = number("stepWeight") else { return Vec::new() };
        let most = number("maxWeight").unwrap_or(100).min(100);
        (1..=most / step).map(|count| count * step).collect()
    }
}
