//! The routing of a namespace: the YAML in the only key of its `ConfigMap`.

#[cfg(test)]
mod tests;

use super::{
    CONFIG_MAP,
    destination::{Destination, MAX_TEXT, Selection, Text, permitted},
    formats::Format,
    notice::Notice,
    occasion::{Occasion, REASONS},
    placeholders::Template,
};
use crate::{
    config::{stored::only_entry, template::secret_key},
    document::{
        fields::{Fields, Node, describe, read},
        finding::{Finding, Findings},
        schema::Schema,
    },
    domain::{k8s::selector::Labels, metric::SecretKeyRef},
    providers::{
        hosts::HostPolicy,
        http::{checked_url, header_name, header_value, insecure},
    },
};
use core::time::Duration;
use http::HeaderName;
use serde_json::Value;
use std::sync::Arc;
use strum::{EnumMessage, VariantArray};
use url::Url;

/// How long a receiver may take to answer, in seconds.
const TIMEOUT: u32 = 10;
/// The longest that a destination may set.
const MAX_TIMEOUT: u32 = 30;
/// Longest routing in bytes; a text behind an alias counts each time that it is used.
const MAX_BYTES: usize = 64 << 10;
/// Destinations of a namespace.
const MAX_DESTINATIONS: usize = 20;
/// Headers of a destination.
const MAX_HEADERS: usize = 20;
/// Findings that one line shows.
const MAX_SHOWN: usize = 5;
/// Longest template of a message, in bytes.
const MAX_TEMPLATE: usize = 2048;

/// A routing with every kind of field.
pub const EXAMPLE: &str = "destinations:
  - name: team
    slack:
      urlFrom: {secretKeyRef: {name: chat, key: url}}
  - name: audit
    cloudEvents:
      url: https://events.example.com/releases
      headers:
        - {key: Authorization, valueFrom: {secretKeyRef: {name: audit, key: token}}}
      timeoutSeconds: 5
    events: [started, promoted, aborted, replaced, HeldLate]
  - name: on-call
    teams:
      urlFrom: {secretKeyRef: {name: chat, key: teams}}
    events: [aborted, blocked]
    message: \"{{deployment}} in {{namespace}}: {{message}}\"
";

/// The receivers of Events about releases of a namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Routing {
    /// All destinations; their names differ.
    pub destinations: Vec<Arc<Destination>>,
    /// Bytes of its texts.
    pub bytes: usize,
    /// Path of the document in its `ConfigMap`.
    path: String,
}

impl Routing {
    /// Reads the routing from the data of its `ConfigMap`.
    ///
    /// # Errors
    /// All findings, with paths from `data` on.
    pub fn read(data: &Labels) -> Result<Self, Findings> {
        let (document, path) = only_entry(data, "data", "routing", MAX_BYTES)?;
        let bytes = text_bytes(&document);
        if bytes > MAX_BYTES {
            let problem = format!("may have at most {MAX_BYTES} bytes, aliases counted");
            return Err(vec![Finding::new(path, format!("{bytes} bytes"), problem)]);
        }
        let destinations = read(&document, &path, routing)?;
        Ok(Self { destinations: destinations.into_iter().map(Arc::new).collect(), bytes, path })
    }

    /// What is wrong with a `ConfigMap` that cannot be read, on one line.
    #[must_use]
    pub fn unreadable(findings: &Findings) -> String {
        let findings =
            findings.iter().take(MAX_SHOWN).map(ToString::to_string).collect::<Vec<_>>().join("; ");
        format!("ConfigMap {CONFIG_MAP} cannot be read: {findings}")
    }

    /// What a routing may be.
    #[must_use]
    pub fn schema() -> Schema {
        describe(routing)
    }

    /// The destinations that the installation does not allow, as far as their addresses are written down.
    #[must_use]
    pub fn refused(&self, hosts: &HostPolicy) -> Findings {
        let problem = |(index, destination): (usize, &Arc<Destination>)| {
            let Text::Literal(url) = &destination.url else { return None };
            let why = checked_url(url).and_then(|url| permitted(&url, hosts)).err()?;
            let key: &str = destination.format.into();
            Some(Finding::new(format!("{}.destinations[{index}].{key}.url", self.path), url, why))
        };
        self.destinations.iter().enumerate().filter_map(problem).collect()
    }

    /// The destinations that are sent this.
    pub fn of<'a>(&'a self, notice: &'a Notice) -> impl Iterator<Item = &'a Arc<Destination>> {
        self.destinations.iter().filter(|one| one.gets(notice))
    }
}

/// Bytes of all keys and texts.
fn text_bytes(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(text_bytes).sum(),
        Value::Object(fields) => {
            fields.iter().map(|(key, value)| key.len().saturating_add(text_bytes(value))).sum()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    }
}

fn routing(node: Node<'_>) -> Option<Vec<Destination>> {
    node.object(|fields| {
        let destinations = fields
            .doc("The receivers of Events about releases of this namespace; at most 20.")
            .required("destinations", |node| node.list(destination))?;
        if destinations.len() > MAX_DESTINATIONS {
            fields.fail(format!("may have at most {MAX_DESTINATIONS} destinations"));
        }
        for (index, one) in destinations.iter().enumerate().take(MAX_DESTINATIONS) {
            if destinations.iter().take(index).any(|earlier| earlier.name == one.name) {
                let place = format!("destinations[{index}].name");
                fields.fail_at(&place, &one.name, "is the name of an earlier destination");
            }
        }
        Some(destinations)
    })
}

fn destination(node: Node<'_>) -> Option<Destination> {
    node.object(|fields| {
        let name = fields
            .doc("Its name in Events, logs and metrics. Required.")
            .required("name", Node::object_name);
        let mut channels = Vec::new();
        for format in Format::VARIANTS {
            let doc = format.get_documentation().unwrap_or_default();
            let channel = fields.doc(doc).optional(format.into(), |node| Some(node.object(channel)));
            channels.extend(channel.map(|channel| (*format, channel)));
        }
        let selections = fields
            .doc("Which Events it is sent: groups (`started`, `paused`, `waitsForPerson`, `promoted`, `aborted`, `replaced`, `blocked`), [reasons of Events](rollout.md#events), or `all`. By default `[started, waitsForPerson, promoted, aborted]`.")
            .optional("events", |node| node.list(selection));
        let message = fields
            .doc("The text instead of the usual one, with [placeholders](#placeholders-of-a-message).")
            .optional("message", template);
        let [(format, channel)] = <[_; 1]>::try_from(channels).map_err(|_| one_format(fields)).ok()?;
        let Channel { url, headers, timeout, insecure } = channel?;
        let by_default = || Occasion::BY_DEFAULT.map(Selection::Occasion).to_vec();
        let selections = selections.unwrap_or_else(by_default);
        Some(Destination { name: name?, format, url, headers, timeout, insecure, selections, message })
    })
}

fn one_format(fields: &mut Fields<'_>) {
    if fields.is_clean() {
        let known = Format::VARIANTS.iter().map(<&str>::from).collect::<Vec<_>>().join(", ");
        fields.fail(format!("must have one of {known}"));
    }
}

/// Where and how a destination is reached.
struct Channel {
    url: Text,
    headers: Vec<(String, Text)>,
    timeout: Duration,
    insecure: bool,
}

fn channel(fields: &mut Fields<'_>) -> Option<Channel> {
    let written = fields.doc("The URL, unless it is a secret.").optional("url", url);
    let stored = fields
        .doc("`secretKeyRef: {name, key}` of a Secret of this namespace with the URL; needs a [Role](notifications.md) that allows Haldane to read it.")
        .optional("urlFrom", secret);
    let headers = fields
        .doc("A list of `{key, value}` or `{key, valueFrom: {secretKeyRef: {name, key}}}`; at most 20, of at most 8 KiB each.")
        .list("headers", |node| node.object(header));
    if headers.len() > MAX_HEADERS {
        fields.fail_at("headers", "", format!("may have at most {MAX_HEADERS} headers"));
    }
    let timeout = fields
        .doc("How long the receiver may take to answer, 1 to 30; 10 by default.")
        .optional("timeoutSeconds", |node| node.integer(1..=MAX_TIMEOUT));
    let insecure = insecure(fields);
    let url = text(fields, (written, "url"), (stored, "urlFrom"))?;
    let timeout = Duration::from_secs(timeout.unwrap_or(TIMEOUT).into());
    Some(Channel { url, headers, timeout, insecure })
}

fn header(fields: &mut Fields<'_>) -> Option<(String, Text)> {
    let key = fields.required("key", own_header_name);
    let written = fields.optional("value", |node| header_value(short(node)?));
    let stored = fields.optional("valueFrom", secret);
    let value = text(fields, (written, "value"), (stored, "valueFrom"));
    Some((key?, value?))
}

fn own_header_name(node: Node<'_>) -> Option<String> {
    match node.value().as_str() {
        Some(name) if name.eq_ignore_ascii_case("content-type") => {
            node.fail("is set by Haldane and cannot be changed")
        }
        // A routing has no arguments, unlike the headers of a metric.
        Some(name) if HeaderName::from_bytes(name.as_bytes()).is_err() => node.fail("is not a header name"),
        _ => header_name(node),
    }
}

/// One of two ways to give a text.
fn text(
    fields: &mut Fields<'_>,
    written: (Option<String>, &str),
    stored: (Option<SecretKeyRef>, &str),
) -> Option<Text> {
    match (written, stored) {
        ((Some(text), _), (None, _)) => Some(Text::Literal(text)),
        ((None, _), (Some(reference), _)) => Some(Text::Secret(reference)),
        ((_, written), (_, stored)) => {
            if fields.is_clean() {
                fields.fail(format!("must have either {written} or {stored}"));
            }
            None
        }
    }
}

fn secret(node: Node<'_>) -> Option<SecretKeyRef> {
    node.object(|fields| fields.required("secretKeyRef", secret_key))
}

/// The same value, unless it is longer than any receiver accepts.
fn short(node: Node<'_>) -> Option<Node<'_>> {
    match node.value().as_str() {
        Some(text) if text.len() > MAX_TEXT => {
            node.fail_briefly(format!("may have at most {MAX_TEXT} bytes"))
        }
        _ => Some(node),
    }
}

fn url(node: Node<'_>) -> Option<String> {
    let node = short(node)?;
    let Some(text) = node.value().as_str() else { return node.string() };
    let has_user = |url: Url| !url.username().is_empty() || url.password().is_some();
    if Url::parse(text).is_ok_and(has_user) {
        return node.fail("must not contain a user or password: send a header with valueFrom.secretKeyRef");
    }
    match checked_url(text) {
        Ok(_) => node.string(),
        Err(problem) => node.fail(problem),
    }
}

fn selection(node: Node<'_>) -> Option<Selection> {
    let groups = Occasion::VARIANTS.iter().map(|group| (<&str>::from(group), Selection::Occasion(*group)));
    let reasons = REASONS.iter().map(|reason| (*reason, Selection::Reason(reason)));
    let words: Vec<_> = [("all", Selection::All)].into_iter().chain(groups).chain(reasons).collect();
    let groups = Occasion::VARIANTS.iter().map(<&str>::from).collect::<Vec<_>>().join(", ");
    node.word(&words, &format!("must be all, a group ({groups}), or the reason of an Event of Haldane's"))
}

fn template(node: Node<'_>) -> Option<Template> {
    node.typed(Schema::Text, |node| match node.value().as_str() {
        Some(text) if text.len() > MAX_TEMPLATE => {
            node.fail_briefly(format!("may have at most {MAX_TEMPLATE} bytes"))
        }
        Some(text) => match Template::parse(text) {
            Ok(template) => Some(template),
            Err(problem) => node.fail(problem),
        },
        None => node.string().and(None),
    })
}
