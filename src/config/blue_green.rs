//! Argo's `strategy.blueGreen`, made into steps of the one mechanism: the preview is the canary without traffic,
//! the switch is weight 100, and the way back is weight 0, because stable stays whole behind it.

use super::{
    settings::{self, Setting},
    steps::{analysis, pods},
    strategy::{Defaults, unwrap, without_steps},
};
use crate::{
    document::{
        fields::{Fields, Node, describe, read},
        finding::Findings,
        schema::Schema,
    },
    domain::{
        names::Weight,
        strategy::{AnalysisRef, AnalysisStep, CanaryScale, CanaryStrategy, Step},
    },
    gocompat::duration::GoDuration,
    routers,
};
use serde_json::Value;

/// Argo's default: how long the old version stays whole after the switch.
const SCALE_DOWN_DELAY: GoDuration = GoDuration::from_secs(30);

/// What the user asked for.
#[derive(Debug)]
pub struct BlueGreen {
    strategy: CanaryStrategy,
    preview_replicas: Option<i32>,
    auto_promotion: bool,
    auto_promotion_delay: GoDuration,
    before: Option<AnalysisRef>,
    after: Option<AnalysisRef>,
}

/// Every field of `haldane.dev/blue-green`, in the order of the reference page.
pub static SETTINGS: &[Setting<BlueGreen>] = &[
    Setting {
        key: "activeService",
        doc: "The user's Service; a route leads to it. It is never changed: the switch is a weight of 100.",
        example: "activeService: web",
        read: |node, plan| node.object_name().map(|name| plan.strategy.stable_service = Some(name)),
    },
    Setting {
        key: "previewService",
        doc: "Name of a Service that Haldane makes for the new version, for as long as there are two.",
        example: "activeService: web, previewService: web-preview",
        read: |node, plan| node.service_name().map(|name| plan.strategy.preview_service = Some(name)),
    },
    Setting {
        key: "previewReplicaCount",
        doc: "Size of the preview until the switch; as many as stable has by default.",
        example: "activeService: web, previewReplicaCount: 1",
        read: |node, plan| pods(node, 1).map(|pods| plan.preview_replicas = Some(pods)),
    },
    Setting {
        key: "prePromotionAnalysis",
        doc: "An analysis of the preview; the switch waits for its verdict.",
        example: "activeService: web, prePromotionAnalysis: {templates: [{templateName: smoke}]}",
        read: |node, plan| analysis(node).map(|analysis| plan.before = Some(analysis)),
    },
    Setting {
        key: "autoPromotionEnabled",
        doc: "Whether the switch comes by itself, true by default; else it waits for a person.",
        example: "activeService: web, autoPromotionEnabled: false",
        read: |node, plan| node.bool().map(|auto| plan.auto_promotion = auto),
    },
    Setting {
        key: "autoPromotionSeconds",
        doc: "How long the preview waits for the switch, after its analysis; without effect where that waits for a person.",
        example: "activeService: web, autoPromotionSeconds: 60",
        read: |node, plan| settings::seconds(node).map(|delay| plan.auto_promotion_delay = delay),
    },
    Setting {
        key: "postPromotionAnalysis",
        doc: "An analysis of the new version with all traffic; a bad verdict takes it back at once.",
        example: "activeService: web, postPromotionAnalysis: {templates: [{templateName: success-rate}]}",
        read: |node, plan| analysis(node).map(|analysis| plan.after = Some(analysis)),
    },
    Setting {
        key: "scaleDownDelaySeconds",
        doc: "How long the old version stays whole after the switch and its analysis, one weight away; 30 by default.",
        example: "activeService: web, scaleDownDelaySeconds: 300",
        read: |node, plan| settings::seconds(node).map(|delay| plan.strategy.scale_down_delay = delay),
    },
    Setting {
        key: "abortScaleDownDelaySeconds",
        doc: "How long an aborted preview stays to be looked at: 30 by default; 0 keeps it until the next release.",
        example: "activeService: web, abortScaleDownDelaySeconds: 600",
        read: |node, plan| settings::abort_delay(node, &mut plan.strategy),
    },
    Setting {
        key: "previewMetadata",
        doc: "Labels and annotations that only pods of the preview get.",
        example: "activeService: web, previewMetadata: {labels: {track: preview}}",
        read: |node, plan| settings::metadata(node, &mut plan.strategy.pods),
    },
    Setting {
        key: "antiAffinity",
        doc: "Keeps the preview off the nodes of stable, as in `haldane.dev/canary`.",
        example: "activeService: web, antiAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {}}",
        read: |node, plan| settings::anti_affinity(node, &mut plan.strategy.pods),
    },
    Setting {
        key: "trafficRouting",
        doc: "As in `haldane.dev/canary`; with `canary-by-header` or `canary-by-cookie` people reach the preview on the application's own host. In Argo there is none.",
        example: "activeService: web, trafficRouting: {nginx: {additionalIngressAnnotations: {canary-by-header: X-Preview}}}",
        read: |node, plan| settings::traffic_routing(node, &mut plan.strategy),
    },
    Setting {
        key: "progressDeadlineAbort",
        doc: "As in `haldane.dev/canary`.",
        example: "activeService: web, progressDeadlineAbort: false",
        read: |node, plan| node.bool().map(|abort| plan.strategy.progress_deadline_abort = abort),
    },
    Setting {
        key: "rollbackWindow",
        doc: "As in `haldane.dev/canary`.",
        example: "activeService: web, rollbackWindow: {revisions: 3}",
        read: |node, plan| settings::rollback_window(node, &mut plan.strategy),
    },
];

/// Fields of Argo's that are refused, and why.
pub static REFUSED: &[(&str, &str)] = &[
    ("activeMetadata", "the template of the Deployment is the user's and never written; set it there"),
    (
        "maxUnavailable",
        "stable is replaced by the Deployment's own spec.strategy.rollingUpdate, set it there",
    ),
    ("scaleDownDelayRevisionLimit", "there is one preview at a time"),
];

/// Reads Argo's `strategy.blueGreen`; also accepted are `blueGreen:` and `strategy: {blueGreen:}` around it.
///
/// # Errors
/// Every finding, with paths below `path`.
pub fn read_blue_green(
    document: &Value,
    path: &str,
    defaults: &Defaults,
) -> Result<CanaryStrategy, Findings> {
    let (document, path) = unwrap(document, path, "strategy");
    let (document, path) = unwrap(document, &path, "blueGreen");
    read(document, &path, |node| blue_green(node, defaults))
}

/// What a plan may be.
#[must_use]
pub fn schema(defaults: &Defaults) -> Schema {
    describe(|node| blue_green(node, defaults))
}

fn blue_green(node: Node<'_>, defaults: &Defaults) -> Option<CanaryStrategy> {
    node.named("blueGreen", |node| node.object(|fields| plan(fields, defaults)))
}

fn plan(fields: &mut Fields<'_>, defaults: &Defaults) -> Option<CanaryStrategy> {
    let mut plan = BlueGreen {
        strategy: CanaryStrategy { scale_down_delay: SCALE_DOWN_DELAY, ..without_steps(defaults) },
        preview_replicas: None,
        auto_promotion: true,
        auto_promotion_delay: GoDuration::ZERO,
        before: None,
        after: None,
    };
    settings::read_all(SETTINGS, REFUSED, fields, &mut plan);
    let Some(active) = plan.strategy.stable_service.as_ref() else {
        fields.require("activeService");
        return None;
    };
    if plan.strategy.preview_service.as_ref() == Some(active) {
        fields.fail("previewService must not be activeService");
    }
    Some(plan.compile())
}

impl BlueGreen {
    /// Preview, analysis, pause, full size, switch, analysis. The delay before stable is replaced, and the
    /// replacing, are every promotion's.
    fn compile(self) -> CanaryStrategy {
        let analysis = |analysis| Step::Analysis(AnalysisStep { analysis, at_least: None });
        let size = self.preview_replicas.map_or(CanaryScale::Weight(Weight::FULL), CanaryScale::Replicas);
        let delay = Some(self.auto_promotion_delay).filter(|delay| *delay > GoDuration::ZERO);
        let pause = match (self.auto_promotion, delay) {
            (false, _) => Some(Step::Pause(None)),
            (true, delay) => delay.map(|delay| Step::Pause(Some(delay))),
        };
        let steps = [
            Some(Step::SetCanaryScale(size)),
            self.before.map(analysis),
            pause,
            Some(Step::SetCanaryScale(CanaryScale::MatchTrafficWeight)),
            Some(Step::SetWeight(Weight::FULL)),
            self.after.map(analysis),
        ];
        CanaryStrategy {
            steps: steps.into_iter().flatten().collect(),
            // Where pods are the split there is nothing that could switch.
            router: self.strategy.router.or_else(|| Some(routers::DEFAULT.key().to_owned())),
            ..self.strategy
        }
    }
}
