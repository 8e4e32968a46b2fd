//! The fields of Argo's `strategy.canary`: one table, from which parser and reference page are made.

use super::steps::{WEIGHT_TOTALS, analysis_ref, percent, pods, step};
use crate::{
    document::{
        fields::{Fields, Node},
        schema::Schema,
    },
    domain::{
        names::Weight,
        strategy::{AntiAffinity, BackgroundAnalysis, CanaryPods, CanaryStrategy, ProgressThreshold},
    },
    gocompat::duration::GoDuration,
    routers::{self, TrafficRouter},
};
use serde_json::Value;

/// Templates that a rollback window looks back over at most.
const MAX_REVISIONS: u32 = 20;

/// Maximum delay in seconds: a week.
const MAX_DELAY: u32 = 7 * 24 * 60 * 60;

/// Documentation of Argo's `trafficRouting.plugins`.
const PLUGINS: &str = "Plugins of Argo that a router stands for, by their names; others are refused.";

/// A field: its word, how it changes the strategy `S`, and its documentation.
#[derive(Debug)]
pub struct Setting<S: 'static> {
    /// The field's name.
    pub key: &'static str,
    /// One or two sentences for the reference page.
    pub doc: &'static str,
    /// As users write it.
    pub example: &'static str,
    pub(super) read: fn(Node<'_>, &mut S) -> Option<()>,
}

/// Every field of `haldane.dev/canary`, in the order of the reference page.
pub static SETTINGS: &[Setting<CanaryStrategy>] = &[
    Setting {
        key: "steps",
        doc: "What happens, in order. Without steps: 10 % and 50 % for a minute each.",
        example: "steps: [{setWeight: 25}, {pause: {duration: 5m}}]",
        read: |node, strategy| {
            let total = strategy.weight_total;
            node.list(|node| step(node, total)).map(|steps| strategy.steps = steps)
        },
    },
    Setting {
        key: "analysis",
        doc: "An analysis alongside the steps, from `startingStep` (counted from 0) until promotion.",
        example: "analysis: {startingStep: 0, templates: [{templateName: success-rate}]}",
        read: |node, strategy| background(node).map(|analysis| strategy.background = Some(analysis)),
    },
    Setting {
        key: "stableService",
        doc: "The user's Service to split; by default every Service that selects the Deployment's pods.",
        example: "stableService: web",
        read: |node, strategy| node.object_name().map(|name| strategy.stable_service = Some(name)),
    },
    Setting {
        key: "canaryService",
        doc: "Name of the Service that Haldane makes for the canary and removes after the rollout; `SERVICE-canary` by default, and none where pods are the split. It is the canary's of `stableService`, or of the one Service that selects the pods.",
        example: "canaryService: web-next",
        read: |node, strategy| node.service_name().map(|name| strategy.canary_service = Some(name)),
    },
    Setting {
        key: "trafficRouting",
        doc: "The router by its name, with its settings (see [Traffic routers](#traffic-routers)); by default the router that finds a route to the Service. `managedRoutes`: the names that `setHeaderRoute` and `setMirrorRoute` may use. `maxTrafficWeight`: the total of which all weights are parts, 100 by default and at least, so that 5 of 1000 is half a percent.",
        example: "trafficRouting: {nginx: {stableIngress: web, additionalIngressAnnotations: {canary-by-cookie: testers}}}",
        read: traffic_routing,
    },
    Setting {
        key: "canaryMetadata",
        doc: "Labels and annotations that only canary pods get.",
        example: "canaryMetadata: {labels: {track: canary}, annotations: {team: shop}}",
        read: |node, strategy| metadata(node, &mut strategy.pods),
    },
    Setting {
        key: "antiAffinity",
        doc: "Keeps canary pods off the nodes of stable's: `preferredDuringSchedulingIgnoredDuringExecution` with a `weight` from 1 to 100, or `requiredDuringSchedulingIgnoredDuringExecution`.",
        example: "antiAffinity: {preferredDuringSchedulingIgnoredDuringExecution: {weight: 50}}",
        read: |node, strategy| anti_affinity(node, &mut strategy.pods),
    },
    Setting {
        key: "minPodsPerReplicaSet",
        doc: "Least size of a canary with traffic.",
        example: "minPodsPerReplicaSet: 2",
        read: |node, strategy| pods(node, 0).map(|pods| strategy.min_pods = pods.max(1)),
    },
    Setting {
        key: "replicaProgressThreshold",
        doc: "How much of the canary must be available for a step to go on: `type: Percent` or `Pods`, and `value`. By default all of it.",
        example: "replicaProgressThreshold: {type: Percent, value: 90}",
        read: |node, strategy| {
            node.object(threshold).map(|threshold| strategy.progress_threshold = Some(threshold))
        },
    },
    Setting {
        key: "observeShare",
        doc: "Whether a step waits while the data plane's own metrics show that the canary's share of the requests is not its weight; true by default. Asks the Prometheus of the plan's analyses. See [the observed share](traffic.md#the-observed-share).",
        example: "observeShare: false",
        read: |node, strategy| node.bool().map(|observe| strategy.unobserved = !observe),
    },
    Setting {
        key: "progressDeadlineAbort",
        doc: "Whether a canary that is too small for the Deployment's `progressDeadlineSeconds` aborts the rollout; true by default.",
        example: "progressDeadlineAbort: false",
        read: |node, strategy| node.bool().map(|abort| strategy.progress_deadline_abort = abort),
    },
    Setting {
        key: "abortScaleDownDelaySeconds",
        doc: "How long an aborted canary stays to be looked at: 30 by default; 0 keeps it until the next release.",
        example: "abortScaleDownDelaySeconds: 600",
        read: abort_delay,
    },
    Setting {
        key: "scaleDownDelaySeconds",
        doc: "How long stable stays whole once the canary has all traffic, so that an abort is still instant; 0 by default.",
        example: "scaleDownDelaySeconds: 300",
        read: |node, strategy| seconds(node).map(|delay| strategy.scale_down_delay = delay),
    },
    Setting {
        key: "rollbackWindow",
        doc: "A template that was stable at most `revisions` templates ago is promoted without steps and analyses. In Argo a field of the Rollout's spec.",
        example: "rollbackWindow: {revisions: 3}",
        read: rollback_window,
    },
    Setting {
        key: "dynamicStableScale",
        doc: "Must be false: stable keeps its size, so that an abort is safe at any moment.",
        example: "dynamicStableScale: false",
        read: |node, _| {
            node.typed(Schema::False, |node| match node.value().as_bool() {
                Some(false) => Some(()),
                _ => node.fail(
                    "must be false or left out: stable keeps its size, so that an abort is safe at any moment",
                ),
            })
        },
    },
];

/// Fields of Argo's that are refused, and why.
pub static REFUSED: &[(&str, &str)] = &[
    ("stableMetadata", "the template of the Deployment is the user's and never written; set it there"),
    ("maxSurge", "stable is replaced by the Deployment's own spec.strategy.rollingUpdate, set it there"),
    (
        "maxUnavailable",
        "stable is replaced by the Deployment's own spec.strategy.rollingUpdate, set it there",
    ),
    ("progressDeadlineSeconds", "the Deployment has it itself: spec.progressDeadlineSeconds"),
    ("pingPong", "the canary's Service is made for a rollout and goes with it, so there is nothing to swap"),
    ("scaleDownDelayRevisionLimit", "there is one canary at a time"),
];

/// Reads every field of `settings` into `strategy`, and refuses the others by name.
pub(super) fn read_all<S>(
    settings: &'static [Setting<S>],
    refused: &[(&'static str, &'static str)],
    fields: &mut Fields<'_>,
    strategy: &mut S,
) {
    for setting in settings {
        fields.doc(setting.doc).optional(setting.key, |node| (setting.read)(node, strategy));
    }
    for (key, why) in refused {
        fields.unsupported(key, why);
    }
}

fn background(node: Node<'_>) -> Option<BackgroundAnalysis> {
    let read = |fields: &mut Fields<'_>| {
        let starting_step = fields.optional("startingStep", |node| node.integer(0..=100_i64)).unwrap_or(0);
        let starting_step = usize::try_from(starting_step).unwrap_or(0);
        Some(BackgroundAnalysis { analysis: analysis_ref(fields), starting_step })
    };
    node.named("backgroundAnalysis", |node| node.object(read))
}

/// Seconds of a delay.
pub(super) fn seconds(node: Node<'_>) -> Option<GoDuration> {
    node.integer(0..=MAX_DELAY).map(GoDuration::from_secs)
}

/// 0 keeps the aborted canary, as in Argo.
pub(super) fn abort_delay(node: Node<'_>, strategy: &mut CanaryStrategy) -> Option<()> {
    let delay = seconds(node)?;
    strategy.abort_scale_down_delay = Some(delay).filter(|delay| *delay > GoDuration::ZERO);
    Some(())
}

pub(super) fn metadata(node: Node<'_>, pods: &mut CanaryPods) -> Option<()> {
    (pods.labels, pods.annotations) = node.metadata()?;
    Some(())
}

pub(super) fn anti_affinity(node: Node<'_>, pods: &mut CanaryPods) -> Option<()> {
    node.object(|fields| {
        let preferred = fields.optional("preferredDuringSchedulingIgnoredDuringExecution", |node| {
            node.object(|fields| fields.required("weight", |node| node.integer(1..=100)))
        });
        let required = fields
            .optional("requiredDuringSchedulingIgnoredDuringExecution", |node| node.object(|_| Some(())));
        pods.anti_affinity = match (preferred, required) {
            (Some(weight), None) => Some(AntiAffinity::Preferred(weight)),
            (None, Some(())) => Some(AntiAffinity::Required),
            _ => None,
        };
        if pods.anti_affinity.is_none() && fields.is_clean() {
            fields.fail("must have exactly one of preferredDuringSchedulingIgnoredDuringExecution, requiredDuringSchedulingIgnoredDuringExecution");
        }
        Some(())
    })
}

fn threshold(fields: &mut Fields<'_>) -> Option<ProgressThreshold> {
    #[derive(Clone, Copy)]
    enum Unit {
        Percent,
        Pods,
    }
    const UNITS: &[(&str, Unit)] = &[("Percent", Unit::Percent), ("Pods", Unit::Pods)];
    let unit = fields.required("type", |node| node.word(UNITS, "must be Percent or Pods"));
    fields.required("value", |node| match unit {
        Some(Unit::Percent) if node.value().as_i64() == Some(0) => {
            node.fail("must be from 1 to 100: at 0 traffic would go to a canary without pods")
        }
        Some(Unit::Percent) => percent(node).map(ProgressThreshold::Percent),
        Some(Unit::Pods) => pods(node, 1).map(ProgressThreshold::Pods),
        // Neither unit allows more.
        None => pods(node, 1).and(None),
    })
}

pub(super) fn rollback_window(node: Node<'_>, strategy: &mut CanaryStrategy) -> Option<()> {
    node.object(|fields| {
        strategy.rollback_window = fields.required("revisions", |node| node.integer(0..=MAX_REVISIONS))?;
        Some(())
    })
}

pub(super) fn traffic_routing(node: Node<'_>, strategy: &mut CanaryStrategy) -> Option<()> {
    let read = |fields: &mut Fields<'_>| {
        routing(fields, strategy);
        Some(())
    };
    node.named("trafficRouting", |node| node.object(read))
}

fn routing(fields: &mut Fields<'_>, strategy: &mut CanaryStrategy) {
    let (mut named, mut keys) = (Vec::new(), Vec::new());
    for router in routers::nameable() {
        let defaults = strategy.settings.get(router.key());
        let read = |node| routers::read(router, node, defaults);
        let Some(settings) = fields.doc(router.doc()).optional(router.key(), read) else { continue };
        named.push((router, settings));
        keys.push(router.key());
    }
    for plugin in fields.doc(PLUGINS).optional("plugins", routers::read_plugins).into_iter().flatten() {
        named.push(plugin);
        keys.push("plugins");
    }
    if keys.len() > 1 {
        fields.fail(format!("must have one of {}", keys.join(", ")));
    }
    // Asked for by name: a route that is not there yet will be.
    strategy.router = named.first().map(|(router, _)| router.key().to_owned());
    strategy.settings.extend(named.into_iter().map(|(router, settings)| (router.key().to_owned(), settings)));
    strategy.managed_routes =
        fields.list("managedRoutes", |node| node.object(|fields| fields.required("name", Node::string)));
    let known: Vec<&str> = routers::nameable().map(TrafficRouter::key).collect();
    let of_argo = ["alb", "ambassador", "apisix", "appMesh", "istio", "smi", "traefik"];
    for key in of_argo.into_iter().filter(|key| !routers::is_known(key)) {
        fields.unsupported(key, &format!("there is no such router; supported are {}", known.join(", ")));
    }
    let total = fields.optional("maxTrafficWeight", |node| node.integer(WEIGHT_TOTALS));
    strategy.weight_total = total.unwrap_or(Weight::PERCENT);
}

/// The total of which a strategy's weights are parts, before anything of it is read.
pub(super) fn weight_total(strategy: &Value) -> u32 {
    let total = strategy.pointer("/trafficRouting/maxTrafficWeight").and_then(Value::as_u64);
    let total = total.and_then(|total| u32::try_from(total).ok());
    total.filter(|total| WEIGHT_TOTALS.contains(total)).unwrap_or(Weight::PERCENT)
}
