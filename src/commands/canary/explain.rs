//! `explain`: the reference in the terminal, from the tables that the parser reads.

use super::{
    error::CanaryError,
    style::{Style, Tone, wrapped},
};
use crate::{
    config::{
        annotations::KEYS,
        blue_green, declared_plan, settings,
        steps::{REFUSED_STEPS, STEPS},
        strategy::Defaults,
    },
    document::{
        fields::nearest,
        schema::{Field, Schema},
    },
    domain::{keys, request::Verb},
    gocompat::duration::GoDuration,
    notify::{EXAMPLE, Routing},
    policy::{RULES, profile::Profile},
    providers, routers,
};
use std::fmt::Write;
use strum::{EnumMessage, IntoEnumIterator};

/// The first segment of paths into a policy profile.
const POLICY: &str = "policy";
/// The first segment of paths into a routing of notifications.
const NOTIFICATIONS: &str = "notifications";
/// How a finding begins that is about an annotation.
const FINDING: &str = "metadata.annotations[";

/// The text about a field; without a path, about all annotations. A path is `canary.steps.pause`, also with the full name
/// of the annotation, or as a finding shows it.
///
/// # Errors
/// There is no such field: the text names the nearest one.
pub fn explain(path: Option<&str>, style: Style) -> Result<String, CanaryError> {
    let roots = roots();
    let segments = segments(path.unwrap_or_default());
    let Some((last, parents)) = segments.split_last() else { return Ok(overview(&roots, style)) };
    let mut fields = roots.as_slice();
    for (depth, segment) in parents.iter().enumerate() {
        fields = find(fields, segment, parents.get(..depth).unwrap_or_default())?.schema.fields();
    }
    match find(fields, last, parents) {
        Ok(field) => Ok(one(field, &segments, style)),
        Err(unknown) => match refused(&segments) {
            Some(why) => Ok(format!("{} of Argo is refused: {why}\n", segments.join("."))),
            None => Err(unknown),
        },
    }
}

/// Defaults of an installation, for readers that only say what they accept.
pub(super) fn no_defaults() -> Defaults {
    Defaults { settle: GoDuration::ZERO, annotation_prefix: String::new() }
}

/// The annotations, by their names without the prefix, profiles, and routings of notifications.
fn roots() -> Vec<Field> {
    let of_deployments = declared_plan::schema(&no_defaults());
    let short = |field: &Field| {
        let key = field.key.strip_prefix(keys::PREFIX).unwrap_or(field.key);
        Field { key, ..field.clone() }
    };
    let mut roots: Vec<Field> = of_deployments.fields().iter().map(short).collect();
    let doc = "A policy profile: the YAML in the only key of a ConfigMap in Haldane's namespace with the label `haldane.dev/policy: \"true\"`. Namespaces bind profiles by labels.";
    roots.push(Field { key: POLICY, doc, schema: Profile::schema() });
    let doc = "Receivers of notifications: the YAML in the only key of the ConfigMap `haldane-notifications` of a namespace. The one in Haldane's namespace is for namespaces without one.";
    roots.push(Field { key: NOTIFICATIONS, doc, schema: Routing::schema() });
    roots
}

/// `metadata.annotations[haldane.dev/canary].steps[2].setWeight` is `canary`, `steps`, `setWeight`.
fn segments(path: &str) -> Vec<&str> {
    let path = path.strip_prefix(FINDING).unwrap_or(path);
    let path = path.strip_prefix(keys::PREFIX).unwrap_or(path);
    let names = path.split('.').filter_map(|segment| segment.split(['[', ']']).next());
    names.filter(|name| !name.is_empty()).collect()
}

fn find<'f>(fields: &'f [Field], name: &str, parents: &[&str]) -> Result<&'f Field, CanaryError> {
    if let Some(field) = fields.iter().find(|field| field.key == name) {
        return Ok(field);
    }
    let known: Vec<&str> = fields.iter().map(|field| field.key).collect();
    let path = |key: &str| parents.iter().copied().chain([key]).collect::<Vec<_>>().join(".");
    let advice = match nearest(name, &known) {
        Some(near) => format!("did you mean {}?", path(near)),
        None if known.is_empty() => format!("{} has no fields", parents.join(".")),
        None => format!("there are {}", known.join(", ")),
    };
    Err(CanaryError::NoField(format!("there is no field {}; {advice}", path(name))))
}

fn overview(roots: &[Field], style: Style) -> String {
    let title = "ANNOTATIONS OF A DEPLOYMENT, POLICY PROFILES AND NOTIFICATIONS";
    let mut text = format!("{}\n", style.paint(Tone::Strong, title));
    text += &list(roots, style);
    text + "\nkubectl canary explain canary.steps.pause shows one field.\n"
}

/// A field: what it is, what it does, how it is written, and its own fields.
fn one(field: &Field, path: &[&str], style: Style) -> String {
    let name = if path == [field.key] && ![POLICY, NOTIFICATIONS].contains(&field.key) {
        format!("{}{}", keys::PREFIX, field.key)
    } else {
        path.join(".")
    };
    let kind = type_of(&field.schema);
    let mut text = format!("{} <{kind}>\n", style.paint(Tone::Strong, &name));
    if !field.doc.is_empty() {
        let _ = write!(text, "\n{}", wrapped(&plain(field.doc), 2));
    }
    if path == ["do"] {
        text += &heading("ORDERS", style);
        for verb in Verb::iter() {
            text += &entry(&verb.to_string(), "", verb.get_documentation().unwrap_or_default(), style);
        }
    }
    if let Some(example) = example(path) {
        text += &heading("EXAMPLE", style);
        text.extend(example.trim_end().lines().map(|line| format!("  {line}\n")));
    }
    if !field.schema.fields().is_empty() {
        text += &heading("FIELDS", style);
        text += &list(field.schema.fields(), style);
    }
    text
}

fn heading(words: &str, style: Style) -> String {
    format!("\n{}\n", style.paint(Tone::Strong, words))
}

fn list(fields: &[Field], style: Style) -> String {
    fields.iter().map(|field| entry(field.key, &type_of(&field.schema), field.doc, style)).collect()
}

fn entry(name: &str, kind: &str, doc: &str, style: Style) -> String {
    let kind = if kind.is_empty() { String::new() } else { style.paint(Tone::Faint, &format!(" <{kind}>")) };
    format!("  {}{kind}\n{}", style.paint(Tone::Good, name), wrapped(&plain(doc), 4))
}

/// Without the links of the reference page.
fn plain(doc: &str) -> String {
    let mut text = String::new();
    let mut rest = doc;
    while let Some((before, after)) = rest.split_once("](") {
        let Some((_, behind)) = after.split_once(')') else { break };
        let (start, label) = before.rsplit_once('[').unwrap_or(("", before));
        text += start;
        text += label;
        rest = behind;
    }
    text + rest
}

fn type_of(schema: &Schema) -> String {
    match schema {
        Schema::Never | Schema::Any => "any".to_owned(),
        Schema::Text => "string".to_owned(),
        Schema::Bool => "true or false".to_owned(),
        Schema::False => "false".to_owned(),
        Schema::Word(words) => words.join(" | "),
        Schema::Whole(min, max) => format!("whole number from {min} to {max}"),
        Schema::Count => "whole number".to_owned(),
        Schema::Duration | Schema::Span => "duration".to_owned(),
        Schema::PauseTime => "seconds, or duration".to_owned(),
        Schema::Queries => "query, or mapping of names to queries".to_owned(),
        Schema::Either(words, other) => format!("{} | {}", words.join(" | "), type_of(other)),
        Schema::List(item) => format!("list of {}", type_of(item)),
        Schema::Map(value) => format!("mapping of names to {}", type_of(value)),
        Schema::Object(_) => "mapping".to_owned(),
        Schema::Named(_, inner) => type_of(inner),
    }
}

/// How it is written, where a table says so.
fn example(path: &[&str]) -> Option<String> {
    let listed = |found: Option<&'static str>| found.map(str::to_owned);
    match path {
        [POLICY, "rules", id] => {
            let rule = RULES.iter().find(|rule| rule.id == *id)?;
            Some(format!("{}: {}", rule.id, rule.example))
        }
        ["canary", "steps", key] => {
            listed(STEPS.iter().find(|step| step.key == *key).map(|step| step.example))
        }
        ["canary", key] => {
            listed(settings::SETTINGS.iter().find(|field| field.key == *key).map(|field| field.example))
        }
        ["blue-green", key] => {
            listed(blue_green::SETTINGS.iter().find(|field| field.key == *key).map(|field| field.example))
        }
        [NOTIFICATIONS] => Some(EXAMPLE.to_owned()),
        [.., "provider", key] => {
            let example = providers::find(key)?.example().trim_end().replace('\n', "\n  ");
            Some(format!("{key}:\n  {example}"))
        }
        [key] => {
            let key = KEYS.iter().find(|known| known.name.strip_prefix(keys::PREFIX) == Some(key))?;
            let value = if key.example.starts_with('{') {
                format!("|\n  {}", key.example)
            } else {
                key.example.to_owned()
            };
            Some(format!("{}: {value}", key.name))
        }
        _ => None,
    }
}

/// Why a field of Argo's is refused.
pub(super) fn refused(path: &[&str]) -> Option<&'static str> {
    let (table, key) = match path {
        ["canary", "steps", key] => (REFUSED_STEPS, key),
        ["canary", key] => (settings::REFUSED, key),
        ["blue-green", key] => (blue_green::REFUSED, key),
        [.., "plugins", name, key] => {
            let (_, plugin) = routers::plugins().find(|(_, plugin)| plugin.key == *name)?;
            (plugin.refused, key)
        }
        _ => return None,
    };
    table.iter().find(|(name, _)| name == key).map(|(_, why)| *why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use insta::assert_snapshot;

    fn text(path: &str) -> String {
        explain(Some(path), Style { color: false, wide: false })
            .unwrap_or_else(|error| format!("error: {error}"))
    }

    #[test]
    fn a_field_is_explained_with_its_example_and_its_own_fields() {
        assert_snapshot!("steps", text("canary.steps"));
        assert_snapshot!("prometheus", text("analysis.metrics.provider.prometheus"));
        assert_snapshot!("order", text("do"));
        assert_snapshot!("rule", text("policy.rules.first-weight"));
        assert_snapshot!("notifications", text("notifications"));
        assert_snapshot!("all", explain(None, Style { color: false, wide: false }).unwrap());
    }

    #[test]
    fn the_path_of_a_finding_can_be_pasted() {
        let short = text("canary.steps.setWeight");
        assert!(short.starts_with("canary.steps.setWeight <whole number from 0 to "), "{short}");
        assert_eq!(text("metadata.annotations[haldane.dev/canary].steps[2].setWeight"), short);
        assert_eq!(text("haldane.dev/canary.steps.setWeight"), short);
    }

    #[test]
    fn an_unknown_field_gets_the_nearest_and_a_refused_one_the_reason() {
        assert_eq!(text("canary.stpes"), "error: there is no field canary.stpes; did you mean canary.steps?");
        assert!(
            text("canary.steps.x")
                .starts_with("error: there is no field canary.steps.x; there are setWeight, ")
        );
        assert_eq!(text("settle.a"), "error: there is no field settle.a; settle has no fields");
        assert!(
            text("canary.maxSurge").starts_with("canary.maxSurge of Argo is refused: stable is replaced by")
        );
    }

    /// Every field of every table can be reached, so nothing of the reference is missing here.
    #[test]
    fn every_field_has_a_page() {
        fn walk(fields: &[Field], parent: &str) -> usize {
            let of = |field: &Field| {
                let path =
                    if parent.is_empty() { field.key.to_owned() } else { format!("{parent}.{}", field.key) };
                assert!(!text(&path).starts_with("error"), "{path}");
                1 + walk(field.schema.fields(), &path)
            };
            fields.iter().map(of).sum()
        }
        assert!(walk(&roots(), "") > 150);
    }
}
