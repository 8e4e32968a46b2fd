//! How a user's document is read: typed getters that collect every finding with its path.
//!
//! A [`Node`] is one value; a reader is any `FnOnce(Node) -> Option<T>`, so readers compose. The same reader says what
//! it accepts, because [`describe`] runs it without a document: a field is defined once, where it is read.
//!
//! ```
//! use haldane::document::{fields::{Node, describe, read}, schema::Schema};
//!
//! struct Step { weight: u8 }
//!
//! fn step(node: Node) -> Option<Step> {
//!     node.object(|step| Some(Step { weight: step.required("setWeight", |n| n.integer(0..=100))? }))
//! }
//!
//! let document = serde_json::json!({"name": "web", "steps": [{"setWeight": 20}, {"setWeihgt": 400}]});
//! let plan = |node: Node| {
//!     node.object(|spec| {
//!         let name = spec.doc("Name of the plan.").required("name", Node::string);
//!         let steps = spec.list("steps", step);
//!         Some((name?, steps))
//!     })
//! };
//! let findings = read(&document, "spec", plan).err().unwrap();
//! assert_eq!(findings[0].to_string(), "spec.steps[1].setWeight: is required");
//! assert_eq!(findings[1].to_string(), "spec.steps[1].setWeihgt: unknown field, did you mean \"setWeight\"?");
//! let schema = describe(plan);
//! assert_eq!(schema.fields()[0].doc, "Name of the plan.");
//! assert_eq!(schema.fields()[0].schema, Schema::Text);
//! ```

mod mapping;

pub use mapping::{Fields, nearest};

use super::{
    finding::{Finding, Findings},
    schema::Schema,
};
use crate::gocompat::{
    duration::GoDuration,
    validation::{is_object_name, is_service_name},
};
use serde_json::{Map, Value};
use std::{cell::RefCell, collections::BTreeMap, fmt::Display, ops::RangeInclusive, str::FromStr};

/// Reads a whole document; the path of every finding begins with `path`.
///
/// # Errors
/// All findings, in reading order, if there is any.
pub fn read<T>(
    document: &Value,
    path: &str,
    reader: impl FnOnce(Node<'_>) -> Option<T>,
) -> Result<T, Findings> {
    let sink = Sink::default();
    let value = reader(Node { value: document, path: path.to_owned(), sink: &sink });
    let findings = sink.findings.into_inner();
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

/// What a reader accepts. A reader that does not say it accepts nothing.
#[must_use]
pub fn describe<T>(reader: impl FnOnce(Node<'_>) -> Option<T>) -> Schema {
    let answer = Answer::default();
    let sink = Sink { answer: Some(&answer), ..Sink::default() };
    reader(Node::unknown(&sink));
    answer.schema.take()
}

/// Where a reader leaves what it has to say, behind a `RefCell`, so that one lifetime serves all readers.
#[derive(Debug, Default)]
struct Sink<'a> {
    findings: RefCell<Findings>,
    /// Set if there is no document: the question is what the reader accepts.
    answer: Option<&'a Answer>,
}

/// What the reader that has ended last accepts.
#[derive(Debug, Default)]
struct Answer {
    schema: RefCell<Schema>,
    /// Stands for every mapping.
    nothing: Map<String, Value>,
}

impl Answer {
    fn wrap(&self, wrap: impl FnOnce(Schema) -> Schema) {
        let inner = self.schema.take();
        self.schema.replace(wrap(inner));
    }
}

/// One value of a document, its path, and where findings about it go.
///
/// Every getter consumes the node and returns `None` exactly when it has added a finding, or when there is no document
/// and it has said what it accepts.
#[derive(Debug)]
pub struct Node<'a> {
    value: &'a Value,
    path: String,
    sink: &'a Sink<'a>,
}

impl<'a> Node<'a> {
    /// Stands for any value.
    fn unknown(sink: &'a Sink<'a>) -> Self {
        Self { value: &Value::Null, path: String::new(), sink }
    }

    /// The raw value; null while there is no document.
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
        self.sink.findings.borrow_mut().push(Finding::new(self.path, "", problem));
        None
    }

    /// As [`Node::fail`], but the node can still be read.
    pub fn mark(&self, problem: impl Into<String>) {
        let shown = self.value.as_str().map_or_else(|| self.value.to_string(), str::to_owned);
        self.sink.findings.borrow_mut().push(Finding::new(self.path.clone(), shown, problem));
    }

    /// Reads a value by hand. An editor checks `schema` only.
    pub fn typed<T>(self, schema: Schema, read: impl FnOnce(Self) -> Option<T>) -> Option<T> {
        if let Some(answer) = self.sink.answer {
            answer.schema.replace(schema);
            return None;
        }
        read(self)
    }

    /// As `read`, whose type has this name in the schema.
    pub fn named<T>(self, name: &'static str, read: impl FnOnce(Self) -> Option<T>) -> Option<T> {
        let answer = self.sink.answer;
        let value = read(self);
        if let Some(answer) = answer {
            answer.wrap(|schema| Schema::Named(name, Box::new(schema)));
        }
        value
    }

    /// A string. As in Kubernetes, a bare number is not one; the finding says to quote it.
    #[must_use]
    pub fn string(self) -> Option<String> {
        self.typed(Schema::Text, |node| match node.value {
            Value::String(text) => Some(text.clone()),
            Value::Number(_) | Value::Bool(_) => node.fail("must be a string: put it in quotes"),
            _ => node.fail("must be a string"),
        })
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
        self.typed(Schema::Bool, |node| match node.value {
            Value::Bool(value) => Some(*value),
            _ => node.fail("must be true or false"),
        })
    }

    /// One of these words, as what it stands for; `problem` says which are allowed.
    pub fn word<T: Clone>(self, words: &[(&'static str, T)], problem: &str) -> Option<T> {
        let known = words.iter().map(|(word, _)| *word).collect();
        self.typed(Schema::Word(known), |node| {
            let text = node.value.as_str();
            match words.iter().find(|(word, _)| Some(*word) == text) {
                Some((_, meaning)) => Some(meaning.clone()),
                None => node.fail(problem),
            }
        })
    }

    /// A whole number within `range`.
    #[must_use]
    pub fn integer<T>(self, range: RangeInclusive<T>) -> Option<T>
    where
        T: TryFrom<i64> + Into<i64> + Copy + PartialOrd + Display,
    {
        let (min, max) = range.into_inner();
        self.typed(Schema::Whole(min.into(), max.into()), |node| {
            let number = node.value.as_i64().and_then(|number| T::try_from(number).ok());
            match number.filter(|number| (min..=max).contains(number)) {
                Some(number) => Some(number),
                None => node.fail(format!("must be a whole number from {min} to {max}")),
            }
        })
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
        self.typed(Schema::Duration, Self::parsed)
    }

    /// A mapping whose fields `read` asks for. Afterwards, every field that it did not ask for is a finding.
    ///
    /// Ask for all fields before the first `?`: a field not yet asked for counts as unknown, here and in the schema.
    pub fn object<T>(self, read: impl FnOnce(&mut Fields<'a>) -> Option<T>) -> Option<T> {
        let object = match (self.sink.answer, self.value) {
            (Some(answer), _) => &answer.nothing,
            (None, Value::Object(object)) => object,
            _ => return self.fail("must be a mapping"),
        };
        let mut fields = Fields::new(object, self.path, self.sink);
        let value = read(&mut fields);
        fields.end();
        value
    }

    /// A list without the items that could not be read, each of which has a finding.
    pub fn list<T>(self, mut read: impl FnMut(Node<'a>) -> Option<T>) -> Option<Vec<T>> {
        if self.describes(Schema::List, &mut read) {
            return None;
        }
        let Value::Array(items) = self.value else {
            return self.fail("must be a list");
        };
        let (path, sink) = (self.path, self.sink);
        let item = |(index, value)| read(Node { value, path: format!("{path}[{index}]"), sink });
        Some(items.iter().enumerate().filter_map(item).collect())
    }

    /// A mapping whose keys the user chooses.
    pub fn map<T>(self, mut read: impl FnMut(Node<'a>) -> Option<T>) -> Option<BTreeMap<String, T>> {
        if self.describes(Schema::Map, &mut read) {
            return None;
        }
        let Value::Object(entries) = self.value else {
            return self.fail("must be a mapping");
        };
        let (path, sink) = (self.path, self.sink);
        let entry = |(key, value): (&String, &'a Value)| {
            Some((key.clone(), read(Node { value, path: format!("{path}[{key}]"), sink })?))
        };
        Some(entries.iter().filter_map(entry).collect())
    }

    /// Labels and annotations.
    #[must_use]
    pub fn metadata(self) -> Option<(BTreeMap<String, String>, BTreeMap<String, String>)> {
        self.object(|fields| {
            let labels = fields.optional("labels", |node| node.map(Node::string));
            let annotations = fields.optional("annotations", |node| node.map(Node::string));
            Some((labels.unwrap_or_default(), annotations.unwrap_or_default()))
        })
    }

    /// Says what a container of what `read` reads accepts, if that is the question.
    fn describes<T>(
        &self,
        container: fn(Box<Schema>) -> Schema,
        read: &mut impl FnMut(Node<'a>) -> Option<T>,
    ) -> bool {
        let Some(answer) = self.sink.answer else { return false };
        read(Node::unknown(self.sink));
        answer.wrap(|item| container(Box::new(item)));
        true
    }
}

fn join(parent: &str, key: &str) -> String {
    if parent.is_empty() { key.to_owned() } else { format!("{parent}.{key}") }
}

#[cfg(test)]
mod tests;
