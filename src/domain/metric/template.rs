//! Analysis templates: metrics to be, with the parameters and rules that make a run of them.

use super::{is_default, spec::RawMetric};
use crate::domain::k8s::selector::Labels;
use serde::{Deserialize, Serialize};

/// A reusable set of metrics; see [`crate::analysis::start`] for how it becomes a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct AnalysisTemplate {
    /// The name that steps refer to.
    pub name: String,
    /// Parameters with their defaults.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<Arg>,
    /// The metrics, with `{{args.x}}` still in their texts.
    pub metrics: Vec<RawMetric>,
    /// How metrics are treated, by name.
    #[serde(flatten)]
    pub rules: MetricRules,
    /// Other templates whose metrics belong to it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub templates: Vec<TemplateRef>,
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

/// How metrics are treated, by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct MetricRules {
    /// Metrics that are measured but cannot end the run.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dry_run: Vec<MetricRule>,
    /// How many measurements to keep.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub measurement_retention: Vec<MetricRule>,
}

/// Labels and annotations of a run: Argo's `analysisRunMetadata`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(default)]
pub struct RunMetadata {
    /// Labels.
    #[serde(skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
    /// Annotations.
    #[serde(skip_serializing_if = "Labels::is_empty")]
    pub annotations: Labels,
}

impl RunMetadata {
    /// Whether it marks nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.annotations.is_empty()
    }
}

/// A rule for all metrics whose name it matches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MetricRule {
    /// Regular expression, not anchored.
    pub metric_name: String,
    /// Measurements to keep per metric; 0 means the default.
    #[serde(default, skip_serializing_if = "is_default")]
    pub limit: u32,
}

/// A parameter of a template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Arg {
    /// What `{{args.NAME}}` refers to.
    pub name: String,
    /// Its default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// The field of the Deployment that is its value, unless the step gives one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// The secret that is its value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<SecretKeyRef>,
}

/// A key of a Secret in the namespace of the Deployment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SecretKeyRef {
    /// The Secret.
    pub name: String,
    /// The key in it.
    pub key: String,
}
