//! What the user asked for: the canary strategy, in Argo Rollouts' words.

use super::{duration::GoDuration, metric::AnalysisTemplate, names::Weight};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The plan of one rollout, complete in itself: frozen when the rollout starts, so that later
/// edits of annotations or templates reach the next revision only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RolloutSpec {
    /// Steps, background analysis and their settings.
    pub strategy: CanaryStrategy,
    /// Every analysis template that the strategy names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub templates: Vec<NamedTemplate>,
}

/// A template together with the reference under which steps name it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NamedTemplate {
    /// As steps name it.
    #[serde(flatten)]
    pub reference: TemplateRef,
    /// What it says.
    pub template: AnalysisTemplate,
}

/// Argo's `strategy.canary`, checked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CanaryStrategy {
    /// What happens, in order.
    pub steps: Vec<Step>,
    /// Analysis that runs beside the steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub background: Option<BackgroundAnalysis>,
    /// How long an aborted canary is kept for debugging; `None` keeps it until the next release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub abort_scale_down_delay: Option<GoDuration>,
    /// Whether a canary that does not become available in time aborts the rollout.
    pub progress_deadline_abort: bool,
    /// The user's Service to split; `None` means every Service that selects the Deployment's pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stable_service: Option<String>,
    /// The name that the canary's Service gets; only with `stable_service`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary_service: Option<String>,
    /// How traffic is split.
    pub nginx: NginxRouting,
    /// How long a change of weight takes to reach every proxy.
    pub settle: GoDuration,
}

/// Argo's `trafficRouting.nginx`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NginxRouting {
    /// The user's Ingresses to split; empty means every one that routes to a split Service.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stable_ingresses: Vec<String>,
    /// Prefix of the canary annotations.
    pub annotation_prefix: String,
    /// More annotations for the canary Ingress while it may carry traffic, e.g. `canary-by-header`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub additional_annotations: BTreeMap<String, String>,
}

/// One step of the plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Step {
    /// Send this share of the traffic to the canary.
    SetWeight(Weight),
    /// Wait: for a time, or for a person when no time is given.
    Pause(Option<GoDuration>),
    /// Wait for the verdict of an analysis.
    Analysis(AnalysisRef),
}

/// Analysis from some step on until promotion.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BackgroundAnalysis {
    /// What is measured.
    pub analysis: AnalysisRef,
    /// Index of the step with which it starts.
    #[serde(default)]
    pub starting_step: usize,
}

/// Which templates to run, with which arguments.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AnalysisRef {
    /// Names of templates in [`RolloutSpec::templates`].
    pub templates: Vec<TemplateRef>,
    /// Values for the templates' arguments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<ArgBinding>,
}

/// A template's name and where it is looked up.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TemplateRef {
    /// Name of the template.
    pub name: String,
    /// Looked up in Haldane's own namespace instead of the Deployment's.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cluster_scope: bool,
}

impl TemplateRef {
    /// The template in the annotation `haldane.dev/analysis`. The name cannot be an object's.
    #[must_use]
    pub fn inline() -> Self {
        Self { name: INLINE_TEMPLATE.to_owned(), cluster_scope: false }
    }

    /// Whether this is the template in the annotation.
    #[must_use]
    pub fn is_inline(&self) -> bool {
        self.name == INLINE_TEMPLATE
    }
}

const INLINE_TEMPLATE: &str = "@annotation";

/// An argument of an analysis and where its value comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArgBinding {
    /// The argument's name.
    pub name: String,
    /// Its source.
    #[serde(flatten)]
    pub source: ArgSource,
}

/// Where an argument's value comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ArgSource {
    /// Written in the plan.
    Value(String),
    /// The `pod-template-hash` of one side of the pair.
    PodTemplateHash(Side),
    /// A field of the Deployment, as a path such as `metadata.labels['app']`.
    FieldRef(String),
}

/// One side of the pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Side {
    /// What serves now.
    Stable,
    /// What is on trial (Argo: `Latest`).
    Canary,
}

impl CanaryStrategy {
    /// The weight in force once the step at `index` has been reached: its own or the last before it.
    #[must_use]
    pub fn weight_at(&self, index: usize) -> Weight {
        let reached = self.steps.iter().take(index.saturating_add(1));
        let mut weights = reached.filter_map(|step| match step {
            Step::SetWeight(weight) => Some(*weight),
            _ => None,
        });
        weights.next_back().unwrap_or(Weight::ZERO)
    }
}
