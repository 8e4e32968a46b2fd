//! Argo's `strategy.canary`, read into a [`CanaryStrategy`].

use super::steps::{analysis_ref, step};
use crate::domain::{
    duration::GoDuration,
    fields::{Fields, Node, read},
    finding::Findings,
    names::Weight,
    strategy::{AnalysisRef, BackgroundAnalysis, CanaryStrategy, NginxRouting, Step, TemplateRef},
};
use serde_json::Value;
use std::collections::BTreeMap;

/// What applies where the user says nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Defaults {
    /// See [`CanaryStrategy::settle`].
    pub settle: GoDuration,
    /// See [`NginxRouting::annotation_prefix`].
    pub annotation_prefix: String,
}

/// Argo's default.
const ABORT_SCALE_DOWN_DELAY: GoDuration = GoDuration::from_secs(30);

/// Most steps that a plan may have: it is stored whole in one object.
const MAX_STEPS: usize = 100;

/// Fields of Argo's that are refused, and why.
const UNSUPPORTED: &[(&str, &str)] = &[
    ("antiAffinity", "not yet"),
    ("canaryMetadata", "not yet"),
    ("stableMetadata", "stable pods are never touched"),
    ("dynamicStableScale", "stable keeps its size, so that an abort is safe at any moment"),
    ("maxSurge", "stable is replaced by the Deployment's own strategy"),
    ("maxUnavailable", "stable is replaced by the Deployment's own strategy"),
    ("minPodsPerReplicaSet", "not yet"),
    ("pingPong", "it needs two Services of the user"),
    ("replicaProgressThreshold", "not yet"),
    ("scaleDownDelaySeconds", "not yet"),
    ("scaleDownDelayRevisionLimit", "there is one canary at a time"),
];

/// The plan of `haldane.dev/canary: enabled`: a tenth, then half, a minute each.
#[must_use]
pub fn default_strategy(defaults: &Defaults) -> CanaryStrategy {
    let weight = |percent| Step::SetWeight(Weight::try_from(percent).unwrap_or(Weight::ZERO));
    let pause = || Step::Pause(Some(GoDuration::from_secs(60)));
    CanaryStrategy {
        steps: vec![weight(10), pause(), weight(50), pause()],
        background: None,
        abort_scale_down_delay: Some(ABORT_SCALE_DOWN_DELAY),
        progress_deadline_abort: true,
        stable_service: None,
        canary_service: None,
        nginx: nginx_defaults(defaults),
        settle: defaults.settle,
    }
}

fn nginx_defaults(defaults: &Defaults) -> NginxRouting {
    NginxRouting {
        stable_ingresses: Vec::new(),
        annotation_prefix: defaults.annotation_prefix.clone(),
        additional_annotations: BTreeMap::new(),
    }
}

/// Reads Argo's `strategy.canary`; also accepted are `canary:` and `strategy: {canary:}` around it.
///
/// # Errors
/// Every finding, with paths below `path`.
pub fn read_strategy(document: &Value, path: &str, defaults: &Defaults) -> Result<CanaryStrategy, Findings> {
    let (document, path) = unwrap(document, path, "strategy");
    let (document, path) = unwrap(document, &path, "canary");
    read(document, &path, |node| node.object(|fields| Some(canary(fields, defaults))))
}

fn unwrap<'a>(document: &'a Value, path: &str, key: &str) -> (&'a Value, String) {
    match document.as_object() {
        Some(object) if object.len() == 1 => match object.get(key) {
            Some(inner) => (inner, format!("{path}.{key}")),
            None => (document, path.to_owned()),
        },
        _ => (document, path.to_owned()),
    }
}

fn canary(fields: &mut Fields<'_>, defaults: &Defaults) -> CanaryStrategy {
    let steps = fields.list("steps", step);
    let background = fields.optional("analysis", |node| node.object(background));
    let delay = fields.optional("abortScaleDownDelaySeconds", |node| node.integer(0..=604_800_u32));
    let progress_deadline_abort = fields.optional("progressDeadlineAbort", Node::bool).unwrap_or(true);
    let stable_service = fields.optional("stableService", Node::string);
    let canary_service = fields.optional("canaryService", Node::string);
    let nginx =
        fields.optional("trafficRouting", |node| node.object(|routing| traffic_routing(routing, defaults)));
    for (key, why) in UNSUPPORTED {
        fields.unsupported(key, why);
    }
    if canary_service.is_some() && stable_service.is_none() {
        fields.fail("canaryService names the canary of stableService, so stableService is required with it");
    }
    if canary_service.is_some() && canary_service == stable_service {
        fields.fail("canaryService must not be stableService");
    }
    if steps.len() > MAX_STEPS {
        fields.fail(format!("must not have more than {MAX_STEPS} steps, it has {}", steps.len()));
    }
    if let Some(start) =
        background.as_ref().map(|b| b.starting_step).filter(|start| *start > 0 && *start >= steps.len())
    {
        fields.fail(format!(
            "analysis.startingStep is {start}, but there are only {} steps, counted from 0",
            steps.len()
        ));
    }
    CanaryStrategy {
        steps: if steps.is_empty() { default_strategy(defaults).steps } else { steps },
        background,
        // 0 keeps the aborted canary, as in Argo.
        abort_scale_down_delay: match delay {
            Some(0) => None,
            Some(seconds) => Some(GoDuration::from_secs(seconds)),
            None => Some(ABORT_SCALE_DOWN_DELAY),
        },
        progress_deadline_abort,
        stable_service,
        canary_service,
        nginx: nginx.unwrap_or_else(|| nginx_defaults(defaults)),
        settle: defaults.settle,
    }
}

fn background(fields: &mut Fields<'_>) -> Option<BackgroundAnalysis> {
    let starting_step = fields.optional("startingStep", |node| node.integer(0..=100_i64)).unwrap_or(0);
    let analysis = analysis_ref(fields)?;
    Some(BackgroundAnalysis { analysis, starting_step: usize::try_from(starting_step).unwrap_or(0) })
}

fn traffic_routing(fields: &mut Fields<'_>, defaults: &Defaults) -> Option<NginxRouting> {
    let nginx = fields.optional("nginx", |node| node.object(|nginx| Some(nginx_routing(nginx, defaults))));
    for key in
        ["alb", "ambassador", "apisix", "appMesh", "istio", "plugins", "smi", "traefik", "managedRoutes"]
    {
        fields.unsupported(key, "traffic is routed by nginx annotations");
    }
    fields.optional("maxTrafficWeight", |node| match node.value().as_u64() {
        Some(100) => Some(()),
        _ => node
            .fail("must be 100 or left out: NGINX ignores a smaller total, and weights here are percentages"),
    });
    nginx
}

fn nginx_routing(fields: &mut Fields<'_>, defaults: &Defaults) -> NginxRouting {
    let one = fields.optional("stableIngress", Node::string);
    let several = fields.list("stableIngresses", Node::string);
    if one.is_some() && !several.is_empty() {
        fields.fail("must have stableIngress or stableIngresses, not both");
    }
    let prefix = fields.optional("annotationPrefix", Node::string);
    let additional = fields.optional("additionalIngressAnnotations", |node| node.map(Node::string));
    let more = fields.optional("canaryIngressAnnotations", |node| node.map(Node::string));
    NginxRouting {
        stable_ingresses: one.into_iter().chain(several).collect(),
        annotation_prefix: prefix.unwrap_or_else(|| defaults.annotation_prefix.clone()),
        additional_annotations: additional.into_iter().chain(more).flatten().collect(),
    }
}

impl CanaryStrategy {
    /// Every analysis that the plan names.
    pub fn analyses(&self) -> impl Iterator<Item = &AnalysisRef> {
        let in_steps = self.steps.iter().filter_map(|step| match step {
            Step::Analysis(analysis) => Some(analysis),
            _ => None,
        });
        in_steps.chain(self.background.as_ref().map(|background| &background.analysis))
    }

    /// An analysis in an annotation that no step names runs in the background from the first step on.
    pub fn use_inline_template(&mut self) {
        let named = self.analyses().any(|analysis| analysis.templates.iter().any(TemplateRef::is_inline));
        if !named && self.background.is_none() {
            let analysis = AnalysisRef { templates: vec![TemplateRef::inline()], args: Vec::new() };
            self.background = Some(BackgroundAnalysis { analysis, starting_step: 0 });
        }
    }
}
