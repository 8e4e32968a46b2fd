//! Templates that name templates.

use super::annotations::path;
use crate::{
    document::finding::{Finding, Findings},
    domain::{
        keys,
        metric::{AnalysisTemplate, TemplateRef},
    },
};
use std::collections::{BTreeMap, BTreeSet};

/// Maximum number of levels of templates below those that a step names.
pub const MAX_DEPTH: usize = 5;
/// Maximum number of templates of one plan, which is stored in one object.
pub const MAX_TEMPLATES: usize = 50;

/// The result of a template lookup: the template, or what is wrong with it.
pub type Lookup = Result<AnalysisTemplate, Findings>;

/// The known templates, by reference.
pub(super) struct Known<'a> {
    pub inline: Option<&'a AnalysisTemplate>,
    pub lookups: &'a BTreeMap<TemplateRef, Lookup>,
}

impl<'a> Known<'a> {
    /// `None` if there is no such template; an error if it is invalid.
    pub fn get(&self, reference: &TemplateRef) -> Option<Result<&'a AnalysisTemplate, &'a Findings>> {
        match self.inline {
            Some(template) if reference.is_inline() => Some(Ok(template)),
            _ => self.lookups.get(reference).map(Result::as_ref),
        }
    }
}

/// The templates that found templates name and that were not looked up yet.
#[must_use]
pub fn unseen(found: &BTreeMap<TemplateRef, Lookup>, asked: &BTreeSet<TemplateRef>) -> BTreeSet<TemplateRef> {
    let named = found.values().filter_map(|lookup| lookup.as_ref().ok()).flat_map(|found| &found.templates);
    let unseen = named.filter(|reference| !asked.contains(reference)).cloned();
    unseen.take(MAX_TEMPLATES.saturating_sub(asked.len())).collect()
}

/// `named` and all templates that they name in turn, each once, those with cluster scope last.
///
/// Source: argo-rollouts `rollout/analysis.go`, `getAnalysisTemplatesFromRefs`, which does not end on a cycle.
pub(super) fn expand(named: &[TemplateRef], known: &Known<'_>) -> Result<Vec<TemplateRef>, Findings> {
    let mut all = Vec::new();
    let mut findings = Findings::new();
    for reference in named {
        visit(reference, &mut Vec::new(), known, &mut all, &mut findings);
    }
    let (cluster, mut own): (Vec<_>, Vec<_>) = all.into_iter().partition(|template| template.cluster_scope);
    own.extend(cluster);
    if findings.is_empty() { Ok(own) } else { Err(findings) }
}

/// Adds a template and then those that it names; `above` are its ancestors.
fn visit<'a>(
    reference: &'a TemplateRef,
    above: &mut Vec<&'a TemplateRef>,
    known: &Known<'a>,
    all: &mut Vec<TemplateRef>,
    findings: &mut Findings,
) {
    let refused = if above.contains(&reference) {
        Some("includes itself; remove one of these references".to_owned())
    } else if above.len() > MAX_DEPTH {
        Some(format!(
            "is more than {MAX_DEPTH} levels below the step; reference it in the step or in a template of a higher level"
        ))
    } else if all.len() >= MAX_TEMPLATES && !all.contains(reference) {
        Some(format!(
            "exceeds the limit: an analysis may have at most {MAX_TEMPLATES} templates, including those that templates reference"
        ))
    } else {
        None
    };
    if let Some(problem) = refused {
        let way: Vec<_> = above.iter().copied().chain([reference]).map(written).collect();
        findings.push(Finding::new(
            place(above.last().copied()),
            way.join(" > "),
            format!("analysis template {problem}"),
        ));
        return;
    }
    match known.get(reference) {
        None => findings.push(missing(reference, above.last().copied())),
        Some(Err(found)) => findings.extend(found.clone()),
        // A template that was added already has its templates below it.
        Some(Ok(_)) if all.contains(reference) => {}
        Some(Ok(template)) => {
            all.push(reference.clone());
            above.push(reference);
            for inner in &template.templates {
                visit(inner, above, known, all, findings);
            }
            above.pop();
        }
    }
}

fn missing(reference: &TemplateRef, named_by: Option<&TemplateRef>) -> Finding {
    let problem = if reference.is_inline() {
        format!("an analysis names no template, so the annotation {} must contain one", keys::ANALYSIS)
    } else {
        let scope =
            if reference.cluster_scope { "Haldane's namespace" } else { "the Deployment's namespace" };
        format!(
            "analysis template not found: {scope} has no ConfigMap of this name with label {}: \"true\"",
            keys::TEMPLATE_LABEL
        )
    };
    let shown = if reference.is_inline() { "" } else { reference.name.as_str() };
    Finding::new(place(named_by), shown, problem)
}

/// The path of a reference to a template.
fn place(named_by: Option<&TemplateRef>) -> String {
    match named_by {
        None => path(keys::CANARY),
        Some(template) if template.is_inline() => format!("{}.templates", path(keys::ANALYSIS)),
        Some(template) => format!("ConfigMap[{}].data.templates", template.name),
    }
}

fn written(reference: &TemplateRef) -> String {
    let scope = if reference.cluster_scope { " (clusterScope)" } else { "" };
    if reference.is_inline() { keys::ANALYSIS.to_owned() } else { format!("{}{scope}", reference.name) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reference(name: &str) -> TemplateRef {
        let (name, cluster_scope) = name.strip_prefix("cluster/").map_or((name, false), |name| (name, true));
        TemplateRef { name: name.to_owned(), cluster_scope }
    }

    /// The expansion of `named`, given which template names which.
    fn expanded(named: &[&str], edges: &[(&str, &[&str])]) -> Result<Vec<String>, String> {
        let template = |inner: &[&str]| AnalysisTemplate {
            templates: inner.iter().map(|name| reference(name)).collect(),
            ..AnalysisTemplate::default()
        };
        let lookups = edges.iter().map(|(name, inner)| (reference(name), Ok(template(inner)))).collect();
        let named: Vec<_> = named.iter().map(|name| reference(name)).collect();
        expand(&named, &Known { inline: None, lookups: &lookups })
            .map(|all| all.iter().map(written).collect())
            .map_err(|findings| findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    }

    #[test]
    fn nested_templates_come_once_and_cluster_templates_last() {
        let edges: &[(&str, &[&str])] = &[
            ("all", &["cluster/errors", "latency"]),
            ("cluster/errors", &["latency"]),
            ("latency", &[]),
            ("x", &["latency"]),
        ];
        assert_eq!(
            expanded(&["all", "x", "all"], edges).unwrap(),
            ["all", "latency", "x", "errors (clusterScope)"]
        );
    }

    #[test]
    fn what_cannot_be_resolved_is_named() {
        let long: Vec<String> = (0..8).map(|n| format!("t{n}")).collect();
        let inner: Vec<[&str; 1]> = long.iter().skip(1).map(|name| [name.as_str()]).collect();
        let chain: Vec<(&str, &[&str])> =
            long.iter().zip(&inner).map(|(name, inner)| (name.as_str(), inner.as_slice())).collect();
        let refused = [
            expanded(&["a"], &[("a", &["b"]), ("b", &["a"])]),
            expanded(&["a"], &[("a", &["b", "cluster/c"])]),
            expanded(&["t0"], &chain),
        ];
        let problems: Vec<_> = refused.into_iter().map(Result::unwrap_err).collect();
        insta::assert_snapshot!(problems.join("\n"), @r#"
        ConfigMap[b].data.templates: "a > b > a": analysis template includes itself; remove one of these references
        ConfigMap[a].data.templates: "b": analysis template not found: the Deployment's namespace has no ConfigMap of this name with label haldane.dev/analysis-template: "true"
        ConfigMap[a].data.templates: "c": analysis template not found: Haldane's namespace has no ConfigMap of this name with label haldane.dev/analysis-template: "true"
        ConfigMap[t5].data.templates: "t0 > t1 > t2 > t3 > t4 > t5 > t6": analysis template is more than 5 levels below the step; reference it in the step or in a template of a higher level
        "#);
    }
}
