//! Flagger's webhooks, as metrics of provider webhook: alongside the steps, or as steps of their own.

use super::{Notes, flagger_canary::Canary, map_at, set, template_map, text};
use crate::{
    analysis::judge::DEFAULT_CONSECUTIVE_ERROR_LIMIT,
    commands::canary::offline::Manifest,
    domain::{keys, names::suffixed},
    gocompat::duration::GoDuration,
    providers::http::MAX_TIMEOUT,
};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The fields of a webhook that have a counterpart, or need none.
const HANDLED: [&str; 8] =
    ["name", "type", "url", "timeout", "metadata", "retries", "disableTLS", "muteAlert"];

/// Types of webhooks that are asked alongside the steps.
const CHECKS: [&str; 3] = ["", "rollout", "rollback"];

/// Longest name of a metric, and of a `ConfigMap`.
const MAX_NAME: usize = 63;

/// So many mean that a gate may be away: Flagger takes that for a no.
const ANY_ERRORS: i64 = 100_000;

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

/// The webhooks of a Canary; `taken` are names of its metrics.
fn read<'a>(canary: &Canary<'a>, mut taken: BTreeSet<String>, notes: &mut Notes<'_>) -> Vec<Webhook<'a>> {
    let mut webhooks = Vec::new();
    for (index, given) in canary.webhooks() {
        let path = format!("spec.analysis.webhooks[{index}]");
        notes.leftovers(given, &path, &HANDLED, &[]);
        if !is_callable(given) {
            notes.lost(&path, "has no url");
            continue;
        }
        let word = word(text(given, "/name"));
        let name = match word.as_str() {
            "" => format!("webhook-{index}"),
            known if taken.contains(known) => suffixed(known, &format!("-{index}"), MAX_NAME),
            _ => word,
        };
        taken.insert(name.clone());
        webhooks.push(Webhook { path, name, kind: text(given, "/type"), given });
    }
    webhooks
}

/// Whether some are asked alongside the steps.
pub fn has_checks(canary: &Canary<'_>) -> bool {
    canary.webhooks().any(|(_, webhook)| is_callable(webhook) && CHECKS.contains(&text(webhook, "/type")))
}

fn is_callable(webhook: &Value) -> bool {
    !text(webhook, "/url").is_empty()
}

/// Adds to the plan what Flagger asks webhooks; `metrics` is the template of the Canary's metrics.
pub fn called(
    plan: &mut Value,
    key: &str,
    canary: &Canary<'_>,
    metrics: Option<&Value>,
    of: &Manifest,
    notes: &mut Notes<'_>,
) -> Webhooks {
    let metrics = metrics.and_then(|template| template.get("metrics")?.as_array());
    let taken = metrics.into_iter().flatten().map(|metric| text(metric, "/name").to_owned()).collect();
    let mut made = Webhooks::default();
    for webhook in read(canary, taken, notes) {
        match webhook.kind {
            kind if CHECKS.contains(&kind) => {
                made.checks.push(check(&webhook, canary, notes));
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
    if !(made.checks.is_empty() && made.templates.is_empty()) {
        note_differences(canary, of, notes);
    }
    if !made.templates.is_empty() {
        after_gates(plan);
    }
    made
}

fn note_differences(canary: &Canary<'_>, of: &Manifest, notes: &mut Notes<'_>) {
    let path = "spec.analysis.webhooks";
    notes.changed(path, "need --metric-hosts-allowed with their hosts: a release may write only to hosts that an administrator has named");
    let name = text(&of.object, "/metadata/name");
    if name != canary.target {
        notes.changed(
            path,
            format!(
                "get the Deployment's name {}, where Flagger sends the Canary's name {name}",
                canary.target
            ),
        );
    }
}

/// Checks begin with the first traffic, as Flagger's do, and not while a gate before it is closed.
fn after_gates(plan: &mut Value) {
    let steps = plan.get("steps").and_then(Value::as_array);
    let first = steps.and_then(|steps| steps.iter().position(|step| step.get("setWeight").is_some()));
    if let Some(first) = first.filter(|first| *first > 0) {
        set(plan, &["analysis"], "startingStep", first);
    }
}

/// A preview has no steps: where Flagger asks for permission, a person gives it.
fn before_promotion(webhook: &Webhook<'_>, plan: &mut Value, notes: &mut Notes<'_>) {
    match webhook.kind {
        "confirm-rollout" | "confirm-promotion" => {
            set(plan, &[], "autoPromotionEnabled", false);
            let answer = "becomes a pause before the promotion that a person ends with kubectl canary resume";
            notes.changed(&webhook.path, answer);
        }
        _ => notes.lost(
            &webhook.path,
            "a blue-green plan has no steps; add a metric of provider webhook to prePromotionAnalysis",
        ),
    }
}

/// An analysis step that ends when the gate opens.
fn as_step(
    webhook: &Webhook<'_>,
    plan: &mut Value,
    canary: &Canary<'_>,
    of: &Manifest,
    notes: &mut Notes<'_>,
) -> Option<Manifest> {
    let name = suffixed(&format!("{}-{}", canary.target, webhook.name), "", MAX_NAME);
    let step = json!({"analysis": {"templates": [{"templateName": name}]}});
    let steps = plan.get_mut("steps").and_then(Value::as_array_mut);
    if !steps.is_some_and(|steps| placed(step, webhook.kind, steps)) {
        notes.lost(&webhook.path, "there is no step to put it before or after; write one, with an analysis");
        return None;
    }
    let mut metric = asked(webhook, notes);
    set(&mut metric, &[], "interval", canary.interval);
    set(&mut metric, &[], "consecutiveSuccessLimit", 1);
    if webhook.kind == "pre-rollout" {
        set(&mut metric, &[], "failureLimit", canary.failure_limit());
    } else {
        set(&mut metric, &[], "failureLimit", -1);
        set(&mut metric, &[], "consecutiveErrorLimit", ANY_ERRORS);
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

/// Puts a step where Flagger asks a webhook of this type; whether there is such a place.
fn placed(step: Value, kind: &str, steps: &mut Vec<Value>) -> bool {
    let is_gate = |step: &Value| step.pointer("/analysis/templates").is_some();
    let has_weight = |step: &Value| step.get("setWeight").is_some();
    match kind {
        "confirm-rollout" => steps.insert(0, step),
        "pre-rollout" => steps.insert(steps.iter().take_while(|step| is_gate(step)).count(), step),
        "confirm-promotion" => steps.push(step),
        "confirm-traffic-increase" if steps.iter().any(has_weight) => {
            let before = |next: &Value| has_weight(next).then(|| step.clone());
            *steps = std::mem::take(steps)
                .into_iter()
                .flat_map(|next| before(&next).into_iter().chain([next]))
                .collect();
        }
        _ => return false,
    }
    true
}

/// A check that is repeated with the metrics.
fn check(webhook: &Webhook<'_>, canary: &Canary<'_>, notes: &mut Notes<'_>) -> Value {
    let mut metric = asked(webhook, notes);
    set(&mut metric, &[], "interval", canary.interval);
    if webhook.kind == "rollback" {
        set(&mut metric, &["provider", "webhook"], "rollback", true);
        set(&mut metric, &[], "consecutiveErrorLimit", ANY_ERRORS);
    } else {
        set(&mut metric, &[], "failureLimit", canary.failure_limit());
    }
    if let Some(count) = canary.iterations {
        set(&mut metric, &[], "count", count);
    }
    metric
}

/// A metric that asks the webhook once.
fn asked(webhook: &Webhook<'_>, notes: &mut Notes<'_>) -> Value {
    let given = webhook.given;
    let mut config = json!({"url": text(given, "/url")});
    if let Some(metadata) = given.get("metadata") {
        set(&mut config, &[], "metadata", metadata.clone());
    }
    if let Ok(timeout) = text(given, "/timeout").parse::<GoDuration>() {
        let (seconds, most) = (timeout.signed().as_secs(), i64::from(MAX_TIMEOUT));
        if seconds > most {
            notes.changed(
                &format!("{}.timeout", webhook.path),
                format!("is {most} s, the longest that is allowed"),
            );
        }
        set(&mut config, &[], "timeoutSeconds", seconds.clamp(1, most));
    }
    if given.get("disableTLS") == Some(&json!(true)) {
        set(&mut config, &[], "insecure", true);
    }
    let mut metric = json!({"name": webhook.name, "provider": {"webhook": config}});
    if let Some(retries) = given
        .get("retries")
        .and_then(Value::as_i64)
        .filter(|retries| *retries > DEFAULT_CONSECUTIVE_ERROR_LIMIT.into())
    {
        set(&mut metric, &[], "consecutiveErrorLimit", retries);
    }
    metric
}

/// A name for people as a part of names of objects.
fn word(name: &str) -> String {
    let words = name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    suffixed(&words.collect::<Vec<_>>().join("-").to_ascii_lowercase(), "", MAX_NAME)
}
