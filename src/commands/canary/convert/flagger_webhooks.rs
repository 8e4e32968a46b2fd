//! Flagger's webhooks, as metrics of provider webhook: alongside the steps, or as steps of their own.

use super::{Notes, flagger_canary::Canary, map_at, set, template_map, text};
use crate::{commands::canary::offline::Manifest, domain::keys, gocompat::duration::GoDuration};
use serde_json::{Value, json};

/// The fields of a webhook that have a counterpart, or need none.
const HANDLED: [&str; 8] =
    ["name", "type", "url", "timeout", "metadata", "retries", "disableTLS", "muteAlert"];

/// Types of webhooks that are asked alongside the steps.
const CHECKS: [&str; 3] = ["", "rollout", "rollback"];

/// What a Canary's webhooks are converted to.
#[derive(Default)]
pub struct Webhooks {
    /// Metrics that are measured alongside the steps.
    pub checks: Vec<Value>,
    /// Templates of analyses that are steps.
    pub templates: Vec<Manifest>,
}

/// A webhook of a Canary.
struct Webhook<'a> {
    path: String,
    /// As a word of names.
    name: String,
    kind: &'a str,
    given: &'a Value,
}

/// Whether some are asked alongside the steps.
pub fn has_checks(canary: &Canary<'_>) -> bool {
    let given = canary.analysis.get("webhooks").and_then(Value::as_array);
    given.into_iter().flatten().any(|webhook| CHECKS.contains(&text(webhook, "/type")))
}

/// Adds to the plan what Flagger asks webhooks.
pub fn called(
    plan: &mut Value,
    key: &str,
    canary: &Canary<'_>,
    of: &Manifest,
    notes: &mut Notes<'_>,
) -> Webhooks {
    let mut made = Webhooks::default();
    let given = canary.analysis.get("webhooks").and_then(Value::as_array);
    for (index, given) in given.into_iter().flatten().enumerate() {
        let path = format!("spec.analysis.webhooks[{index}]");
        notes.leftovers(given, &path, &HANDLED, &[]);
        let name = word(text(given, "/name"), index);
        let webhook = Webhook { path, name, kind: text(given, "/type"), given };
        match webhook.kind {
            kind if CHECKS.contains(&kind) => {
                made.checks.push(check(&webhook, canary));
                notes.changed(&webhook.path, format!("becomes metric {}", webhook.name));
            }
            "event" | "post-rollout" => notes.lost(
                &webhook.path,
                "route the Events of the namespace to it by a ConfigMap haldane-notifications, see docs/notifications.md; its payload is another",
            ),
            _ if key == keys::BLUE_GREEN => before_promotion(&webhook, plan, notes),
            _ => made.templates.extend(as_step(&webhook, plan, canary, of, notes)),
        }
    }
    made
}

/// A preview has no steps: where Flagger asks for permission, a person gives it.
fn before_promotion(webhook: &Webhook<'_>, plan: &mut Value, notes: &mut Notes<'_>) {
    match webhook.kind {
        "confirm-rollout" | "confirm-promotion" => {
            set(plan, &[], "autoPromotionEnabled", false);
            notes.changed(
                &webhook.path,
                "becomes a pause before the promotion that a person ends with kubectl canary resume",
            );
        }
        _ => notes.lost(
            &webhook.path,
            "a blue-green plan has no steps; add a metric of provider webhook to prePromotionAnalysis",
        ),
    }
}

/// An analysis that ends when the gate opens; before it does, a check that fails only counts where Flagger counts it.
fn as_step(
    webhook: &Webhook<'_>,
    plan: &mut Value,
    canary: &Canary<'_>,
    of: &Manifest,
    notes: &mut Notes<'_>,
) -> Option<Manifest> {
    let limit = if webhook.kind == "pre-rollout" { failures(canary) } else { -1 };
    let mut metric = asked(webhook);
    set(&mut metric, &[], "interval", canary.interval);
    set(&mut metric, &[], "failureLimit", limit);
    set(&mut metric, &[], "consecutiveSuccessLimit", 1);
    let name = format!("{}-{}", canary.target, webhook.name);
    let step = json!({"analysis": {"templates": [{"templateName": name}]}});
    let steps = plan.get_mut("steps").and_then(Value::as_array_mut);
    let Some(steps) = steps else {
        notes.lost(&webhook.path, "there are no steps to put an analysis between; write steps first");
        return None;
    };
    let is_gate = |step: &Value| step.get("analysis").is_some();
    let asks_each = |step: &Value| step.get("setWeight").is_some();
    match webhook.kind {
        "confirm-rollout" => steps.insert(0, step),
        "pre-rollout" => {
            let at = steps.iter().take_while(|step| is_gate(step)).count();
            steps.insert(at, step);
        }
        "confirm-traffic-increase" => {
            let old = std::mem::take(steps);
            *steps = old
                .into_iter()
                .flat_map(|next| asks_each(&next).then(|| step.clone()).into_iter().chain([next]))
                .collect();
        }
        "confirm-promotion" => steps.push(step),
        kind => {
            notes.lost(&webhook.path, format!("Flagger has no webhook of type {kind}"));
            return None;
        }
    }
    let mut template = of.clone();
    if let Some(metadata) = map_at(&mut template.object, &["metadata"]) {
        metadata.retain(|key, _| key == "namespace");
        metadata.insert("name".to_owned(), name.clone().into());
    }
    notes.changed(
        &webhook.path,
        format!("becomes ConfigMap {name}, which an analysis step names, and which ends when the gate opens"),
    );
    template_map(&template, None, &json!({"metrics": [metric]})).ok()
}

/// A check that is repeated with the metrics.
fn check(webhook: &Webhook<'_>, canary: &Canary<'_>) -> Value {
    let mut metric = asked(webhook);
    set(&mut metric, &[], "interval", canary.interval);
    if webhook.kind == "rollback" {
        set(&mut metric, &["provider", "webhook"], "rollback", true);
    } else {
        set(&mut metric, &[], "failureLimit", failures(canary));
    }
    if let Some(count) = canary.iterations {
        set(&mut metric, &[], "count", count);
    }
    metric
}

/// How many checks may fail.
fn failures(canary: &Canary<'_>) -> i64 {
    (canary.analysis.get("threshold").and_then(Value::as_i64).unwrap_or(1) - 1).max(0)
}

/// A metric that asks the webhook once.
fn asked(webhook: &Webhook<'_>) -> Value {
    let given = webhook.given;
    let mut config = json!({"url": text(given, "/url")});
    if let Some(metadata) = given.get("metadata") {
        set(&mut config, &[], "metadata", metadata.clone());
    }
    if let Ok(timeout) = text(given, "/timeout").parse::<GoDuration>() {
        set(&mut config, &[], "timeoutSeconds", timeout.signed().as_secs().max(1));
    }
    if given.get("disableTLS") == Some(&json!(true)) {
        set(&mut config, &[], "insecure", true);
    }
    let mut metric = json!({"name": webhook.name, "provider": {"webhook": config}});
    if let Some(retries) = given.get("retries").and_then(Value::as_i64).filter(|retries| *retries > 0) {
        set(&mut metric, &[], "consecutiveErrorLimit", retries);
    }
    metric
}

/// A name for people as a part of names of objects.
fn word(name: &str, index: usize) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let word: String = name.chars().map(plain).collect();
    match word.trim_matches('-') {
        "" => format!("webhook-{index}"),
        word => word.to_owned(),
    }
}
