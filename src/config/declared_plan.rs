//! The plan that the annotations of a Deployment declare.

use super::{
    annotations::{KEYS, Key, path, plan_key, unknown_keys},
    blue_green::{self, read_blue_green},
    dry_start,
    strategy::{self, Defaults, default_strategy, read_strategy},
    template,
    template_tree::{Known, Lookup, MAX_TEMPLATES, expand},
};
use crate::{
    document::{
        fields::{Node, describe, read},
        finding::{Finding, Findings},
        schema::{Field, Schema},
        yaml,
    },
    domain::{
        k8s::selector::Labels,
        keys,
        metric::AnalysisTemplate,
        state::bounded::{PLAN_ROOM, plan_bytes},
        strategy::{CanaryStrategy, NamedTemplate, RolloutSpec, TemplateRef},
    },
    gocompat::{duration::GoDuration, validation::is_qualified_name},
};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The plan in the annotations; templates that it names are not looked up yet.
#[derive(Debug, Clone, PartialEq)]
pub struct DeclaredPlan {
    /// Steps and settings.
    pub strategy: CanaryStrategy,
    /// The template in the annotation.
    pub inline: Option<AnalysisTemplate>,
}

/// Reads the annotations of an opted-in Deployment.
///
/// # Errors
/// All findings of all annotations.
pub fn read_annotations(annotations: &Labels, defaults: &Defaults) -> Result<DeclaredPlan, Findings> {
    let mut findings = unknown_keys(annotations);
    let mut keep = |result: Result<_, Findings>| result.map_err(|found| findings.extend(found)).ok();
    let settle = keep(text_of(annotations, keys::SETTLE, settle)).flatten();
    let inline = annotations.get(keys::ANALYSIS).map(|text| inline_template(text));
    let defaults = Defaults { settle: settle.unwrap_or(defaults.settle), ..defaults.clone() };
    let key = plan_key(annotations);
    let text = annotations.get(key).map_or("", String::as_str);
    if key == keys::BLUE_GREEN && annotations.contains_key(keys::CANARY) {
        let problem =
            format!("a Deployment has one plan, but {} is also set; remove one of them", keys::CANARY);
        findings.push(Finding::new(path(key), text, problem));
    }
    let strategy =
        if key == keys::BLUE_GREEN { blue_green(text, &defaults) } else { strategy(text, &defaults) };
    findings.extend(text_of(annotations, keys::RESTART, restart).err().unwrap_or_default());
    findings.extend(annotations.get(keys::RESTART_ANNOTATIONS).and_then(|text| not_restarts(text)));
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

/// Reads the annotation `key`, which is not YAML.
fn text_of<T>(
    annotations: &Labels,
    key: &str,
    reader: impl FnOnce(Node<'_>) -> Option<T>,
) -> Result<Option<T>, Findings> {
    let text = annotations.get(key).map(|text| Value::from(text.as_str()));
    text.map(|text| read(&text, &path(key), reader)).transpose()
}

fn settle(node: Node<'_>) -> Option<GoDuration> {
    node.duration()
}

fn restart(node: Node<'_>) -> Option<()> {
    node.word(&[("canary", ())], "must be \"canary\", or not set")
}

/// The keys that the annotation names.
pub(super) fn restart_annotations(text: &str) -> BTreeSet<String> {
    text.split(',').map(|key| key.trim().to_owned()).collect()
}

/// Why the annotation does not name keys that tools write into a pod template.
fn not_restarts(text: &str) -> Option<Finding> {
    let is_key = |key: &String| is_qualified_name(key) && !key.starts_with(keys::PREFIX);
    let wrong = restart_annotations(text).into_iter().find(|key| !is_key(key))?;
    let problem = format!(
        "{wrong:?} is not an annotation of a pod template; write keys separated by commas, such as checksum/config, checksum/secret"
    );
    Some(Finding::new(path(keys::RESTART_ANNOTATIONS), text, problem))
}

/// What each annotation may be, its text read as YAML.
#[must_use]
pub fn schema(defaults: &Defaults) -> Schema {
    let of = |key: &str| match key {
        keys::CANARY => Schema::Either(vec!["enabled", "disabled"], Box::new(strategy::schema(defaults))),
        keys::BLUE_GREEN => blue_green::schema(defaults),
        keys::ANALYSIS => describe(template::template),
        keys::SETTLE => describe(settle),
        keys::RESTART => describe(restart),
        _ => Schema::Text,
    };
    let field = |key: &Key| Field { key: key.name, doc: key.doc, schema: of(key.name) };
    Schema::Object(KEYS.iter().map(field).collect())
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
    /// The templates to look up: all that the steps and the template in the annotation name. These can name more:
    /// see [`super::template_tree::unseen`].
    #[must_use]
    pub fn references(&self) -> BTreeSet<TemplateRef> {
        let named = self.strategy.analyses().flat_map(|analysis| &analysis.templates);
        let nested = self.inline.iter().flat_map(|template| &template.templates);
        named.chain(nested).filter(|template| !template.is_inline()).cloned().collect()
    }

    /// Limits how many templates are looked up.
    fn too_many_templates(&self) -> Option<Finding> {
        let count = self.references().len();
        (count > MAX_TEMPLATES).then(|| {
            let problem = format!("a plan may name at most {MAX_TEMPLATES} analysis templates");
            Finding::new(path(keys::CANARY), format!("{count} templates"), problem)
        })
    }

    /// The plan with all of its templates and those that they name.
    ///
    /// # Errors
    /// Templates that are missing or invalid.
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
            // First, because a dry start of a large plan takes long.
            findings.extend(too_large(&spec).or_else(|| dry_start::too_many_rules(&spec)));
        }
        if findings.is_empty() {
            findings.extend(dry_start::faults(&spec.strategy, &spec.templates));
        }
        if findings.is_empty() { Ok(spec) } else { Err(findings) }
    }
}

/// The record of a rollout must fit into one object.
fn too_large(spec: &RolloutSpec) -> Option<Finding> {
    let bytes = plan_bytes(spec);
    (bytes > PLAN_ROOM).then(|| {
        let problem = format!(
            "the recorded plan, including all metrics of its analyses, must not exceed {PLAN_ROOM} bytes; use fewer analyses, metrics or templates, or shorter ones"
        );
        Finding::new(path(keys::CANARY), format!("{bytes} bytes"), problem)
    })
}
