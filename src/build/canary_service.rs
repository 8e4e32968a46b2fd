//! The canary's Services: per user Service the same ports, selecting canary pods only.

use super::manifest::{Kind, Manifest, Meta, Owner};
use crate::domain::{names::suffixed, rewrite::LabelRewrite, selector::Labels, strategy::CanaryStrategy};
use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};

/// Kubernetes' limit for names of Services.
const NAME_MAX: usize = 63;
/// Annotations that are copied: those by which Prometheus finds what to scrape. Any other could make
/// a cloud or DNS controller act for a Service that lives for an hour.
const COPIED_ANNOTATIONS: &str = "prometheus.io/";
/// Labels that are not copied: by them deployment tools claim, and prune, what they installed.
const TRACKING_LABELS: [&str; 6] = [
    "app.kubernetes.io/instance",
    "app.kubernetes.io/managed-by",
    "argocd.argoproj.io/",
    "helm.sh/",
    "helm.toolkit.fluxcd.io/",
    "kustomize.toolkit.fluxcd.io/",
];

/// Name of the Service that reaches the canary of `service`.
#[must_use]
pub fn canary_service_name(service: &str, strategy: &CanaryStrategy) -> String {
    match (&strategy.stable_service, &strategy.canary_service) {
        (Some(stable), Some(canary)) if stable == service => canary.clone(),
        _ => suffixed(service, "-canary", NAME_MAX),
    }
}

/// The canary's counterpart of a user's Service, under the given name.
#[must_use]
pub fn canary_service(user: &Service, owner: &Owner, rewrite: &LabelRewrite, name: &str) -> Manifest {
    let spec = user.spec.clone().unwrap_or_default();
    let headless = spec.cluster_ip.as_deref() == Some("None");
    let clone = ServiceSpec {
        type_: Some("ClusterIP".to_owned()),
        cluster_ip: headless.then(|| "None".to_owned()),
        selector: Some(rewrite.apply(spec.selector.as_ref().unwrap_or(&Labels::new()))),
        ports: spec.ports.map(|ports| ports.into_iter().map(without_node_port).collect()),
        publish_not_ready_addresses: spec.publish_not_ready_addresses,
        ip_families: spec.ip_families,
        ip_family_policy: spec.ip_family_policy,
        ..ServiceSpec::default()
    };
    let tracked = |key: &str| TRACKING_LABELS.iter().any(|prefix| key.starts_with(prefix));
    let meta = Meta {
        labels: copied(user.metadata.labels.as_ref(), |key| !tracked(key)),
        annotations: copied(user.metadata.annotations.as_ref(), |key| key.starts_with(COPIED_ANNOTATIONS)),
    };
    Manifest::new(Kind::Service, name, owner, &rewrite.owner_label(), meta, Manifest::spec(clone))
}

fn without_node_port(port: ServicePort) -> ServicePort {
    ServicePort { node_port: None, ..port }
}

fn copied(from: Option<&Labels>, wanted: impl Fn(&str) -> bool) -> Labels {
    from.into_iter().flatten().filter(|(key, _)| wanted(key)).map(|(k, v)| (k.clone(), v.clone())).collect()
}
