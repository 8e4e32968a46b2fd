//! The annotations of a Deployment: which there are, and what they ask for.

use super::{
    blue_green::read_blue_green,
    dry_start,
    strategy::{Defaults, default_strategy, read_strategy},
    template,
    template_tree::{Known, MAX_TEMPLATES, expand},
};
use crate::document::yaml;
use crate::{
    document::{
        fields::nearest,
        finding::{Finding, Findings},
    },
    domain::{
        k8s::selector::Labels,
        keys,
        metric::AnalysisTemplate,
        state::bounded::{PLAN_ROOM, plan_bytes},
        strategy::{CanaryStrategy, NamedTemplate, RolloutSpec, TemplateRef},
    },
    gocompat::duration::{BadDuration, GoDuration},
};
use std::collections::{BTreeMap, BTreeSet};

/// An annotation that users may write.
#[derive(Debug)]
pub struct Key {
    /// Its whole name.
    pub name: &'static str,
    /// What it does, for the reference page.
    pub doc: &'static str,
    /// As users write it.
    pub example: &'static str,
    /// Whether a Namespace may give it for all of its Deployments.
    pub by_namespace: bool,
}

/// Every annotation that users may write, in the order of the reference page.
pub static KEYS: &[Key] = &[
    Key {
        name: keys::CANARY,
        doc: "Opts the Deployment in: `enabled` for the default plan, or YAML of Argo's `strategy.canary`. `disabled` keeps it out of a namespace that opts its Deployments in.",
        example: "{steps: [{setWeight: 25}, {pause: {duration: 5m}}]}",
        by_namespace: true,
    },
    Key {
        name: keys::BLUE_GREEN,
        doc: "Opts the Deployment in with YAML of Argo's `strategy.blueGreen`, instead of `haldane.dev/canary`.",
        example: "{activeService: web, previewService: web-preview, autoPromotionEnabled: false}",
        by_namespace: true,
    },
    Key {
        name: keys::ANALYSIS,
        doc: "YAML of an AnalysisTemplate spec, used where steps name no template; in the background if no step has an analysis.",
        example: "{metrics: [{name: up, successCondition: \"len(result) == 0 || result[0] == 1\", provider: {prometheus: {query: \"min(up)\"}}}]}",
        by_namespace: true,
    },
    Key {
        name: keys::SETTLE,
        doc: "How long a new weight takes to reach every proxy; each weight waits so long before its step goes on.",
        example: "6s",
        by_namespace: true,
    },
    Key {
        name: keys::DO,
        doc: "An order: `promote`, `promote-full`, `abort`, `retry`, `pause`, `resume` or `skip-step`; `promote --step N` goes on with the step of index N, counted from 0. It is carried out once and removed.",
        example: "promote",
        by_namespace: false,
    },
    Key {
        name: keys::RESTART,
        doc: "`canary` makes `kubectl rollout restart` a canary release; by default it restarts the pods natively.",
        example: "canary",
        by_namespace: true,
    },
    Key {
        name: keys::OVERRIDE_FREEZE,
        doc: "The reason to release although a policy's freeze forbids it, in the same request; it counts once and needs verb `override-freeze` on `deployments`.",
        example: "outage 4711",
        by_namespace: false,
    },
];

/// Annotations and labels that only Haldane writes.
pub const INTERNAL_KEYS: [&str; 4] = [keys::REQUEST, keys::HELD, keys::EXEMPT, keys::MANAGED];

/// What the annotations ask for; templates that they name are not looked up yet.
#[derive(Debug, Clone, PartialEq)]
pub struct DeclaredPlan {
    /// Steps and settings.
    pub strategy: CanaryStrategy,
    /// The template in the annotation.
    pub inline: Option<AnalysisTemplate>,
}

/// A template that was looked up: what it says, or what is wrong with it.
pub type Lookup = Result<AnalysisTemplate, Findings>;

/// What a Deployment says itself about taking part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// It is opted in.
    In,
    /// It stays out, whatever its Namespace says.
    Out,
    /// Nothing: its Namespace decides.
    Silent,
}

/// What a Deployment with these annotations says itself.
#[must_use]
pub fn choice(annotations: &Labels) -> Choice {
    match annotations.get(keys::CANARY) {
        Some(word) if word.trim() == "disabled" => Choice::Out,
        Some(_) => Choice::In,
        None if annotations.contains_key(keys::BLUE_GREEN) => Choice::In,
        None => Choice::Silent,
    }
}

/// Whether a Deployment with these annotations has opted in by itself.
#[must_use]
pub fn is_opted_in(annotations: &Labels) -> bool {
    choice(annotations) == Choice::In
}

/// The annotation that holds the plan.
#[must_use]
pub fn plan_key(annotations: &Labels) -> &'static str {
    if annotations.contains_key(keys::BLUE_GREEN) { keys::BLUE_GREEN } else { keys::CANARY }
}

/// Path of an annotation in findings.
#[must_use]
pub fn path(key: &str) -> String {
    format!("metadata.annotations[{key}]")
}

/// Reads the annotations of an opted-in Deployment.
///
/// # Errors
/// All findings of all annotations.
pub fn read_annotations(annotations: &Labels, defaults: &Defaults) -> Result<DeclaredPlan, Findings> {
    let mut findings = unknown_keys(annotations);
    let mut keep = |result: Result<_, Findings>| result.map_err(|found| findings.extend(found)).ok();
    let settle = keep(settle(annotations, defaults.settle));
    let inline = annotations.get(keys::ANALYSIS).map(|text| inline_template(text));
    let defaults = Defaults { settle: settle.unwrap_or(defaults.settle), ..defaults.clone() };
    let key = plan_key(annotations);
    let text = annotations.get(key).map_or("", String::as_str);
    if key == keys::BLUE_GREEN && annotations.contains_key(keys::CANARY) {
        let problem =
            format!("a Deployment has one plan, but there is {} too; remove one of them", keys::CANARY);
        findings.push(Finding::new(path(key), text, problem));
    }
    let strategy =
        if key == keys::BLUE_GREEN { blue_green(text, &defaults) } else { strategy(text, &defaults) };
    let restart = annotations.get(keys::RESTART).filter(|value| *value != "canary");
    findings.extend(
        restart.map(|value| Finding::new(path(keys::RESTART), value, "must be \"canary\", or left out")),
    );
    let inline = inline.transpose().map_err(|found| findings.extend(found)).ok().flatten();
    let strategy = strategy.map_err(|found| findings.extend(found)).ok();
    match (strategy, findings.is_empty()) {
        (Some(mut strategy), true) => {
            if inline.is_some() {
                strategy.use_inline_template();
            }
            let declared = DeclaredPlan { strategy, inline };
            match declared.too_many_templates() {
                Some(finding) => Err(vec![finding]),
                None => Ok(declared),
            }
        }
        _ => Err(findings),
    }
}

/// Keys that people know from elsewhere, and what to do instead.
const REFUSED: [(&str, &str); 1] = [(
    keys::TRACK_CONFIG,
    "is not supported: stable would read the changed ConfigMap or Secret at once; name it by its content (Kustomize's configMapGenerator, secretGenerator), so that a change is a new template",
)];

/// The annotation that users may write and most likely meant by `key`.
#[must_use]
pub fn nearest_key(key: &str) -> Option<&'static str> {
    nearest(key, &KEYS.iter().map(|key| key.name).collect::<Vec<_>>())
}

/// Annotations with Haldane's prefix that it does not know.
#[must_use]
pub fn unknown_keys(annotations: &Labels) -> Findings {
    let known: Vec<&str> = KEYS.iter().map(|key| key.name).collect();
    let ours = annotations.iter().filter(|(key, _)| key.starts_with(keys::PREFIX));
    let unknown =
        ours.filter(|(key, _)| !known.contains(&key.as_str()) && !INTERNAL_KEYS.contains(&key.as_str()));
    unknown
        .map(|(key, value)| {
            let refused =
                REFUSED.iter().find(|(name, _)| name == key).map(|(_, advice)| (*advice).to_owned());
            let problem = refused.unwrap_or_else(|| match nearest_key(key) {
                Some(known) => format!("unknown annotation, did you mean {known:?}?"),
                None => format!("unknown annotation, allowed are {}", known.join(", ")),
            });
            Finding::new(path(key), value, problem)
        })
        .collect()
}

fn settle(annotations: &Labels, default: GoDuration) -> Result<GoDuration, Findings> {
    let Some(text) = annotations.get(keys::SETTLE) else { return Ok(default) };
    let finding = |error: BadDuration| vec![Finding::new(path(keys::SETTLE), text, error.to_string())];
    text.parse().map_err(finding)
}

fn strategy(text: &str, defaults: &Defaults) -> Result<CanaryStrategy, Findings> {
    let path = path(keys::CANARY);
    if text.trim() == "enabled" {
        return Ok(default_strategy(defaults));
    }
    let document = yaml::parse(text).map_err(|problem| vec![Finding::new(&path, text, problem)])?;
    if !document.is_object() {
        let problem = "must be \"enabled\" or YAML of a canary strategy, such as {steps: [{setWeight: 25}, {pause: {}}]}; remove the annotation to opt out";
        return Err(vec![Finding::new(&path, text, problem)]);
    }
    match template::too_many_rules(&document, &path) {
        Some(finding) => Err(vec![finding]),
        None => read_strategy(&document, &path, defaults),
    }
}

fn blue_green(text: &str, defaults: &Defaults) -> Result<CanaryStrategy, Findings> {
    let path = path(keys::BLUE_GREEN);
    let document = yaml::parse(text).map_err(|problem| vec![Finding::new(&path, text, problem)])?;
    if !document.is_object() {
        let problem = "must be YAML of a blue-green strategy, such as {activeService: web}; remove the annotation to opt out";
        return Err(vec![Finding::new(&path, text, problem)]);
    }
    match template::too_many_rules(&document, &path) {
        Some(finding) => Err(vec![finding]),
        None => read_blue_green(&document, &path, defaults),
    }
}

fn inline_template(text: &str) -> Result<AnalysisTemplate, Findings> {
    let path = path(keys::ANALYSIS);
    template::parse("annotation", text, &path)
}

impl DeclaredPlan {
    /// The templates that must be looked up: all that steps and the one in the annotation name. There may be
    /// more: see [`super::template_tree::unseen`].
    #[must_use]
    pub fn references(&self) -> BTreeSet<TemplateRef> {
        let named = self.strategy.analyses().flat_map(|analysis| &analysis.templates);
        let nested = self.inline.iter().flat_map(|template| &template.templates);
        named.chain(nested).filter(|template| !template.is_inline()).cloned().collect()
    }

    /// Nobody looks up more than a plan may have.
    fn too_many_templates(&self) -> Option<Finding> {
        let count = self.references().len();
        (count > MAX_TEMPLATES).then(|| {
            let problem = format!("a plan may name at most {MAX_TEMPLATES} analysis templates");
            Finding::new(path(keys::CANARY), format!("{count} templates"), problem)
        })
    }

    /// The plan, complete with its templates and those that these name.
    ///
    /// # Errors
    /// Templates that are missing or wrong.
    pub fn complete(mut self, lookups: &BTreeMap<TemplateRef, Lookup>) -> Result<RolloutSpec, Findings> {
        let known = Known { inline: self.inline.as_ref(), lookups };
        let mut findings = Findings::new();
        for analysis in self.strategy.analyses_mut() {
            match expand(&analysis.templates, &known) {
                Ok(all) => analysis.templates = all,
                Err(found) => findings
                    .extend(found.into_iter().filter(|new| !findings.contains(new)).collect::<Vec<_>>()),
            }
        }
        let named: BTreeSet<TemplateRef> =
            self.strategy.analyses().flat_map(|analysis| &analysis.templates).cloned().collect();
        let template = |reference: TemplateRef| {
            let template = known.get(&reference)?.ok()?.clone();
            Some(NamedTemplate { reference, template })
        };
        let templates: Vec<_> = named.into_iter().filter_map(template).collect();
        let spec = RolloutSpec { strategy: self.strategy, templates };
        if findings.is_empty() {
            // First, because to try a plan takes the longer the larger it is.
            findings.extend(too_large(&spec).or_else(|| dry_start::too_many_rules(&spec)));
        }
        if findings.is_empty() {
            findings.extend(dry_start::faults(&spec.strategy, &spec.templates));
        }
        if findings.is_empty() { Ok(spec) } else { Err(findings) }
    }
}

/// What is recorded must fit into one object.
fn too_large(spec: &RolloutSpec) -> Option<Finding> {
    let bytes = plan_bytes(spec);
    (bytes > PLAN_ROOM).then(|| {
        let problem = format!(
            "the plan is recorded whole, with what each of its analyses measures, which may take {PLAN_ROOM} bytes; use fewer analyses, metrics or templates, or shorter ones"
        );
        Finding::new(path(keys::CANARY), format!("{bytes} bytes"), problem)
    })
}
