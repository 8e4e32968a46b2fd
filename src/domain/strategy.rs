//! What the user asked for: the canary strategy, in Argo Rollouts' words.

pub use super::metric::TemplateRef;

use super::{
    k8s::selector::Labels,
    metric::{AnalysisTemplate, MetricRules, RunMetadata},
    names::Weight,
    one_or_many,
};
use crate::gocompat::duration::GoDuration;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

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
    /// Analysis that runs alongside the steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub background: Option<BackgroundAnalysis>,
    /// How long an aborted canary is kept for debugging; `None` keeps it until the next release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub abort_scale_down_delay: Option<GoDuration>,
    /// How long stable stays as it is, and an abort instant, once the canary has all traffic.
    #[serde(default)]
    pub scale_down_delay: GoDuration,
    /// Whether a canary that does not become available in time aborts the rollout.
    pub progress_deadline_abort: bool,
    /// How much of the canary must be available for a step to go on; `None` = all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress_threshold: Option<ProgressThreshold>,
    /// Least size of a canary with traffic.
    #[serde(default)]
    pub min_pods: i32,
    /// A template that was stable at most so many templates ago needs no new trial.
    #[serde(default)]
    pub rollback_window: u32,
    /// What canary pods have and stable's have not.
    #[serde(default)]
    pub pods: CanaryPods,
    /// The user's Service to split; `None` means every Service that selects the Deployment's pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stable_service: Option<String>,
    /// The name that the canary's Service gets; once the rollout has started, only with `stable_service`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary_service: Option<String>,
    /// A second Service for the canary, under which people reach it whatever its traffic; only with `stable_service`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preview_service: Option<String>,
    /// The router by which traffic is split; `None` until the rollout starts, which chooses by what routes to the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub router: Option<String>,
    /// Names that header and mirror routes may have; empty means any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub managed_routes: Vec<String>,
    /// The total of which weights are parts.
    #[serde(default = "percent", skip_serializing_if = "is_percent")]
    pub weight_total: u32,
    /// Whether what the data plane counts of the canary's share is left out of account.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unobserved: bool,
    /// How long a change of weight takes to reach every proxy.
    pub settle: GoDuration,
    /// Settings of routers, by their names; each router reads its own.
    #[serde(flatten)]
    pub settings: BTreeMap<String, Value>,
}

const fn percent() -> u32 {
    Weight::PERCENT
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
const fn is_percent(total: &u32) -> bool {
    *total == Weight::PERCENT
}

/// One step of the plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Step {
    /// Send this share of the traffic to the canary.
    SetWeight(Weight),
    /// Give the canary a size of its own, whatever its traffic.
    SetCanaryScale(CanaryScale),
    /// Send requests with some header to the canary, in addition to its share of the others.
    SetHeaderRoute(HeaderRoute),
    /// Copy requests to the canary as well, whose answers nobody sees.
    SetMirrorRoute(MirrorRoute),
    /// Wait: for a time, or for a person when no time is given.
    Pause(Option<GoDuration>),
    /// Wait for the verdict of an analysis.
    Analysis(AnalysisStep),
}

/// What a step waits for, in addition to its traffic.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum StepWait<'a> {
    /// Only its traffic.
    Settle,
    /// The pods of its size.
    Size,
    /// This time.
    Time(GoDuration),
    /// A person.
    Person,
    /// The verdict of this analysis.
    Verdict(&'a AnalysisStep),
}

impl Step {
    /// What the step waits for.
    #[must_use]
    pub const fn wait(&self) -> StepWait<'_> {
        match self {
            Self::SetWeight(_) | Self::SetHeaderRoute(_) | Self::SetMirrorRoute(_) => StepWait::Settle,
            Self::SetCanaryScale(_) => StepWait::Size,
            Self::Pause(Some(span)) => StepWait::Time(*span),
            Self::Pause(None) => StepWait::Person,
            Self::Analysis(analysis) => StepWait::Verdict(analysis),
        }
    }
}

/// The canary's size from a step on, until another such step.
///
/// Source: argo-rollouts `utils/replicaset/canary.go`, `UseSetCanaryScale`. A later `setWeight` does not end it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum CanaryScale {
    /// So many pods.
    Replicas(i32),
    /// As many as this share of the traffic would need.
    Weight(Weight),
    /// As many as its traffic needs: as if there were no such step.
    MatchTrafficWeight,
}

/// A route by header: one of this name replaces what was there, one without a match removes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HeaderRoute {
    /// Name by which a later step changes or removes it.
    pub name: String,
    /// Requests that go to the canary have all of these; without any the route is removed.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "one_or_many")]
    pub matching: Vec<HeaderMatch>,
}

/// Copies of requests: one of this name replaces what was there, one without a share removes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MirrorRoute {
    /// Name by which a later step changes or removes it.
    pub name: String,
    /// Share of the requests that is copied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<Weight>,
}

/// A header and what it must hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HeaderMatch {
    /// Name of the header.
    pub header: String,
    /// Its value.
    pub value: HeaderValue,
}

/// What a header's value must be, as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum HeaderValue {
    /// This.
    Exact(String),
    /// Something that begins so.
    Prefix(String),
    /// Something that this regular expression describes from its first to its last character.
    Regex(String),
}

/// An analysis, and how long its step lasts at least.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AnalysisStep {
    /// What is measured.
    #[serde(flatten)]
    pub analysis: AnalysisRef,
    /// The `pause` next to it; the verdict may come later than its end, and the step waits for both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_least: Option<GoDuration>,
}

/// How much of the canary must be available. Argo's `replicaProgressThreshold`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ProgressThreshold {
    /// This share of its pods.
    Percent(Weight),
    /// So many pods, or all if there are fewer.
    Pods(i32),
}

/// What canary pods have and stable's have not.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CanaryPods {
    /// More labels. None of them is one by which pods are selected.
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
    /// More annotations.
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    pub annotations: Labels,
    /// Kept away from the nodes of stable's pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anti_affinity: Option<AntiAffinity>,
}

/// How much canary pods avoid nodes with stable ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum AntiAffinity {
    /// With this weight, 1 to 100, among the scheduler's other preferences.
    Preferred(i32),
    /// Always: without such a node a canary pod stays pending.
    Required,
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
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AnalysisRef {
    /// Names of templates in [`RolloutSpec::templates`]; once frozen, with all that these name in turn.
    pub templates: Vec<TemplateRef>,
    /// Rules in addition to the templates' own.
    #[serde(flatten)]
    pub rules: MetricRules,
    /// What its runs are marked with.
    #[serde(default, skip_serializing_if = "RunMetadata::is_empty")]
    pub metadata: RunMetadata,
    /// Values for the templates' arguments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<ArgBinding>,
}

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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, strum::Display)]
#[serde(rename_all = "camelCase")]
#[strum(serialize_all = "lowercase")]
pub enum Side {
    /// What serves now.
    Stable,
    /// The canary version (Argo: `Latest`).
    Canary,
}

impl CanaryStrategy {
    /// The weight in force once the step at `index` has been reached: its own or the last before it.
    #[must_use]
    pub fn weight_at(&self, index: usize) -> Weight {
        let mut weights = self.reached(index).filter_map(|(_, step)| match step {
            Step::SetWeight(weight) => Some(*weight),
            _ => None,
        });
        weights.next_back().unwrap_or(Weight::ZERO)
    }

    /// The canary's own size in force at the step at `index`, its own or the last before it.
    #[must_use]
    pub fn scale_at(&self, index: usize) -> CanaryScale {
        let mut scales = self.reached(index).filter_map(|(_, step)| match step {
            Step::SetCanaryScale(scale) => Some(*scale),
            _ => None,
        });
        scales.next_back().unwrap_or(CanaryScale::MatchTrafficWeight)
    }

    /// Indices of the steps whose header routes are in force at the step at `index`.
    #[must_use]
    pub fn headers_at(&self, index: usize) -> BTreeSet<usize> {
        let mut on: BTreeMap<&str, usize> = BTreeMap::new();
        for (at, step) in self.reached(index) {
            let Step::SetHeaderRoute(route) = step else { continue };
            if route.matching.is_empty() {
                on.remove(route.name.as_str());
            } else {
                on.insert(&route.name, at);
            }
        }
        on.into_values().collect()
    }

    /// Index of the step whose mirror route is in force at the step at `index`.
    #[must_use]
    pub fn mirror_at(&self, index: usize) -> Option<usize> {
        let mut mirrors = self.reached(index).filter(|(_, step)| matches!(step, Step::SetMirrorRoute(_)));
        let (at, _) = mirrors.next_back()?;
        self.mirror_route(at).map(|_| at)
    }

    /// The header route that the step at `index` sets, if it does not remove one.
    #[must_use]
    pub fn header_route(&self, index: usize) -> Option<&HeaderRoute> {
        match self.steps.get(index) {
            Some(Step::SetHeaderRoute(route)) => Some(route).filter(|route| !route.matching.is_empty()),
            _ => None,
        }
    }

    /// The mirror route that the step at `index` sets, if it does not remove one.
    #[must_use]
    pub fn mirror_route(&self, index: usize) -> Option<&MirrorRoute> {
        match self.steps.get(index) {
            Some(Step::SetMirrorRoute(route)) => Some(route).filter(|route| route.share.is_some()),
            _ => None,
        }
    }

    /// What the plan says to the router of this name.
    #[must_use]
    pub fn settings_of(&self, router: &str) -> &Value {
        self.settings.get(router).unwrap_or(&Value::Null)
    }

    fn reached(&self, index: usize) -> impl DoubleEndedIterator<Item = (usize, &Step)> {
        let count = index.saturating_add(1).min(self.steps.len());
        self.steps.iter().take(count).enumerate()
    }

    /// How many of `wanted` canary pods must be available for a step to go on.
    #[must_use]
    pub fn pods_needed(&self, wanted: i32) -> i32 {
        match self.progress_threshold {
            None => wanted,
            Some(ProgressThreshold::Percent(share)) => share.share_of(wanted),
            Some(ProgressThreshold::Pods(pods)) => pods.min(wanted),
        }
    }
}
