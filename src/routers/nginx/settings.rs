//! Argo's `trafficRouting.nginx`, and what NGINX cannot do of a plan.

use crate::{
    document::fields::{Fields, Node},
    domain::{
        names::Weight,
        strategy::{CanaryStrategy, HeaderMatch, HeaderValue},
    },
    routers::{Refusal, RouterField, capabilities::header_routes},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Prefix of the annotations where an installation has no other.
const PREFIX: &str = "nginx.ingress.kubernetes.io";

/// The field of the user's annotations, for messages.
const ADDITIONAL: &str = "trafficRouting.nginx.additionalIngressAnnotations";

/// Characters in addition to letters and digits that ingress-nginx accepts in a header's name or value.
///
/// Source: ingress-nginx `internal/ingress/annotations/parser/validators.go`, `BasicCharsRegex`.
const PLAIN: &str = "-._~/:";
/// The same for `canary-by-header-pattern`: `IsValidRegex`.
const PATTERN: &str = "-._~/:^$[](){}*+?|&=\\";

/// What may be written on the canary Ingress in addition to its weight.
const CANARY_KEYS: [&str; 4] =
    ["canary-by-header", "canary-by-header-value", "canary-by-header-pattern", "canary-by-cookie"];
/// What plans for Argo may have there as well, and Haldane writes itself.
const OWN_KEYS: [&str; 3] = ["canary", "canary-weight", "canary-weight-total"];
/// What the keys that look at a header begin with.
const BY_HEADER: &str = "canary-by-header";

/// The settings, as they are recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Settings {
    /// The user's Ingresses to split; empty means every one that routes to a split Service.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stable_ingresses: Vec<String>,
    /// Prefix of the canary annotations.
    pub annotation_prefix: String,
    /// More annotations for the canary Ingress while it may carry traffic, e.g. `canary-by-header`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub additional_annotations: BTreeMap<String, String>,
    /// The total of which weights are parts, in records of before the plan had it.
    #[serde(skip_serializing)]
    pub weight_total: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            stable_ingresses: Vec::new(),
            annotation_prefix: PREFIX.to_owned(),
            additional_annotations: BTreeMap::new(),
            weight_total: Weight::PERCENT,
        }
    }
}

impl Settings {
    /// The settings of a plan; what is missing or unreadable has its default.
    pub fn of(settings: &Value) -> Self {
        Self::deserialize(settings).unwrap_or_default()
    }

    pub fn with_prefix(prefix: &str) -> Value {
        json!({"annotationPrefix": prefix})
    }

    /// The user's annotations that are written on the canary's Ingress. A header route that is on comes instead of those
    /// that look at a header.
    pub fn additional(&self, has_header_route: bool) -> impl Iterator<Item = (&String, &String)> {
        let is_left =
            move |key: &str| OWN_KEYS.contains(&key) || (has_header_route && key.starts_with(BY_HEADER));
        self.additional_annotations.iter().filter(move |(key, _)| !is_left(last_part(key)))
    }

    /// The header that the user's annotations look at.
    fn header(&self) -> Option<&str> {
        let mut annotations = self.additional_annotations.iter();
        annotations.find(|(key, _)| last_part(key) == BY_HEADER).map(|(_, header)| header.as_str())
    }

    /// Of the fields that a plan gives.
    pub fn given(given: &Map<String, Value>, defaults: Option<&Value>, fields: &mut Fields<'_>) -> Value {
        let mut settings = Self::of(defaults.unwrap_or(&Value::Null));
        let texts = |key: &str| given.get(key).and_then(Value::as_array).into_iter().flatten();
        let one = given.get("stableIngress").into_iter();
        if one.len() > 0 && texts("stableIngresses").next().is_some() {
            fields.fail("must have stableIngress or stableIngresses, not both");
        }
        let names = one.chain(texts("stableIngresses")).filter_map(Value::as_str);
        settings.stable_ingresses = names.map(str::to_owned).collect();
        if let Some(prefix) = given.get("annotationPrefix").and_then(Value::as_str) {
            prefix.clone_into(&mut settings.annotation_prefix);
        }
        let annotations = ["additionalIngressAnnotations", "canaryIngressAnnotations"];
        let annotations = annotations.iter().filter_map(|key| given.get(*key)?.as_object()).flatten();
        settings.additional_annotations =
            annotations.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect();
        // Typed settings always serialise.
        serde_json::to_value(settings).unwrap_or_default()
    }
}

/// The fields of a plan.
pub(super) static FIELDS: &[RouterField] = &[
    RouterField {
        key: "stableIngress",
        doc: "The user's Ingress to split; by default every one that routes to the Service.",
        read: |node| node.object_name().map(Value::from),
    },
    RouterField {
        key: "stableIngresses",
        doc: "The same for several.",
        read: |node| node.list(Node::object_name).map(Value::from),
    },
    RouterField {
        key: "annotationPrefix",
        doc: "Prefix of the canary annotations; by default the installation's.",
        read: |node| node.object_name().map(Value::from),
    },
    RouterField {
        key: "additionalIngressAnnotations",
        doc: "More annotations of the canary Ingress while it may carry traffic: `canary-by-header`, `canary-by-header-value`, `canary-by-header-pattern`, `canary-by-cookie`. `canary`, `canary-weight` and `canary-weight-total` are ignored: Haldane writes them.",
        read: canary_keys,
    },
    RouterField {
        key: "canaryIngressAnnotations",
        doc: "Argo's other name for `additionalIngressAnnotations`.",
        read: canary_keys,
    },
];

/// Annotations that choose who gets to the canary, under whatever prefix. Haldane makes the Ingress with its own
/// rights, so one that acts otherwise, such as a snippet or an issuer, must not come in this way.
fn canary_keys(node: Node<'_>) -> Option<Value> {
    let is_known = |key: &str| CANARY_KEYS.contains(&key) || OWN_KEYS.contains(&key);
    let is_foreign = |key: &&String| !is_known(last_part(key));
    match node.value().as_object().and_then(|given| given.keys().find(is_foreign)) {
        Some(key) => {
            let allowed = CANARY_KEYS.join(", ");
            node.fail(format!("has {key:?}, which is not supported; allowed are {allowed}"))
        }
        None => node.map(Node::string).map(|annotations| json!(annotations)),
    }
}

/// The name of an annotation without its prefix.
fn last_part(key: &str) -> &str {
    key.rsplit('/').next().unwrap_or_default()
}

/// What NGINX cannot do of a plan, in addition to what its capabilities say.
pub(super) fn refused(strategy: &CanaryStrategy, settings: &Settings) -> Vec<Refusal> {
    let mut refused = Vec::new();
    for (index, route) in header_routes(strategy) {
        for (at, matching) in route.matching.iter().enumerate() {
            refused.extend(misspelt(matching, &format!("steps[{index}].setHeaderRoute.match[{at}]")));
        }
    }
    let mut matches = header_routes(strategy).flat_map(|(_, route)| &route.matching);
    let differs = |found: &HeaderMatch| {
        settings.header().is_none_or(|header| !header.eq_ignore_ascii_case(&found.header))
    };
    if let (Some(key), Some(matching)) = (by_header(settings), matches.find(|found| differs(found))) {
        let problem = format!(
            "has {key:?} and a setHeaderRoute step looks at {:?}, but the router nginx can look at one header only; remove one of the two",
            matching.header
        );
        refused.push(Refusal::new(ADDITIONAL, problem));
    }
    refused
}

/// The annotations of a plan that have no effect, or not always.
pub(super) fn ignored(strategy: &CanaryStrategy, settings: &Settings) -> Vec<String> {
    let own = settings.additional_annotations.keys().filter(|key| OWN_KEYS.contains(&last_part(key)));
    let own = own.map(|key| {
        format!("{ADDITIONAL} has {key:?}, which is ignored: Haldane writes it for the weight of each step")
    });
    let is_routed = header_routes(strategy).next().is_some();
    let by_header = by_header(settings).filter(|_| is_routed).map(|key| {
        format!("{ADDITIONAL} has {key:?}, which is ignored while a setHeaderRoute step has its header set")
    });
    own.chain(by_header).collect()
}

/// The first of the user's annotations that looks at a header.
fn by_header(settings: &Settings) -> Option<&String> {
    settings.additional_annotations.keys().find(|key| last_part(key).starts_with(BY_HEADER))
}

/// What ingress-nginx does not accept in an annotation; it would ignore the whole canary.
fn misspelt(matching: &HeaderMatch, field: &str) -> Vec<Refusal> {
    let (key, value, marks) = match &matching.value {
        HeaderValue::Exact(value) => ("exact", value, PLAIN),
        HeaderValue::Prefix(value) => ("prefix", value, PLAIN),
        HeaderValue::Regex(value) => ("regex", value, PATTERN),
    };
    let texts = [
        (format!("{field}.headerName"), &matching.header, PLAIN),
        (format!("{field}.headerValue.{key}"), value, marks),
    ];
    let refusal = |(field, text, marks): (String, &String, &str)| {
        let is_accepted = |c: char| c.is_ascii_alphanumeric() || marks.contains(c);
        (!text.chars().all(is_accepted)).then(|| {
            let problem = format!(
                "is {text:?}, with characters that the router nginx refuses here; allowed are letters, digits and {marks}"
            );
            Refusal::new(field, problem)
        })
    };
    texts.into_iter().filter_map(refusal).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_that_an_older_version_has_recorded_is_read_and_written_as_it_was() {
        let recorded = json!({
            "steps": [
                {"setWeight": [5, 1000]},
                {"setHeaderRoute": {"name": "a", "matching": {"header": "X-A", "value": {"exact": "1"}}}},
                {"setHeaderRoute": {"name": "a"}},
            ],
            "progressDeadlineAbort": true,
            "router": "nginx",
            "nginx": {
                "stableIngresses": ["shop"],
                "annotationPrefix": "example.com",
                "additionalAnnotations": {"canary-by-cookie": "testers"},
                "weightTotal": 1000,
            },
            "settle": "6s",
        });
        let strategy: CanaryStrategy = serde_json::from_value(recorded.clone()).unwrap();
        let settings = Settings::of(strategy.settings_of("nginx"));
        assert_eq!((settings.annotation_prefix.as_str(), settings.weight_total), ("example.com", 1000));
        assert_eq!(settings.stable_ingresses, ["shop"]);
        assert_eq!(strategy.header_route(1).unwrap().matching[0].header, "X-A");
        assert_eq!((strategy.headers_at(1).len(), strategy.headers_at(2).len()), (1, 0));
        let written = serde_json::to_value(&strategy).unwrap();
        for key in ["steps", "router", "nginx"] {
            assert_eq!(written[key], recorded[key], "{key}");
        }
        assert_eq!(serde_json::from_value::<CanaryStrategy>(written).unwrap(), strategy);
    }
}
