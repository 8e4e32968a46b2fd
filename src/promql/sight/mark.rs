//! The labels by which Prometheus distinguishes the sides of a pair, with the values that each side has.

use crate::{domain::k8s::selector::Labels, routers};
use promql_parser::label::{MatchOp, Matcher};
use std::collections::BTreeSet;

/// The placeholder in a query for a value that is known only when the query is asked. A matcher with it decides nothing. It
/// is a name, a number's place and a part of a host alike.
pub const UNKNOWN: &str = "sampleknownlater";

/// Longest name of a pod before its suffix.
const MAX_POD_PREFIX: usize = 58;

/// Stands for a hash that is not known.
const SOME_HASH: &str = "5d8f7b9c64";

/// A label and its values on the two sides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// The label as Prometheus has it.
    pub label: String,
    /// Its values on the stable side.
    pub stable: Value,
    /// Its values on the canary's.
    pub canary: Value,
    /// Whether it has other values as well, which distinguish nothing: `job` may be any name of a scrape configuration.
    pub is_open: bool,
}

/// The values of a label on one side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// This one; empty where the label is missing.
    Word(String),
    /// Names of the pods of a `ReplicaSet`.
    Pods {
        /// Name of its Deployment.
        deployment: String,
        /// Its `pod-template-hash`, once it is known.
        hash: Option<String>,
    },
    /// Names by which a Service is reached: `web`, `web.shop`, `web.shop.svc.cluster.local:80`.
    Host {
        /// Name of the Service.
        service: String,
        /// Its namespace, if it is known.
        namespace: Option<String>,
    },
    /// The name that a router gives a port of a Service: `shop-web-canary-80`.
    Upstream {
        /// Name of the Service.
        service: String,
        /// Its namespace, if it is known.
        namespace: Option<String>,
    },
}

/// The sides of which a series is admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Admits {
    pub stable: bool,
    pub canary: bool,
}

impl Admits {
    pub const CANARY: Self = Self { stable: false, canary: true };
    pub const BOTH: Self = Self { stable: true, canary: true };
    pub const NEITHER: Self = Self { stable: false, canary: false };
}

impl Mark {
    /// What all these matchers of its label admit.
    pub(crate) fn admitted_by(&self, matchers: &[&Matcher]) -> Admits {
        let by_all = |value: &Value| matchers.iter().all(|matcher| value.is_admitted_by(matcher));
        Admits { stable: by_all(&self.stable), canary: by_all(&self.canary) }
    }
}

impl Value {
    /// Whether a series with one of these values matches.
    pub(crate) fn is_admitted_by(&self, matcher: &Matcher) -> bool {
        match (&matcher.op, self) {
            (_, Self::Word(word)) => matcher.is_match(word),
            (MatchOp::Equal, _) => self.has(&matcher.value),
            // Without one of them there are others.
            (MatchOp::NotEqual, _) => true,
            (MatchOp::Re(_) | MatchOp::NotRe(_), _) => {
                self.samples(&matcher.value).iter().any(|sample| matcher.is_match(sample))
            }
        }
    }

    /// Whether `text` is one of them.
    fn has(&self, text: &str) -> bool {
        match self {
            Self::Word(word) => word == text,
            Self::Pods { deployment, hash: None } => {
                let rest = text.strip_prefix(deployment.as_str()).and_then(|rest| rest.strip_prefix('-'));
                rest.is_some_and(|rest| {
                    rest.split('-').count() == 2 && rest.split('-').all(|part| !part.is_empty())
                })
            }
            Self::Pods { .. } => {
                let rest = self.pod_prefix().and_then(|prefix| text.strip_prefix(prefix.as_str()));
                rest.is_some_and(|rest| !rest.is_empty() && !rest.contains('-'))
            }
            Self::Host { service, namespace } => {
                let host = text.split(':').next().unwrap_or_default();
                let mut labels = host.split('.');
                let is_namespace = |label| namespace.as_ref().is_none_or(|namespace| namespace == label);
                labels.next() == Some(service)
                    && labels.next().is_none_or(is_namespace)
                    && labels.next().is_none_or(|label| label == "svc")
            }
            Self::Upstream { service, namespace } => {
                let port = text.rsplit_once('-').map(|(upstream, _)| upstream);
                port.is_some_and(|upstream| match namespace {
                    Some(namespace) => upstream == format!("{namespace}-{service}"),
                    None => upstream.ends_with(&format!("-{service}")),
                })
            }
        }
    }

    /// Some of them, for regular expressions. `pattern` is the expression: a cluster's domain and a port are taken from it.
    fn samples(&self, pattern: &str) -> Vec<String> {
        match self {
            Self::Word(word) => vec![word.clone()],
            Self::Pods { deployment, .. } => {
                let prefix = self.pod_prefix().unwrap_or_else(|| pod_prefix(deployment, SOME_HASH));
                ["x7k2p", "4bz9d"].map(|suffix| format!("{prefix}{suffix}")).into()
            }
            Self::Host { service, namespace } => hosts(service, namespace.as_deref(), pattern),
            Self::Upstream { service, namespace } => {
                let namespace = namespace.as_deref().unwrap_or("default");
                ["80", "http"].map(|port| format!("{namespace}-{service}-{port}")).into()
            }
        }
    }

    /// What all names of the pods begin with, once the hash is known.
    pub(crate) fn pod_prefix(&self) -> Option<String> {
        match self {
            Self::Pods { deployment, hash } => Some(pod_prefix(deployment, hash.as_ref()?)),
            _ => None,
        }
    }
}

/// As the API server cuts `metadata.generateName`.
fn pod_prefix(deployment: &str, hash: &str) -> String {
    format!("{deployment}-{hash}-").chars().take(MAX_POD_PREFIX).collect()
}

fn hosts(service: &str, namespace: Option<&str>, pattern: &str) -> Vec<String> {
    let literal = pattern.replace(['\\', '[', ']'], "");
    let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
    let domain = literal.split_once(".svc.").and_then(|(_, rest)| rest.split(|c| !is_word(c)).next());
    let port = literal.rsplit_once(':').map_or("80", |(_, port)| port);
    let namespace = namespace.unwrap_or("default");
    let short = [service.to_owned(), format!("{service}.{namespace}"), format!("{service}.{namespace}.svc")];
    let long = [Some("cluster.local"), domain].into_iter().flatten();
    let long = long.map(|domain| format!("{service}.{namespace}.svc.{domain}"));
    let hosts = short.into_iter().chain(long);
    hosts.flat_map(|host| [format!("{host}:{port}"), host]).collect()
}

/// One side of a pair, as far as Prometheus sees it.
#[derive(Debug, Clone)]
pub struct Side<'a> {
    /// Name of the Deployment.
    pub deployment: &'a str,
    /// Labels of its pods.
    pub labels: Labels,
    /// Their `pod-template-hash`, once it is known.
    pub hash: Option<&'a str>,
}

/// The marks of a pair. `services` are the names by which the sides are reached, stable's first; a Service that
/// selects both sides stands for both.
#[must_use]
pub fn marks(
    stable: &Side<'_>,
    canary: &Side<'_>,
    services: &[(String, String)],
    namespace: Option<&str>,
) -> Vec<Mark> {
    let mut marks = Vec::new();
    of_pod_labels(stable, canary, &mut marks);
    for (stable, canary) in services {
        of_service(stable, canary, namespace, &mut marks);
    }
    of_objects(stable, canary, &mut marks);
    of_workload(stable, canary, &mut marks);
    marks
}

fn words(labels: &[&str], stable: &str, canary: &str, is_open: bool) -> impl Iterator<Item = Mark> {
    let word = |text: &str| Value::Word(text.to_owned());
    let mark = move |label: &&str| Mark {
        label: (*label).to_owned(),
        stable: word(stable),
        canary: word(canary),
        is_open,
    };
    labels.iter().map(mark)
}

/// A pod label, or nothing where it is missing: to Prometheus both are the same.
fn label<'a>(side: &'a Side<'_>, key: &str) -> &'a str {
    side.labels.get(key).map_or("", String::as_str)
}

fn of_pod_labels(stable: &Side<'_>, canary: &Side<'_>, marks: &mut Vec<Mark>) {
    let keys: BTreeSet<&String> = stable.labels.keys().chain(canary.labels.keys()).collect();
    for key in keys {
        let (on_stable, on_canary) = (label(stable, key), label(canary, key));
        if on_stable != on_canary {
            // Service discovery copies pod labels as they are; kube-state-metrics puts `label_` before them.
            let name = sanitised(key);
            let names = [name.as_str(), &format!("label_{name}")];
            // What only the canary's pods carry may mean anything elsewhere.
            marks.extend(words(&names, on_stable, on_canary, on_stable.is_empty() || on_canary.is_empty()));
        }
    }
}

/// A label name as Prometheus writes it.
fn sanitised(label: &str) -> String {
    label.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

fn of_service(stable: &str, canary: &str, namespace: Option<&str>, marks: &mut Vec<Mark>) {
    let names = ["service", "kubernetes_name", "dst_service", "destination_service_name"];
    marks.extend(words(&names, stable, canary, false));
    // Prometheus Operator's name for a scrape configuration is the Service's; others choose their own.
    marks.extend(words(&["job"], stable, canary, true));
    let host =
        |service: &str| Value::Host { service: service.to_owned(), namespace: namespace.map(str::to_owned) };
    let mut mark = |label: &str, stable, canary, is_open| {
        marks.push(Mark { label: label.to_owned(), stable, canary, is_open });
    };
    mark("destination_service", host(stable), host(canary), false);
    // Linkerd splits requests for the Service that was asked: on both sides that name is kept.
    mark("authority", host(stable), host(stable), true);
    mark("authority", host(stable), host(canary), true);
    let own = Value::Upstream { service: canary.to_owned(), namespace: namespace.map(str::to_owned) };
    let none = Value::Word(String::new());
    // Where one Service reaches both sides, no router splits.
    let upstream = if stable == canary { none.clone() } else { own };
    for series in routers::series() {
        mark(series.side, none.clone(), upstream.clone(), false);
    }
}

fn of_objects(stable: &Side<'_>, canary: &Side<'_>, marks: &mut Vec<Mark>) {
    let pods = |side: &Side<'_>| Value::Pods {
        deployment: side.deployment.to_owned(),
        hash: side.hash.map(str::to_owned),
    };
    let of_pods = |label: &&str| Mark {
        label: (*label).to_owned(),
        stable: pods(stable),
        canary: pods(canary),
        is_open: false,
    };
    marks.extend(["pod", "exported_pod", "dst_pod", "pod_name", "kubernetes_pod_name"].iter().map(of_pods));
    let names = ["deployment", "dst_deployment", "destination_workload"];
    marks.extend(words(&names, stable.deployment, canary.deployment, false));
    let Some((stable_hash, canary_hash)) = stable.hash.zip(canary.hash) else { return };
    let replica_set = |side: &Side<'_>, hash: &str| format!("{}-{hash}", side.deployment);
    let sets = [replica_set(stable, stable_hash), replica_set(canary, canary_hash)];
    marks.extend(words(&["replicaset", "dst_replicaset"], &sets[0], &sets[1], false));
    // Argo's name for the same label is read as Kubernetes' own.
    let names = [
        "pod_template_hash",
        "rollouts_pod_template_hash",
        "label_pod_template_hash",
        "dst_pod_template_hash",
    ];
    marks.extend(words(&names, stable_hash, canary_hash, false));
}

/// Istio's names for a workload, which it takes from labels of the pods.
fn of_workload(stable: &Side<'_>, canary: &Side<'_>, marks: &mut Vec<Mark>) {
    if stable.labels.contains_key("app") {
        marks.extend(words(&["destination_app"], label(stable, "app"), label(canary, "app"), false));
    }
    let keys = ["service.istio.io/canonical-name", "app.kubernetes.io/name", "app"];
    let known = keys.iter().find(|key| stable.labels.contains_key(**key));
    let name = |side: &Side<'_>| known.map_or(side.deployment, |key| label(side, key)).to_owned();
    marks.extend(words(&["destination_canonical_service"], &name(stable), &name(canary), false));
}
