//! The kinds of steps: one table, from which parser and reference page are made.

use super::{
    routes::{header_route, mirror_route},
    template::{arg_value, field_ref, rules, template_ref},
};
use crate::{
    document::{
        fields::{Fields, Node},
        schema::Schema,
    },
    domain::{
        metric::RunMetadata,
        names::Weight,
        strategy::{AnalysisRef, AnalysisStep, ArgBinding, ArgSource, CanaryScale, Side, Step, TemplateRef},
    },
    gocompat::duration::GoDuration,
};
use std::ops::RangeInclusive;

/// Maximum number of pods in a plan.
const MAX_PODS: i32 = 100_000;

/// What `maxTrafficWeight` may be: some data planes ignore a smaller total.
pub(super) const WEIGHT_TOTALS: RangeInclusive<u32> = Weight::PERCENT..=1_000_000;

/// A kind of step: the word by which it is written, how it is read, and its documentation.
#[derive(Debug)]
pub struct StepKind {
    /// The step's one key.
    pub key: &'static str,
    /// One sentence for the reference page.
    pub doc: &'static str,
    /// As users write it.
    pub example: &'static str,
    read: fn(Node<'_>, u32) -> Option<Step>,
}

/// Every kind of step, in the order of the reference page.
pub static STEPS: &[StepKind] = &[
    StepKind {
        key: "setWeight",
        doc: "Sends this percentage of the traffic (or so many parts of `maxTrafficWeight`) to the canary, once it has the pods for it.",
        example: "setWeight: 25",
        read: |node, total| weight(node, total).map(Step::SetWeight),
    },
    StepKind {
        key: "pause",
        doc: "Waits: for `duration` (seconds, or a duration such as 5m), or for a person when there is none. With an `analysis` in the same item the verdict ends it, after `duration` at the earliest.",
        example: "pause: {duration: 5m}",
        read: |node, _| pause(node),
    },
    StepKind {
        key: "analysis",
        doc: "Waits for the verdict of an analysis; a bad one aborts the rollout.",
        example: "analysis: {templates: [{templateName: success-rate}]}",
        read: |node, _| {
            analysis(node).map(|analysis| Step::Analysis(AnalysisStep { analysis, at_least: None }))
        },
    },
    StepKind {
        key: "setCanaryScale",
        doc: "Gives the canary a size of its own until the next such step: `replicas`, `weight` (percent of stable's size) or `matchTrafficWeight: true`, which ends it. Of several given, `matchTrafficWeight` counts before `replicas`, and that before `weight`.",
        example: "setCanaryScale: {replicas: 3}",
        read: set_canary_scale,
    },
    StepKind {
        key: "setHeaderRoute",
        doc: "Sends requests with this header to the canary, in addition to its share of all others: `exact`, `prefix` or `regex` (the whole value). The same `name` without `match` removes it. How many such routes there can be at a time is the router's.",
        example: "setHeaderRoute: {name: testers, match: [{headerName: X-Canary-Test, headerValue: {exact: \"true\"}}]}",
        read: |node, _| node.object(header_route).map(Step::SetHeaderRoute),
    },
    StepKind {
        key: "setMirrorRoute",
        doc: "Copies `percentage` of the requests to the canary, whose answers nobody sees. The same `name` without `percentage` removes it. Needs a router that can mirror.",
        example: "setMirrorRoute: {name: shadow, percentage: 10}",
        read: |node, _| node.object(mirror_route).map(Step::SetMirrorRoute),
    },
];

/// Steps of Argo Rollouts that are refused, and why.
pub static REFUSED_STEPS: &[(&str, &str)] = &[
    ("experiment", "it needs Argo's own objects; compare the two sides of the release in an analysis"),
    ("plugin", "it needs Argo's plugins"),
];

/// Reads one step: a mapping with exactly one known key, or `pause` and `analysis` together. Weights are parts
/// of `total`.
#[must_use]
pub fn step(node: Node<'_>, total: u32) -> Option<Step> {
    node.named("step", |node| node.object(|fields| one_step(fields, total)))
}

fn one_step(fields: &mut Fields<'_>, total: u32) -> Option<Step> {
    let mut steps: Vec<(&str, Option<Step>)> = Vec::new();
    for kind in STEPS {
        let mut given = false;
        let step = fields.doc(kind.doc).optional(kind.key, |node| {
            given = true;
            (kind.read)(node, total)
        });
        if given {
            steps.push((kind.key, step));
        }
    }
    let refused = REFUSED_STEPS.iter().filter(|(key, why)| fields.unsupported(key, why)).count();
    match steps.as_mut_slice() {
        [] => {
            if refused == 0 && fields.is_clean() {
                let keys: Vec<_> = STEPS.iter().map(|kind| kind.key).collect();
                fields.fail(format!("must have one of {}", keys.join(", ")));
            }
            None
        }
        [(_, step)] => step.take(),
        [("pause", pause), ("analysis", analysis)] => paused_analysis(pause.take()?, analysis.take()?),
        _ => {
            fields.fail("must have one kind of step (or pause and analysis), write one list item for each");
            None
        }
    }
}

/// A pause together with an analysis: both must be over, and an endless pause is over with the verdict.
fn paused_analysis(pause: Step, analysis: Step) -> Option<Step> {
    match (pause, analysis) {
        (Step::Pause(at_least), Step::Analysis(step)) => {
            Some(Step::Analysis(AnalysisStep { at_least, ..step }))
        }
        _ => None,
    }
}

/// A whole number from 0 to `total`.
fn weight(node: Node<'_>, total: u32) -> Option<Weight> {
    Weight::of(node.integer(0..=total)?, total).ok()
}

/// A whole number from 0 to 100.
pub(super) fn percent(node: Node<'_>) -> Option<Weight> {
    weight(node, Weight::PERCENT)
}

/// A number of pods, at least `min`.
pub(super) fn pods(node: Node<'_>, min: i32) -> Option<i32> {
    node.integer(min..=MAX_PODS)
}

/// Argo's precedence; nothing given means the same as `matchTrafficWeight`.
fn set_canary_scale(node: Node<'_>, total: u32) -> Option<Step> {
    node.object(|fields| {
        let replicas = fields.optional("replicas", |node| pods(node, 0));
        let weight = fields.optional("weight", |node| weight(node, total));
        let matching = fields.optional("matchTrafficWeight", Node::bool).unwrap_or(false);
        let own = replicas.map(CanaryScale::Replicas).or_else(|| weight.map(CanaryScale::Weight));
        Some(Step::SetCanaryScale(own.filter(|_| !matching).unwrap_or(CanaryScale::MatchTrafficWeight)))
    })
}

fn pause(node: Node<'_>) -> Option<Step> {
    node.object(|fields| {
        let mut given = false;
        let duration = fields.optional("duration", |node| {
            given = true;
            pause_duration(node)
        });
        (duration.is_some() || !given).then_some(Step::Pause(duration))
    })
}

/// Whole seconds as a number or in quotes, or a duration; at most as many seconds as 32 bits hold.
///
/// Source: argo-rollouts `RolloutPause.DurationSeconds`; what that reads as negative its validation
/// refuses, and so does this.
fn pause_duration(node: Node<'_>) -> Option<GoDuration> {
    const ALLOWED: &str = "must be a number of seconds, not negative, or a duration such as \"30s\" or \"5m\"; leave it out to wait for a person";
    const MAX_PAUSE: GoDuration = GoDuration::from_secs(i32::MAX.cast_unsigned());
    node.typed(Schema::PauseTime, |node| {
        let value = node.value();
        let text =
            value.as_str().map(str::to_owned).or_else(|| value.as_i64().map(|number| number.to_string()));
        let seconds = text.as_deref().and_then(|text| text.parse::<i32>().ok());
        let duration = match seconds {
            Some(seconds) => u32::try_from(seconds).ok().map(GoDuration::from_secs),
            None => text.as_deref().and_then(|text| text.parse().ok()),
        };
        match duration.filter(|duration| *duration <= MAX_PAUSE) {
            Some(duration) => Some(duration),
            None => node.fail(ALLOWED),
        }
    })
}

/// Reads which templates to run, with which arguments.
#[must_use]
pub fn analysis(node: Node<'_>) -> Option<AnalysisRef> {
    node.named("analysis", |node| node.object(|fields| Some(analysis_ref(fields))))
}

/// The fields of [`analysis`].
pub(super) fn analysis_ref(fields: &mut Fields<'_>) -> AnalysisRef {
    const RULES: &str = "As in a template; these rules come before its own.";
    let mut templates = fields
        .doc("`[{templateName: NAME, clusterScope: BOOL}]`; without any, the template in `haldane.dev/analysis`.")
        .list("templates", template_ref);
    let args = fields.doc("Values for arguments of the templates.").list("args", |node| node.object(arg));
    let rules = rules(fields, RULES, RULES);
    let metadata = fields
        .doc("`labels` and `annotations` that its runs carry in the record, `state.rollout.runs`.")
        .optional("analysisRunMetadata", Node::metadata)
        .map(|(labels, annotations)| RunMetadata { labels, annotations });
    if templates.is_empty() {
        templates.push(TemplateRef::inline());
    }
    AnalysisRef { templates, rules, metadata: metadata.unwrap_or_default(), args }
}

fn arg(fields: &mut Fields<'_>) -> Option<ArgBinding> {
    let name = fields.required("name", Node::string);
    let value = arg_value(fields).map(ArgSource::Value);
    let from = fields.optional("valueFrom", |node| node.object(arg_source));
    if value.is_some() && from.is_some() {
        fields.fail("must have value or valueFrom, not both");
    }
    let source = value.or(from);
    if source.is_none() && fields.is_clean() {
        fields.fail("must have value or valueFrom");
    }
    Some(ArgBinding { name: name?, source: source? })
}

fn arg_source(fields: &mut Fields<'_>) -> Option<ArgSource> {
    const SIDES: &[(&str, Side)] =
        &[("Stable", Side::Stable), ("Latest", Side::Canary), ("Canary", Side::Canary)];
    let side = fields
        .doc("`Stable`, or `Latest` (also `Canary`): the `pod-template-hash` of that side. In a step only.")
        .optional("podTemplateHashValue", |node| {
            node.word(SIDES, "must be Stable, or Latest (Canary means the same)")
        });
    let field = field_ref(fields).map(ArgSource::FieldRef);
    let source = side.map(ArgSource::PodTemplateHash).or(field);
    if source.is_none() && fields.is_clean() {
        fields.fail("must have podTemplateHashValue or fieldRef");
    }
    source
}
