//! The kinds of steps: one table, from which parser and reference page are made.

use crate::domain::{
    duration::GoDuration,
    fields::{Fields, Node},
    names::Weight,
    strategy::{AnalysisRef, ArgBinding, ArgSource, Side, Step, TemplateRef},
};

/// A kind of step: the word by which it is written, how it is read, and its documentation.
#[derive(Debug)]
pub struct StepKind {
    /// The step's one key.
    pub key: &'static str,
    /// One sentence for the reference page.
    pub doc: &'static str,
    /// As users write it.
    pub example: &'static str,
    read: fn(Node<'_>) -> Option<Step>,
}

/// Every kind of step, in the order of the reference page.
pub static STEPS: &[StepKind] = &[
    StepKind {
        key: "setWeight",
        doc: "Sends this percentage of the traffic to the canary, once it has the pods for it.",
        example: "setWeight: 25",
        read: set_weight,
    },
    StepKind {
        key: "pause",
        doc: "Waits: for `duration` (seconds, or a duration such as 5m), or for a person when there is none.",
        example: "pause: {duration: 5m}",
        read: pause,
    },
    StepKind {
        key: "analysis",
        doc: "Waits for the verdict of an analysis; a bad one aborts the rollout.",
        example: "analysis: {templates: [{templateName: success-rate}]}",
        read: |node| node.object(analysis_ref).map(Step::Analysis),
    },
];

/// Steps of Argo Rollouts that NGINX cannot do, or that are not done yet, and why.
const UNSUPPORTED: &[(&str, &str)] = &[
    ("setCanaryScale", "the canary is sized by weight"),
    ("setHeaderRoute", "set canary-by-header in trafficRouting.nginx.additionalIngressAnnotations instead"),
    ("setMirrorRoute", "NGINX cannot mirror traffic to a canary"),
    ("experiment", "it needs Argo's own objects"),
    ("plugin", "it needs Argo's plugins"),
];

/// Reads one step: a mapping with exactly one known key.
#[must_use]
pub fn step(node: Node<'_>) -> Option<Step> {
    node.object(|fields| {
        let mut steps: Vec<Option<Step>> = Vec::new();
        for kind in STEPS {
            let mut given = false;
            let step = fields.optional(kind.key, |node| {
                given = true;
                (kind.read)(node)
            });
            if given {
                steps.push(step);
            }
        }
        let refused = UNSUPPORTED.iter().filter(|(key, why)| fields.unsupported(key, why)).count();
        if steps.len() > 1 {
            fields.fail("must have one kind of step, write one list item for each");
            return None;
        }
        if steps.is_empty() && refused == 0 && fields.only_known() {
            let keys: Vec<_> = STEPS.iter().map(|kind| kind.key).collect();
            fields.fail(format!("must have one of {}", keys.join(", ")));
        }
        steps.pop()?
    })
}

fn set_weight(node: Node<'_>) -> Option<Step> {
    let percent = node.integer(0..=100_u8)?;
    Weight::try_from(percent).ok().map(Step::SetWeight)
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

/// Whole seconds as a number or in quotes, or a duration.
///
/// Source: argo-rollouts `RolloutPause.DurationSeconds`; what that reads as "not positive" its
/// validation refuses, and so does this.
fn pause_duration(node: Node<'_>) -> Option<GoDuration> {
    const ALLOWED: &str = "must be a positive number of seconds or a duration such as \"30s\" or \"5m\"; leave it out to wait for a person";
    let value = node.value();
    let text = value.as_str().map(str::to_owned).or_else(|| value.as_i64().map(|number| number.to_string()));
    let seconds = text.as_deref().and_then(|text| text.parse::<u32>().ok().map(GoDuration::from_secs));
    let duration = seconds.or_else(|| text.as_deref()?.parse().ok());
    match duration.filter(|duration| *duration > GoDuration::ZERO) {
        Some(duration) => Some(duration),
        None => node.fail(ALLOWED),
    }
}

/// Reads which templates to run, with which arguments.
pub fn analysis_ref(fields: &mut Fields<'_>) -> Option<AnalysisRef> {
    let mut templates = fields.list("templates", |node| node.object(template_ref));
    let args = fields.list("args", |node| node.object(arg));
    for key in ["analysisRunMetadata", "dryRun", "measurementRetention"] {
        fields.unsupported(key, "set it in the analysis template");
    }
    if templates.is_empty() {
        templates.push(TemplateRef::inline());
    }
    Some(AnalysisRef { templates, args })
}

fn template_ref(fields: &mut Fields<'_>) -> Option<TemplateRef> {
    let name = fields.required("templateName", Node::string);
    let cluster_scope = fields.optional("clusterScope", Node::bool).unwrap_or(false);
    Some(TemplateRef { name: name?, cluster_scope })
}

fn arg(fields: &mut Fields<'_>) -> Option<ArgBinding> {
    let name = fields.required("name", Node::string);
    let value = fields.optional("value", Node::string).map(ArgSource::Value);
    let from = fields.optional("valueFrom", |node| node.object(arg_source));
    if value.is_some() && from.is_some() {
        fields.fail("must have value or valueFrom, not both");
    }
    let source = value.or(from);
    if source.is_none() && fields.only_known() {
        fields.fail("must have value or valueFrom");
    }
    Some(ArgBinding { name: name?, source: source? })
}

fn arg_source(fields: &mut Fields<'_>) -> Option<ArgSource> {
    let hash = fields.optional("podTemplateHashValue", |node| match node.value().as_str() {
        Some("Stable") => Some(ArgSource::PodTemplateHash(Side::Stable)),
        Some("Latest" | "Canary") => Some(ArgSource::PodTemplateHash(Side::Canary)),
        _ => node.fail("must be Stable, or Latest (Canary means the same)"),
    });
    let field = fields.optional("fieldRef", |node| {
        node.object(|fields| fields.required("fieldPath", Node::string).map(ArgSource::FieldRef))
    });
    let source = hash.or(field);
    if source.is_none() && fields.only_known() {
        fields.fail("must have podTemplateHashValue or fieldRef");
    }
    source
}
