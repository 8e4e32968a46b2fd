//! The fields of a mapping: read and described by one call each.

use super::{Node, Sink, join};
use crate::document::{
    finding::Finding,
    schema::{Field, Schema},
};
use serde_json::{Map, Value};
use std::{borrow::Cow, mem};

/// An unknown name that is less similar than this to every known one gets the list of all names instead of a
/// suggestion.
const MIN_LIKENESS: f64 = 0.8;

/// Longest field name that a message shows in full and that is compared with the known ones, in bytes.
const MAX_NAME: usize = 64;

/// The fields of one mapping. As in Kubernetes, null means absent.
#[derive(Debug)]
pub struct Fields<'a> {
    object: &'a Map<String, Value>,
    path: String,
    known: Vec<&'static str>,
    sink: &'a Sink<'a>,
    /// The number of findings before the mapping was read.
    before: usize,
    /// The fields so far, if the question is which there are.
    described: Vec<Field>,
    /// Documentation of the field that is asked for next.
    doc: &'static str,
}

impl<'a> Fields<'a> {
    pub(super) fn new(object: &'a Map<String, Value>, path: String, sink: &'a Sink<'a>) -> Self {
        let before = sink.findings.borrow().len();
        Self { object, path, known: Vec::new(), sink, before, described: Vec::new(), doc: "" }
    }

    /// Documents the field that is asked for next.
    pub fn doc(&mut self, doc: &'static str) -> &mut Self {
        self.doc = doc;
        self
    }

    /// The field `key`, if it is present and can be read.
    pub fn optional<T>(&mut self, key: &'static str, read: impl FnOnce(Node<'a>) -> Option<T>) -> Option<T> {
        let doc = mem::take(&mut self.doc);
        if let Some(answer) = self.sink.answer {
            read(Node::unknown(self.sink));
            self.described.push(Field { key, doc, schema: answer.schema.take() });
            return None;
        }
        self.ask(key).and_then(read)
    }

    /// As [`Fields::optional`]; an absent field is a finding.
    pub fn required<T>(&mut self, key: &'static str, read: impl FnOnce(Node<'a>) -> Option<T>) -> Option<T> {
        self.require(key);
        self.optional(key, read)
    }

    /// Adds a finding if the field `key` is absent.
    pub fn require(&mut self, key: &str) {
        if self.object.get(key).is_none_or(Value::is_null) {
            self.fail_at(key, "", "is required");
        }
    }

    /// The list `key`, empty when absent.
    pub fn list<T>(&mut self, key: &'static str, read: impl FnMut(Node<'a>) -> Option<T>) -> Vec<T> {
        self.optional(key, |node| node.list(read)).unwrap_or_default()
    }

    /// A field of Argo that is not supported: `why` helps more than "unknown field". Returns whether it is present.
    pub fn unsupported(&mut self, key: &'static str, why: &str) -> bool {
        let given = self.ask(key);
        given.map(|node| node.fail::<()>(format!("is not supported: {why}"))).is_some()
    }

    /// The value of the field `key`, which is known from now on.
    fn ask(&mut self, key: &'static str) -> Option<Node<'a>> {
        self.known.push(key);
        let value = self.object.get(key).filter(|value| !value.is_null())?;
        Some(Node { value, path: join(&self.path, key), sink: self.sink })
    }

    /// Adds a finding about the mapping itself, for rules about several fields.
    pub fn fail(&mut self, problem: impl Into<String>) {
        self.add(Finding::new(self.path.clone(), "", problem));
    }

    /// Adds a finding about the field at this path below the mapping.
    pub fn fail_at(&mut self, field: &str, value: &str, problem: impl Into<String>) {
        self.add(Finding::new(join(&self.path, field), value, problem));
    }

    fn add(&self, finding: Finding) {
        self.sink.findings.borrow_mut().push(finding);
    }

    /// Whether every key of the mapping has been asked for and none has a finding. Otherwise a finding about a
    /// missing field, or a contradiction with a field that could not be read, would only be noise.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        let is_known = |key: &String| self.known.contains(&key.as_str());
        self.object.keys().all(is_known) && self.sink.findings.borrow().len() == self.before
    }

    /// Reports what nobody has asked for; or, if that is the question, what there is to ask for.
    pub(super) fn end(self) {
        for key in self.object.keys().filter(|key| !self.known.contains(&key.as_str())) {
            let problem = match nearest(key, &self.known) {
                Some(known) => format!("unknown field, did you mean {known:?}?"),
                None => format!("unknown field, allowed are {}", self.known.join(", ")),
            };
            self.add(Finding::new(join(&self.path, &shortened(key)), "", problem));
        }
        if let Some(answer) = self.sink.answer {
            answer.schema.replace(Schema::Object(self.described));
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
