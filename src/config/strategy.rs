//! Argo's `strategy.canary`, read into a [`CanaryStrategy`].

use super::{routes::check_routes, settings, steps::WEIGHT_TOTALS};
use crate::{
    document::{
        fields::{Fields, Node, describe, read},
        finding::Findings,
        schema::Schema,
    },
    domain::{
        names::Weight,
        strategy::{AnalysisRef, BackgroundAnalysis, CanaryPods, CanaryStrategy, Step, TemplateRef},
    },
    gocompat::duration::GoDuration,
    routers,
};
use serde_json::Value;
use std::collections::BTreeMap;

/// What applies where the user says nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Defaults {
    /// See [`CanaryStrategy::settle`].
    pub settle: GoDuration,
    /// Prefix of the canary annotations, for routers that write such.
    pub annotation_prefix: String,
}

/// Argo's default.
const ABORT_SCALE_DOWN_DELAY: GoDuration = GoDuration::from_secs(30);

/// Most steps that a plan may have: it is stored whole in one object.
pub const MAX_STEPS: usize = 100;

/// The plan of `haldane.dev/canary: enabled`: a tenth, then half, a minute each.
#[must_use]
pub fn default_strategy(defaults: &Defaults) -> CanaryStrategy {
    let weight = |percent| Step::SetWeight(Weight::try_from(percent).unwrap_or(Weight::ZERO));
    let pause = || Step::Pause(Some(GoDuration::from_secs(60)));
    CanaryStrategy { steps: vec![weight(10), pause(), weight(50), pause()], ..without_steps(defaults) }
}

/// The settings where the user gives none.
pub(super) fn without_steps(defaults: &Defaults) -> CanaryStrategy {
    let mut strategy = CanaryStrategy {
        steps: Vec::new(),
        background: None,
        abort_scale_down_delay: Some(ABORT_SCALE_DOWN_DELAY),
        scale_down_delay: GoDuration::ZERO,
        progress_deadline_abort: true,
        progress_threshold: None,
        min_pods: 1,
        rollback_window: 0,
        pods: CanaryPods::default(),
        stable_service: None,
        canary_service: None,
        preview_service: None,
        router: None,
        managed_routes: Vec::new(),
        weight_total: Weight::PERCENT,
        unobserved: false,
        settle: defaults.settle,
        settings: BTreeMap::new(),
    };
    routers::with_defaults(&mut strategy, &defaults.annotation_prefix);
    strategy
}

/// Reads Argo's `strategy.canary`; also accepted are `canary:` and `strategy: {canary:}` around it.
///
/// # Errors
/// Every finding, with paths below `path`.
pub fn read_strategy(document: &Value, path: &str, defaults: &Defaults) -> Result<CanaryStrategy, Findings> {
    let (document, path) = unwrap(document, path, "strategy");
    let (document, path) = unwrap(document, &path, "canary");
    let total = settings::weight_total(document);
    read(document, &path, |node| canary(node, total, defaults))
}

/// What a plan may be, whatever the total of its weights.
#[must_use]
pub fn schema(defaults: &Defaults) -> Schema {
    describe(|node| canary(node, *WEIGHT_TOTALS.end(), defaults))
}

/// The document inside of `{key: …}`, if that is all there is.
pub(super) fn unwrap<'a>(document: &'a Value, path: &str, key: &str) -> (&'a Value, String) {
    match document.as_object() {
        Some(object) if object.len() == 1 => match object.get(key) {
            Some(inner) => (inner, format!("{path}.{key}")),
            None => (document, path.to_owned()),
        },
        _ => (document, path.to_owned()),
    }
}

fn canary(node: Node<'_>, total: u32, defaults: &Defaults) -> Option<CanaryStrategy> {
    node.named("canary", |node| node.object(|fields| Some(plan(fields, total, defaults))))
}

fn plan(fields: &mut Fields<'_>, total: u32, defaults: &Defaults) -> CanaryStrategy {
    let mut strategy = without_steps(defaults);
    // Steps are read before the field that says so.
    strategy.weight_total = total;
    settings::read_all(settings::SETTINGS, settings::REFUSED, fields, &mut strategy);
    check_services(fields, &strategy);
    check_routes(fields, &strategy);
    if strategy.steps.len() > MAX_STEPS {
        fields.fail(format!("must not have more than {MAX_STEPS} steps, it has {}", strategy.steps.len()));
    }
    let start = strategy.background.as_ref().map(|background| background.starting_step);
    if let Some(start) = start.filter(|start| *start > 0 && *start >= strategy.steps.len()) {
        fields.fail(format!(
            "analysis.startingStep is {start}, but there are only {} steps, counted from 0",
            strategy.steps.len()
        ));
    }
    if strategy.steps.is_empty() {
        strategy.steps = default_strategy(defaults).steps;
    }
    strategy
}

fn check_services(fields: &mut Fields<'_>, strategy: &CanaryStrategy) {
    if strategy.canary_service.is_some() && strategy.canary_service == strategy.stable_service {
        fields.fail("canaryService must not be stableService");
    }
}

impl CanaryStrategy {
    /// Every analysis that the plan names.
    pub fn analyses(&self) -> impl Iterator<Item = &AnalysisRef> {
        let in_steps = self.steps.iter().filter_map(|step| match step {
            Step::Analysis(step) => Some(&step.analysis),
            _ => None,
        });
        in_steps.chain(self.background.as_ref().map(|background| &background.analysis))
    }

    /// As [`CanaryStrategy::analyses`], to change them.
    pub fn analyses_mut(&mut self) -> impl Iterator<Item = &mut AnalysisRef> {
        let in_steps = self.steps.iter_mut().filter_map(|step| match step {
            Step::Analysis(step) => Some(&mut step.analysis),
            _ => None,
        });
        in_steps.chain(self.background.as_mut().map(|background| &mut background.analysis))
    }

    /// An analysis in an annotation that no step names runs in the background from the first step on.
    pub fn use_inline_template(&mut self) {
        let named = self.analyses().any(|analysis| analysis.templates.iter().any(TemplateRef::is_inline));
        if !named && self.background.is_none() {
            let analysis = AnalysisRef { templates: vec![TemplateRef::inline()], ..AnalysisRef::default() };
            self.background = Some(BackgroundAnalysis { analysis, starting_step: 0 });
        }
    }
}
