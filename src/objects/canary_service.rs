//! The canary's Services: per user Service the same ports, selecting canary pods only.

use super::{
    copied_labels::copied_labels,
    labels::service_selector,
    manifest::{Kind, Manifest, Meta, Owner},
    marks::{SERVICE_ANNOTATION, marks},
};
use crate::domain::{
    k8s::{
        label_rewrite::LabelRewrite,
        selector::{Labels, map_selects},
    },
    names::suffixed,
    strategy::CanaryStrategy,
};
use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use std::collections::BTreeMap;

/// Kubernetes' limit for names of Services.
const NAME_MAX: usize = 63;
/// Annotations that are copied, by prefix: what scrapers and meshes read, so that the canary is seen and treated as
/// stable is. By any other a cloud, DNS, certificate or GitOps controller could act for a Service that lives for an
/// hour. Sources: `docs/decisions/0020-labels-of-the-canary-service.md`.
const COPIED_ANNOTATIONS: [&str; 9] = [
    "ad.datadoghq.com/",
    "balancer.linkerd.io/",
    "config.linkerd.io/",
    "k8s.grafana.com/",
    "metrics.dynatrace.com/",
    "networking.istio.io/",
    "prometheus.io/",
    "retry.linkerd.io/",
    "timeout.linkerd.io/",
];

/// Name of the Service that reaches the canary of `service`.
#[must_use]
pub fn canary_service_name(service: &str, strategy: &CanaryStrategy) -> String {
    match (&strategy.stable_service, &strategy.canary_service) {
        (Some(stable), Some(canary)) if stable == service => canary.clone(),
        _ => suffixed(service, "-canary", NAME_MAX),
    }
}

/// The canary's Service for each of these of the user's.
pub fn both_services<'a>(
    users: impl IntoIterator<Item = &'a Service>,
    strategy: &CanaryStrategy,
) -> BTreeMap<String, String> {
    let names = users.into_iter().filter_map(|service| service.metadata.name.clone());
    names.map(|name| (name.clone(), canary_service_name(&name, strategy))).collect()
}

/// Names of the Services that Haldane makes for the user's `service`: the canary's, and the preview's under its own
/// name, because a router may let a Service of a canary be in no other route, and people may want a host for the
/// preview. Where pods are the split the user's Service reaches the canary: it gets another only by name.
#[must_use]
pub fn our_services(service: &str, strategy: &CanaryStrategy, by_pods: bool) -> Vec<String> {
    let is_made = !by_pods || strategy.canary_service.is_some();
    let canary = is_made.then(|| canary_service_name(service, strategy));
    canary.into_iter().chain(strategy.preview_service.clone()).collect()
}

/// Whether a user's Service is split: the one that the plan names, else each that selects these pods.
#[must_use]
pub fn is_split(service: &Service, strategy: &CanaryStrategy, pods: &Labels) -> bool {
    match &strategy.stable_service {
        Some(name) => service.metadata.name.as_ref() == Some(name),
        None => service_selector(service).is_some_and(|selector| map_selects(selector, pods)),
    }
}

/// Why the Service of which `canaryService` is the canary is not known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoStableService {
    /// There is none.
    #[error(
        "no Service selects the pods of this Deployment, so the canary cannot have one; create one, or set stableService"
    )]
    Missing,
    /// These could be meant.
    #[error(
        "the Services {0} select the pods of this Deployment; set stableService to the one that is meant"
    )]
    Ambiguous(String),
}

/// Sets the `stableService` of a plan that only has `canaryService`: the one Service of the user that selects these
/// pods.
///
/// # Errors
/// When it is not one.
pub fn find_stable_service<'a>(
    strategy: &mut CanaryStrategy,
    users: impl IntoIterator<Item = &'a Service>,
    pods: &Labels,
) -> Result<(), NoStableService> {
    let (Some(canary), None) = (&strategy.canary_service, &strategy.stable_service) else { return Ok(()) };
    // One with the canary's name is in the place of Haldane's, which is reported elsewhere.
    let split = users.into_iter().filter(|service| is_split(service, strategy, pods));
    let mut names: Vec<&String> =
        split.filter_map(|service| service.metadata.name.as_ref()).filter(|name| *name != canary).collect();
    names.sort();
    match names[..] {
        [] => Err(NoStableService::Missing),
        [name] => {
            strategy.stable_service = Some(name.clone());
            Ok(())
        }
        _ => {
            let names: Vec<String> = names.iter().map(|name| format!("{name:?}")).collect();
            Err(NoStableService::Ambiguous(names.join(" and ")))
        }
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
    let counterpart = (SERVICE_ANNOTATION.to_owned(), user.metadata.name.clone().unwrap_or_default());
    let is_copied = |key: &str| COPIED_ANNOTATIONS.iter().any(|prefix| key.starts_with(prefix));
    let meta = Meta {
        labels: canary_labels(user, rewrite),
        annotations: copied(user.metadata.annotations.as_ref(), is_copied).chain([counterpart]).collect(),
    };
    Manifest::new(Kind::SERVICE, name, owner, &rewrite.owner_label(), meta, Manifest::spec(clone))
}

/// The labels of the canary's counterpart of a user's Service.
#[must_use]
pub fn canary_labels(user: &Service, rewrite: &LabelRewrite) -> Labels {
    let mut labels = copied_labels(user.metadata.labels.as_ref());
    labels.extend(marks(&rewrite.owner_label()));
    labels
}

fn without_node_port(port: ServicePort) -> ServicePort {
    ServicePort { node_port: None, ..port }
}

fn copied(from: Option<&Labels>, wanted: impl Fn(&str) -> bool) -> impl Iterator<Item = (String, String)> {
    let all = from.into_iter().flatten();
    all.filter(move |(key, _)| wanted(key)).map(|(key, value)| (key.clone(), value.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{prelude::*, sample::subsequence};
    use serde_json::{Value, json};

    fn service(name: &str, metadata: &Value, spec: &Value) -> Service {
        let mut service = json!({"metadata": metadata, "spec": spec});
        service["metadata"]["name"] = json!(name);
        serde_json::from_value(service).unwrap()
    }

    fn selecting(name: &str, app: &str) -> Service {
        service(name, &json!({}), &json!({"selector": {"app": app}}))
    }

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn rewrite(keys: &[&str]) -> LabelRewrite {
        let keys = keys.iter().map(|key| (*key).to_owned()).collect();
        LabelRewrite { of: "web".into(), keys }
    }

    fn strategy(stable: Option<&str>, canary: Option<&str>) -> CanaryStrategy {
        let plan = json!({
            "steps": [], "progressDeadlineAbort": true, "settle": "6s",
        });
        CanaryStrategy {
            stable_service: stable.map(str::to_owned),
            canary_service: canary.map(str::to_owned),
            ..serde_json::from_value(plan).unwrap()
        }
    }

    fn canary_of(user: &Service, rewrite: &LabelRewrite) -> Value {
        let owner = Owner { name: "web".into(), namespace: "shop".into(), uid: "u".into() };
        canary_service(user, &owner, rewrite, "web-canary").body
    }

    /// The labels of a Service of a chart that Argo CD, Flux and others have installed.
    const OF_A_CHART: &[(&str, &str)] = &[
        ("app.kubernetes.io/instance", "shop"),
        ("app.kubernetes.io/managed-by", "Helm"),
        ("app.kubernetes.io/name", "web"),
        ("applyset.kubernetes.io/part-of", "applyset-x-v1"),
        ("argocd.argoproj.io/instance", "shop"),
        ("helm.sh/chart", "web-1.2.3"),
        ("helm.toolkit.fluxcd.io/name", "shop"),
        ("kustomize.toolkit.fluxcd.io/name", "shop"),
        ("mirror.linkerd.io/exported", "true"),
        ("objectset.rio.cattle.io/hash", "abc"),
        ("service.kubernetes.io/service-proxy-name", "other"),
    ];

    #[test]
    fn labels_by_which_tools_delete_or_publish_are_left_out_and_all_others_are_carried() {
        let user = service("web", &json!({"labels": labels(OF_A_CHART)}), &json!({}));
        let carried = [
            ("app.kubernetes.io/instance", "shop"),
            ("app.kubernetes.io/managed-by", "haldane"),
            ("app.kubernetes.io/name", "web"),
            ("argocd.argoproj.io/instance", "shop"),
            ("haldane.dev/canary-of", "web"),
            ("helm.sh/chart", "web-1.2.3"),
            ("helm.toolkit.fluxcd.io/name", "shop"),
            ("service.kubernetes.io/service-proxy-name", "other"),
        ];
        assert_eq!(canary_of(&user, &rewrite(&["app"]))["metadata"]["labels"], json!(labels(&carried)));
    }

    #[test]
    fn annotations_by_which_controllers_act_are_left_out_and_annotations_of_scrapers_and_meshes_kept() {
        let left = [
            "argocd.argoproj.io/tracking-id",
            "cloud.google.com/neg",
            "external-dns.alpha.kubernetes.io/hostname",
            "kubectl.kubernetes.io/last-applied-configuration",
            "meta.helm.sh/release-name",
            "service.beta.kubernetes.io/aws-load-balancer-type",
            "service.beta.openshift.io/serving-cert-secret-name",
            "service.cilium.io/global",
            "tailscale.com/expose",
        ];
        let carried =
            ["config.linkerd.io/opaque-ports", "networking.istio.io/exportTo", "prometheus.io/scrape"];
        let annotations: Labels =
            left.iter().chain(&carried).map(|key| ((*key).to_owned(), "x".to_owned())).collect();
        let user = service("web", &json!({"annotations": annotations}), &json!({}));
        let mut found = canary_of(&user, &rewrite(&["app"]))["metadata"]["annotations"].take();
        found.as_object_mut().unwrap().remove("haldane.dev/applied");
        assert_eq!(found.as_object_mut().unwrap().remove("haldane.dev/service"), Some(json!("web")));
        assert_eq!(found, json!(labels(&carried.map(|key| (key, "x")))));
    }

    #[test]
    fn where_pods_are_the_split_a_canary_has_a_service_only_by_name() {
        let names = |by_pods, canary| our_services("web", &strategy(Some("web"), canary), by_pods);
        assert_eq!(names(false, None), ["web-canary"]);
        assert_eq!(names(false, Some("next")), ["next"]);
        assert_eq!(names(true, None), Vec::<String>::new());
        assert_eq!(names(true, Some("next")), ["next"]);
    }

    /// The result of a plan with `canaryService: next`.
    fn found(services: &[Service]) -> Result<Option<String>, String> {
        let mut plan = strategy(None, Some("next"));
        let pods = labels(&[("app", "web")]);
        find_stable_service(&mut plan, services, &pods).map_err(|error| error.to_string())?;
        Ok(plan.stable_service)
    }

    #[test]
    fn the_stable_service_is_the_one_that_selects_the_pods() {
        let (front, back, other) =
            (selecting("front", "web"), selecting("back", "web"), selecting("other", "other"));
        let place = selecting("next", "web");
        insta::assert_snapshot!(found(&[other.clone(), place.clone()]).unwrap_err(), @"no Service selects the pods of this Deployment, so the canary cannot have one; create one, or set stableService");
        insta::assert_snapshot!(found(&[front.clone(), other.clone(), back]).unwrap_err(), @r#"the Services "back" and "front" select the pods of this Deployment; set stableService to the one that is meant"#);
        assert_eq!(found(&[other, front, place]), Ok(Some("front".into())));
    }

    #[test]
    fn a_plan_that_names_its_stable_service_or_no_canary_service_is_left_alone() {
        for (stable, canary) in [(Some("web"), Some("next")), (Some("web"), None), (None, None)] {
            let mut plan = strategy(stable, canary);
            let before = plan.clone();
            assert_eq!(find_stable_service(&mut plan, &[], &Labels::new()), Ok(()));
            assert_eq!(plan, before);
        }
    }

    proptest! {
        /// A `ServiceMonitor` of the user that finds stable by such labels finds the canary.
        #[test]
        fn a_monitor_finds_the_canary_by_whatever_is_carried(
            keys in proptest::collection::btree_set("[a-z]{1,4}(\\.example)?/[a-z]{1,3}", 1..6),
            picked in subsequence(vec![0, 1, 2, 3, 4, 5], 1..6),
        ) {
            let all: Labels = keys.iter().map(|key| (key.clone(), "x".to_owned())).collect();
            let user = service("web", &json!({"labels": all}), &json!({}));
            let keys: Vec<_> = keys.into_iter().collect();
            let selector: Labels =
                picked.iter().map(|at| (keys[at % keys.len()].clone(), "x".to_owned())).collect();
            prop_assert!(map_selects(&selector, &canary_labels(&user, &rewrite(&["app"]))));
        }

        /// Also where no label is changed, and pods of both sides are behind the user's Service.
        #[test]
        fn the_canarys_service_reaches_canary_pods_only(
            pods in proptest::collection::btree_map("[a-d]", "[xy]", 1..4),
            selected in subsequence(vec![0, 1, 2, 3], 1..4),
            rewritten in subsequence(vec!["a", "b", "c", "d"], 0..4),
        ) {
            let all: Vec<_> = pods.iter().collect();
            let selector: Labels =
                selected.iter().map(|at| all[at % all.len()]).map(|(k, v)| (k.clone(), v.clone())).collect();
            let rewrite = LabelRewrite {
                of: "web".into(),
                keys: rewritten.into_iter().map(str::to_owned).collect(),
            };
            let user = service("web", &json!({}), &json!({"selector": selector}));
            let body = canary_of(&user, &rewrite);
            let selector: Labels = serde_json::from_value(body["spec"]["selector"].clone()).unwrap();
            prop_assert!(map_selects(&selector, &rewrite.apply(&pods)));
            prop_assert!(!map_selects(&selector, &pods));
        }
    }
}
