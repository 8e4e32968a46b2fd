//! Whose labels a series carries. An application's series have the labels of its own pod and Service; the series of a
//! proxy, of kube-state-metrics or of the kubelet describe several objects, and only some labels describe the pair.

use super::Selector;
use crate::routers::{self, Series};
use promql_parser::label::{MatchOp, Matcher};

/// The exporter of the series of a selector, as far as its name and matchers show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exporter {
    /// The pods themselves, or a proxy next to them that counts what they receive.
    Pod,
    /// A proxy next to a client: only the labels of the destination describe the pair.
    Client,
    /// A router of ours: it names stable for both sides, and has a label for the canary.
    Router(&'static Series),
    /// kube-state-metrics: labels of objects.
    Objects,
    /// The kubelet: labels of containers.
    Containers,
    /// Another proxy or prober, with names of its own for what it reaches.
    Gateway,
}

/// Beginnings of metric names, and who exports them.
const PREFIXES: &[(&str, Exporter)] = &[
    ("kube_", Exporter::Objects),
    ("container_", Exporter::Containers),
    ("outbound_", Exporter::Client),
    ("traefik_", Exporter::Gateway),
    ("envoy_", Exporter::Gateway),
    ("haproxy_", Exporter::Gateway),
    ("contour_", Exporter::Gateway),
    ("kong_", Exporter::Gateway),
    ("probe_", Exporter::Gateway),
];

/// Metrics of Istio; who exports them is said by the label `reporter`.
const ISTIO: &str = "istio_";

/// Labels by which kube-state-metrics and the kubelet name objects of the pair.
const OBJECT_LABELS: &[&str] = &["pod", "exported_pod", "pod_name", "deployment", "replicaset"];

impl Exporter {
    pub fn of(selector: &Selector) -> Self {
        let says = |label: &str, value: &str| {
            let mut matchers = selector.matchers.iter().filter(|matcher| matcher.name == label);
            matchers.any(|matcher| is_positive(matcher) && matcher.is_match(value))
        };
        if let Some(router) = routers::series().find(|series| selector.metric.starts_with(series.prefix)) {
            return Self::Router(router);
        }
        let known = PREFIXES.iter().find(|(prefix, _)| selector.metric.starts_with(prefix));
        match known {
            Some((_, exporter)) => *exporter,
            None if selector.metric.starts_with(ISTIO) && !says("reporter", "destination") => Self::Client,
            None if says("direction", "outbound") => Self::Client,
            None => Self::Pod,
        }
    }

    /// Whether this label describes the pair, and not who has measured it.
    pub fn describes(self, label: &str) -> bool {
        match self {
            Self::Pod => !routers::series().any(|series| series.side == label),
            Self::Client => is_of_destination(label),
            Self::Router(series) => label == series.side,
            Self::Objects => OBJECT_LABELS.contains(&label) || label.starts_with("label_"),
            Self::Containers => OBJECT_LABELS.contains(&label),
            Self::Gateway => false,
        }
    }

    /// The label that should name the namespace of the pair.
    pub fn namespace_label(self, metric: &str) -> &'static str {
        match self {
            Self::Client if metric.starts_with(ISTIO) => "destination_workload_namespace",
            Self::Client => "dst_namespace",
            Self::Router(series) => series.namespace,
            Self::Pod | Self::Objects | Self::Containers | Self::Gateway => "namespace",
        }
    }
}

/// Istio's and Linkerd's labels of who was asked.
pub(super) fn is_of_destination(label: &str) -> bool {
    label.starts_with("dst_") || label.starts_with("destination_") || label == "authority"
}

/// Whether a matcher says what a value is, and not what it is not.
pub(super) fn is_positive(matcher: &Matcher) -> bool {
    matches!(matcher.op, MatchOp::Equal | MatchOp::Re(_))
}
