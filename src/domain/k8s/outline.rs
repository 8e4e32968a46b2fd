//! What people compare of two pod templates: images, environment variables by name, resources. It has no value of a
//! variable, only whether it is the same.

use super::json_pointer::part;
use crate::domain::names::TemplateHash;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Lines about the differences that are kept.
const MAX_LINES: usize = 12;
/// Longest line, in bytes.
const MAX_LINE: usize = 200;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outline {
    containers: BTreeMap<String, Container>,
    /// The template without what the containers have.
    rest: Option<TemplateHash>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Container {
    image: String,
    /// Names of variables, and the identity of what they are set to.
    env: BTreeMap<String, TemplateHash>,
    /// Such as `limits.memory`.
    resources: BTreeMap<String, String>,
}

impl Outline {
    /// The outline of a pod template.
    #[must_use]
    pub fn of(template: &Value) -> Self {
        let mut rest = template.clone();
        let mut outline = Self::default();
        for field in ["containers", "initContainers"] {
            let containers = rest.pointer_mut("/spec").and_then(|spec| spec.get_mut(field)?.as_array_mut());
            for object in containers.into_iter().flatten() {
                let name = object.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
                outline.containers.insert(name, Container::take(object));
            }
        }
        outline.rest = Some(TemplateHash::of(&rest));
        outline
    }

    /// What the other template has instead, a line for each container and kind of change.
    #[must_use]
    pub fn changes_to(&self, other: &Self) -> Vec<String> {
        let names: BTreeSet<&String> = self.containers.keys().chain(other.containers.keys()).collect();
        let of = |name: &&String| match (self.containers.get(*name), other.containers.get(*name)) {
            (Some(before), Some(after)) => before.changes_to(after),
            (None, Some(after)) => vec![format!("added with image {}", after.image)],
            _ => vec!["removed".to_owned()],
        };
        let located = names
            .into_iter()
            .flat_map(|name| of(&name).into_iter().map(move |change| format!("container {name}: {change}")));
        let mut lines: Vec<String> = located.map(|line| bounded(&line)).collect();
        if self.rest != other.rest {
            lines.push("other fields of the pod template".to_owned());
        }
        let excess = lines.len().saturating_sub(MAX_LINES);
        if excess > 0 {
            lines.truncate(MAX_LINES);
            lines.push(format!("and {excess} more"));
        }
        lines
    }
}

impl Container {
    /// Takes out of a container what people compare.
    fn take(object: &mut Value) -> Self {
        let Some(fields) = object.as_object_mut() else { return Self::default() };
        let image = fields.remove("image").and_then(|image| image.as_str().map(str::to_owned));
        let env = fields.remove("env").unwrap_or_default();
        let resources = fields.remove("resources").unwrap_or_default();
        let variables = env.as_array().into_iter().flatten();
        let variable =
            |variable: &Value| Some((variable.get("name")?.as_str()?.to_owned(), TemplateHash::of(variable)));
        let amounts = ["requests", "limits"].into_iter().flat_map(|kind| {
            let amounts = part(&resources, &format!("/{kind}")).and_then(Value::as_object);
            amounts
                .into_iter()
                .flatten()
                .map(move |(name, amount)| (format!("{kind}.{name}"), written(amount)))
        });
        Self {
            image: image.unwrap_or_default(),
            env: variables.filter_map(variable).collect(),
            resources: amounts.collect(),
        }
    }

    fn changes_to(&self, other: &Self) -> Vec<String> {
        let mut changes = Vec::new();
        if self.image != other.image {
            changes.push(format!("image {} → {}", self.image, other.image));
        }
        let env = [
            ("added", only(&other.env, &self.env)),
            ("removed", only(&self.env, &other.env)),
            ("changed", changed(&self.env, &other.env)),
        ];
        let env = env.into_iter().filter(|(_, names)| !names.is_empty());
        changes.extend(env.map(|(word, names)| format!("env {word}: {}", names.join(", "))));
        let keys: BTreeSet<&String> = self.resources.keys().chain(other.resources.keys()).collect();
        let amount = |of: &Self, key: &str| of.resources.get(key).map_or("none", String::as_str).to_owned();
        let differs = keys.into_iter().filter(|key| self.resources.get(*key) != other.resources.get(*key));
        let amounts = differs.map(|key| format!("{key} {} → {}", amount(self, key), amount(other, key)));
        changes.extend(amounts);
        changes
    }
}

fn written(amount: &Value) -> String {
    amount.as_str().map_or_else(|| amount.to_string(), str::to_owned)
}

/// Names that only `a` has.
fn only<'a, T>(a: &'a BTreeMap<String, T>, b: &BTreeMap<String, T>) -> Vec<&'a str> {
    a.keys().filter(|name| !b.contains_key(*name)).map(String::as_str).collect()
}

/// Names that both have, for another value.
fn changed<'a, T: PartialEq>(a: &'a BTreeMap<String, T>, b: &BTreeMap<String, T>) -> Vec<&'a str> {
    let differs = |(name, value): &(&String, &T)| b.get(*name).is_some_and(|other| other != *value);
    a.iter().filter(differs).map(|(name, _)| name.as_str()).collect()
}

fn bounded(line: &str) -> String {
    match line.get(..line.floor_char_boundary(MAX_LINE)) {
        Some(kept) if kept.len() < line.len() => format!("{kept}…"),
        _ => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn outline(containers: &Value, labels: &Value) -> Outline {
        Outline::of(&json!({"metadata": {"labels": labels}, "spec": {"containers": containers}}))
    }

    #[test]
    fn what_has_changed_is_named_without_a_value() {
        let before = json!([
            {"name": "app", "image": "web:1", "env": [{"name": "A", "value": "s3cret"}, {"name": "B", "value": "1"}],
             "resources": {"limits": {"memory": "64Mi"}}},
            {"name": "old", "image": "x:1"},
        ]);
        let after = json!([
            {"name": "app", "image": "web:2", "env": [{"name": "A", "value": "s3cret-2"}, {"name": "C", "value": "1"}],
             "resources": {"limits": {"memory": "128Mi"}, "requests": {"cpu": 1}}},
            {"name": "new", "image": "y:1"},
        ]);
        let (before, after) =
            (outline(&before, &json!({"app": "web"})), outline(&after, &json!({"app": "w"})));
        let changes = before.changes_to(&after);
        insta::assert_snapshot!(changes.join("\n"), @r"
        container app: image web:1 → web:2
        container app: env added: C
        container app: env removed: B
        container app: env changed: A
        container app: limits.memory 64Mi → 128Mi
        container app: requests.cpu none → 1
        container new: added with image y:1
        container old: removed
        other fields of the pod template
        ");
        assert!(!changes.join("\n").contains("s3cret"));
        assert!(before.changes_to(&before).is_empty());
    }

    #[test]
    fn many_changes_are_counted_and_a_long_one_is_cut() {
        let many = |image: &str| {
            json!((0..20).map(|n| json!({"name": format!("c{n}"), "image": image})).collect::<Vec<_>>())
        };
        let labels = json!({});
        let changes = outline(&many("a"), &labels).changes_to(&outline(&many(&"b".repeat(500)), &labels));
        assert_eq!((changes.len(), changes.last().map(String::as_str)), (MAX_LINES + 1, Some("and 8 more")));
        assert!(changes.iter().all(|line| line.len() <= MAX_LINE + "…".len()), "{changes:?}");
    }
}
