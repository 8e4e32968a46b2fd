//! How a user's document is read: typed getters that collect every finding with its path.
//!
//! A [`Node`] is one value; a reader is any `FnOnce(Node) -> Option<T>`, so readers compose:
//!
//! ```
//! use haldane::document::fields::{Node, read};
//!
//! struct Step { weight: u8 }
//!
//! fn step(node: Node) -> Option<Step> {
//!     node.object(|step| Some(Step { weight: step.required("setWeight", |n| n.integer(0..=100))? }))
//! }
//!
//! let document = serde_json::json!({"name": "web", "steps": [{"setWeight": 20}, {"setWeihgt": 400}]});
//! let findings = read(&document, "spec", |node| {
//!     node.object(|spec| {
//!         let name = spec.required("name", Node::string);
//!         let steps = spec.list("steps", step);
//!         Some((name?, steps))
//!     })
//! });
//! let findings = findings.err().unwrap();
//! assert_eq!(findings[0].to_string(), "spec.steps[1].setWeight: is required");
//! assert_eq!(findings[1].to_string(), "spec.steps[1].setWeihgt: unknown field, did you mean \"setWeight\"?");
//! ```

use super::finding::{Finding, Findings};
use crate::gocompat::{
    duration::GoDuration,
    validation::{is_object_name, is_service_name},
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::{Map, Value};
use std::{
    borrow::Cow, cell::RefCell, collections::BTreeMap, fmt::Display, ops::RangeInclusive, str::FromStr,
};

/// An unknown name that is less similar than this to every known one gets the list of all names instead of a
/// suggestion.
const MIN_LIKENESS: f64 = 0.8;

/// Longest field name that a message shows in full and that is compared with the known ones, in bytes.
const MAX_NAME: usize = 64;

/// Reads a whole document; the path of every finding begins with `path`.
///
/// # Errors
/// All findings, in reading order, if there is any.
pub fn read<T>(
    document: &Value,
    path: &str,
    reader: impl FnOnce(Node<'_>) -> Option<T>,
) -> Result<T, Findings> {
    let findings = RefCell::default();
    let value = reader(Node { value: document, path: path.to_owned(), findings: &findings });
    let findings = findings.into_inner();
    value.filter(|_| findings.is_empty()).ok_or(findings)
}

/// As [`read`], for a document that was accepted before: nobody waits for separate findings.
///
/// # Errors
/// All findings, on one line.
pub fn reread<T>(
    document: &Value,
    path: &str,
    reader: impl FnOnce(Node<'_>) -> Option<T>,
) -> Result<T, String> {
    let joined = |findings: Findings| findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    read(document, path, reader).map_err(joined)
}

/// One value of a document, its path, and where findings about it go.
///
/// Every getter consumes the node and returns `None` exactly when it has added a finding.
/// The findings are behind a `RefCell`, so that one lifetime serves all readers.
#[derive(Debug)]
pub struct Node<'a> {
    value: &'a Value,
    path: String,
    findings: &'a RefCell<Findings>,
}

impl<'a> Node<'a> {
    /// The raw value.
    #[must_use]
    pub fn value(&self) -> &'a Value {
        self.value
    }

    /// Adds a finding about this value.
    pub fn fail<T>(self, problem: impl Into<String>) -> Option<T> {
        self.mark(problem);
        None
    }

    /// As [`Node::fail`], for a value that is too large to show.
    pub fn fail_briefly<T>(self, problem: impl Into<String>) -> Option<T> {
        self.findings.borrow_mut().push(Finding::new(self.path, "", problem));
        None
    }

    /// As [`Node::fail`], but the node can still be read.
    pub fn mark(&self, problem: impl Into<String>) {
        let shown = self.value.as_str().map_or_else(|| self.value.to_string(), str::to_owned);
        self.findings.borrow_mut().push(Finding::new(self.path.clone(), shown, problem));
    }

    /// A string. As in Kubernetes, a bare number is not one; the finding says to quote it.
    #[must_use]
    pub fn string(self) -> Option<String> {
        match self.value {
            Value::String(text) => Some(text.clone()),
            Value::Number(_) | Value::Bool(_) => self.fail("must be a string: put it in quotes"),
            _ => self.fail("must be a string"),
        }
    }

    /// The name of an object. Names become parts of request paths, so nothing else is accepted.
    #[must_use]
    pub fn object_name(self) -> Option<String> {
        match self.value.as_str() {
            Some(text) if is_object_name(text) => Some(text.to_owned()),
            Some(_) => self.fail("must be the name of an object: lower case letters, digits, '-' and '.', beginning and ending with a letter or digit, at most 253 characters"),
            None => self.string(),
        }
    }

    /// The name of a Service that Haldane creates.
    #[must_use]
    pub fn service_name(self) -> Option<String> {
        match self.value.as_str() {
            Some(text) if is_service_name(text) => Some(text.to_owned()),
            Some(_) => self.fail("must be the name of a Service: lower case letters, digits and '-', beginning with a letter, ending with a letter or digit, at most 63 characters"),
            None => self.string(),
        }
    }

    /// `true` or `false`.
    #[must_use]
    pub fn bool(self) -> Option<bool> {
        match self.value {
            Value::Bool(value) => Some(*value),
            _ => self.fail("must be true or false"),
        }
    }

    /// A whole number within `range`.
    #[must_use]
    pub fn integer<T>(self, range: RangeInclusive<T>) -> Option<T>
    where
        T: TryFrom<i64> + PartialOrd + Display,
    {
        let number = self.value.as_i64().and_then(|number| T::try_from(number).ok());
        match number.filter(|number| range.contains(number)) {
            Some(number) => Some(number),
            None => self.fail(format!("must be a whole number from {} to {}", range.start(), range.end())),
        }
    }

    /// A whole number or a string, as Kubernetes' `IntOrString`.
    #[must_use]
    pub fn int_or_string(self) -> Option<IntOrString> {
        match self.value {
            Value::String(text) => Some(IntOrString::String(text.clone())),
            value => match value.as_i64().and_then(|number| i32::try_from(number).ok()) {
                Some(number) => Some(IntOrString::Int(number)),
                None => self.fail("must be a whole number or a string"),
            },
        }
    }

    /// A string that `T` can be read from; the finding is `T`'s own error text.
    #[must_use]
    pub fn parsed<T>(self) -> Option<T>
    where
        T: FromStr,
        T::Err: Display,
    {
        let Value::String(text) = self.value else {
            // Not a string: `string` adds the finding.
            return self.string().and(None);
        };
        match text.parse() {
            Ok(value) => Some(value),
            Err(error) => self.fail(error.to_string()),
        }
    }

    /// A Go duration.
    #[must_use]
    pub fn duration(self) -> Option<GoDuration> {
        self.parsed()
    }

    /// A mapping whose fields `read` asks for. Afterwards, every field that it did not ask for is a finding.
    ///
    /// Ask for all fields before the first `?`: a field not yet asked for would count as unknown.
    pub fn object<T>(self, read: impl FnOnce(&mut Fields<'a>) -> Option<T>) -> Option<T> {
        let Value::Object(object) = self.value else {
            return self.fail("must be a mapping");
        };
        let before = self.findings.borrow().len();
        let (path, findings) = (self.path, self.findings);
        let mut fields = Fields { object, path, known: Vec::new(), findings, before };
        let value = read(&mut fields);
        fields.report_unknown();
        value
    }

    /// A list without the items that could not be read, each of which has a finding.
    pub fn list<T>(self, mut read: impl FnMut(Node<'a>) -> Option<T>) -> Option<Vec<T>> {
        let Value::Array(items) = self.value else {
            return self.fail("must be a list");
        };
        let (path, findings) = (self.path, self.findings);
        let item = |(index, value)| read(Node { value, path: format!("{path}[{index}]"), findings });
        Some(items.iter().enumerate().filter_map(item).collect())
    }

    /// A mapping whose keys the user chooses.
    pub fn map<T>(self, mut read: impl FnMut(Node<'a>) -> Option<T>) -> Option<BTreeMap<String, T>> {
        let Value::Object(entries) = self.value else {
            return self.fail("must be a mapping");
        };
        let (path, findings) = (self.path, self.findings);
        let entry = |(key, value): (&String, &'a Value)| {
            Some((key.clone(), read(Node { value, path: format!("{path}[{key}]"), findings })?))
        };
        Some(entries.iter().filter_map(entry).collect())
    }
}

/// The fields of one mapping. As in Kubernetes, null means absent.
#[derive(Debug)]
pub struct Fields<'a> {
    object: &'a Map<String, Value>,
    path: String,
    known: Vec<&'static str>,
    findings: &'a RefCell<Findings>,
    /// The number of findings before the mapping was read.
    before: usize,
}

impl<'a> Fields<'a> {
    /// The field `key`, if it is present and can be read.
    pub fn optional<T>(&mut self, key: &'static str, read: impl FnOnce(Node<'a>) -> Option<T>) -> Option<T> {
        self.known.push(key);
        let value = self.object.get(key).filter(|value| !value.is_null())?;
        read(Node { value, path: join(&self.path, key), findings: self.findings })
    }

    /// As [`Fields::optional`]; an absent field is a finding.
    pub fn required<T>(&mut self, key: &'static str, read: impl FnOnce(Node<'a>) -> Option<T>) -> Option<T> {
        if self.object.get(key).is_none_or(Value::is_null) {
            self.findings.borrow_mut().push(Finding::new(join(&self.path, key), "", "is required"));
        }
        self.optional(key, read)
    }

    /// The list `key`, empty when absent.
    pub fn list<T>(&mut self, key: &'static str, read: impl FnMut(Node<'a>) -> Option<T>) -> Vec<T> {
        self.optional(key, |node| node.list(read)).unwrap_or_default()
    }

    /// A field of Argo that is not supported: `why` helps more than "unknown field". Returns whether it is present.
    pub fn unsupported(&mut self, key: &'static str, why: &str) -> bool {
        let mut given = false;
        self.optional(key, |node| {
            given = true;
            node.fail::<()>(format!("is not supported: {why}"))
        });
        given
    }

    /// Adds a finding about the mapping itself, for rules about several fields.
    pub fn fail(&mut self, problem: impl Into<String>) {
        self.findings.borrow_mut().push(Finding::new(self.path.clone(), "", problem));
    }

    /// Adds a finding about the field at this path below the mapping.
    pub fn fail_at(&mut self, field: &str, value: &str, problem: impl Into<String>) {
        self.findings.borrow_mut().push(Finding::new(join(&self.path, field), value, problem));
    }

    /// Whether every key of the mapping has been asked for and none has a finding. Otherwise a finding about a
    /// missing field, or a contradiction with a field that could not be read, would only be noise.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        let is_known = |key: &String| self.known.contains(&key.as_str());
        self.object.keys().all(is_known) && self.findings.borrow().len() == self.before
    }

    fn report_unknown(self) {
        for key in self.object.keys().filter(|key| !self.known.contains(&key.as_str())) {
            let problem = match nearest(key, &self.known) {
                Some(known) => format!("unknown field, did you mean {known:?}?"),
                None => format!("unknown field, allowed are {}", self.known.join(", ")),
            };
            self.findings.borrow_mut().push(Finding::new(join(&self.path, &shortened(key)), "", problem));
        }
    }
}

fn shortened(name: &str) -> Cow<'_, str> {
    match name.get(..name.floor_char_boundary(MAX_NAME)) {
        Some(beginning) if beginning.len() < name.len() => format!("{beginning}…").into(),
        _ => name.into(),
    }
}

/// The name among `known` that the user most likely meant by `name`; case does not matter.
#[must_use]
pub fn nearest<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    if name.len() > MAX_NAME {
        return None;
    }
    let name = name.to_lowercase();
    let likeness = |known: &&str| strsim::normalized_damerau_levenshtein(&name, &known.to_lowercase());
    let best = known.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    best.copied().filter(|best| likeness(best) >= MIN_LIKENESS)
}

fn join(parent: &str, key: &str) -> String {
    if parent.is_empty() { key.to_owned() } else { format!("{parent}.{key}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn problems<T>(document: &Value, reader: impl FnOnce(Node) -> Option<T>) -> Vec<String> {
        let findings = read(document, "spec", reader).err().unwrap();
        findings.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_getter_says_what_is_allowed() {
        let document = json!({"s": 5, "b": "yes", "i": 101, "x": 1.5, "d": "5", "n": 3, "l": {}, "m": []});
        let found = problems(&document, |root| {
            root.object(|f| {
                f.optional("s", Node::string);
                f.optional("b", Node::bool);
                f.optional("i", |n| n.integer(0..=100_u8));
                f.optional("x", Node::int_or_string);
                f.optional("d", Node::duration);
                f.optional("n", Node::duration);
                f.list("l", Node::string);
                f.optional("m", |n| n.map(Node::string));
                Some(())
            })
        });
        insta::assert_snapshot!(found.join("\n"), @r#"
        spec.s: "5": must be a string: put it in quotes
        spec.b: "yes": must be true or false
        spec.i: "101": must be a whole number from 0 to 100
        spec.x: "1.5": must be a whole number or a string
        spec.d: "5": must be a duration such as "30s", "5m" or "1h30m", not negative and under 100 years
        spec.n: "3": must be a string: put it in quotes
        spec.l: "{}": must be a list
        spec.m: "[]": must be a mapping
        "#);
    }

    #[test]
    fn absent_unknown_and_unsupported_fields_are_named() {
        let document = json!({"SetWeight": 1, "zzz": 1, "mirror": {}, "nothing": null});
        let found = problems(&document, |root| {
            root.object(|f| {
                f.optional("setWeight", |n| n.integer(0..=100));
                f.optional("nothing", Node::string);
                f.required("name", Node::string);
                f.unsupported("mirror", "this router cannot mirror");
                f.fail("only one of these is allowed");
                Some(())
            })
        });
        insta::assert_snapshot!(found.join("\n"), @r#"
        spec.name: is required
        spec.mirror: "{}": is not supported: this router cannot mirror
        spec: only one of these is allowed
        spec.SetWeight: unknown field, did you mean "setWeight"?
        spec.zzz: unknown field, allowed are setWeight, nothing, name, mirror
        "#);
    }

    #[test]
    fn a_long_name_is_cut_and_not_compared() {
        let document = json!({"é".repeat(250_000): 1});
        let found = problems(&document, |root| root.object(|f| f.optional("weight", Node::string)));
        assert_eq!(found, [format!("spec.{}…: unknown field, allowed are weight", "é".repeat(32))]);
    }

    #[test]
    fn one_bad_item_does_not_hide_the_next() {
        let document = json!(["1s", 2, "x", "4s"]);
        assert_eq!(problems(&document, |root| root.list(Node::duration)).len(), 2);
    }
}
