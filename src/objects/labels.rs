//! Choice of the labels to rewrite, so that canary pods match neither the stable Deployment's
//! selector nor any Service of the user.

use super::canary_policy::peers;
use crate::domain::{
    k8s::{
        label_rewrite::LabelRewrite,
        selector::{Labels, keys, map_selects, selects},
    },
    world::Workload,
};
use k8s_openapi::api::{core::v1::Service, networking::v1::NetworkPolicy};
use std::collections::BTreeSet;

/// More candidate keys than this are not searched exhaustively: 2¹² sets take well under a millisecond.
const MAX_CANDIDATES: usize = 12;

/// No set of labels makes the canary's pods invisible to this selector.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no change of label values makes canary pods invisible to the selector of {0}")]
pub struct CannotSeparate(pub String);

/// The smallest set of label keys whose rewriting hides canary pods from the workload's selector and from every
/// Service; of several, the one that the fewest network policies look at.
///
/// # Errors
/// When some selector matches whatever the values are, e.g. one made of `Exists` alone.
pub fn choose(
    workload: &Workload,
    services: &[&Service],
    policies: &[NetworkPolicy],
) -> Result<LabelRewrite, CannotSeparate> {
    let candidates = candidates(workload, services);
    let used_by_policies = policy_keys(policies);
    let mut best: Option<(usize, usize, LabelRewrite)> = None;
    for set in subsets(&candidates) {
        let burden = set.intersection(&used_by_policies).count();
        let rewrite = LabelRewrite { of: workload.name.clone(), keys: set };
        let size = rewrite.keys.len();
        if best.as_ref().is_some_and(|(s, b, _)| (*s, *b) <= (size, burden)) {
            continue;
        }
        if first_match(&rewrite, workload, services).is_none() {
            best = Some((size, burden, rewrite));
        }
    }
    best.map(|(_, _, rewrite)| rewrite).ok_or_else(|| {
        let all = LabelRewrite { of: workload.name.clone(), keys: candidates.into_iter().collect() };
        let culprit = first_match(&all, workload, services);
        CannotSeparate(culprit.unwrap_or_else(|| format!("Deployment {:?}", workload.name)))
    })
}

/// The first selector that would still pick a canary pod.
fn first_match(rewrite: &LabelRewrite, workload: &Workload, services: &[&Service]) -> Option<String> {
    let canary = rewrite.apply(&workload.pods.labels);
    if selects(&workload.selector, &canary) {
        return Some(format!("Deployment {:?}", workload.name));
    }
    let picks = |service: &&&Service| service_selector(service).is_some_and(|s| map_selects(s, &canary));
    services.iter().find(picks).map(|s| format!("Service {:?}", service_name(s)))
}

/// A Service's name.
#[must_use]
pub fn service_name(service: &Service) -> &str {
    service.metadata.name.as_deref().unwrap_or_default()
}

/// A Service's selector, if it has one.
#[must_use]
pub fn service_selector(service: &Service) -> Option<&Labels> {
    service.spec.as_ref()?.selector.as_ref()
}

/// Keys that some selector asks about and that the pods carry.
fn candidates(workload: &Workload, services: &[&Service]) -> Vec<String> {
    let pod_labels = &workload.pods.labels;
    let mut all = keys(&workload.selector);
    let picking = services
        .iter()
        .filter_map(|service| service_selector(service))
        .filter(|s| map_selects(s, pod_labels));
    all.extend(picking.flat_map(|s| s.keys().cloned()));
    all.retain(|key| pod_labels.contains_key(key));
    all.into_iter().take(MAX_CANDIDATES).collect()
}

fn subsets(candidates: &[String]) -> impl Iterator<Item = BTreeSet<String>> + '_ {
    (0_u32..1 << candidates.len()).map(move |bits| {
        let chosen = candidates.iter().enumerate().filter(move |(i, _)| bits & (1 << i) != 0);
        chosen.map(|(_, key)| key.clone()).collect()
    })
}

/// Keys that network policies look at, on their pods or on their peers.
fn policy_keys(policies: &[NetworkPolicy]) -> BTreeSet<String> {
    let specs = policies.iter().filter_map(|policy| policy.spec.as_ref());
    specs
        .flat_map(|spec| {
            let peers = peers(spec).filter_map(|peer| peer.pod_selector.as_ref());
            peers.chain(spec.pod_selector.as_ref()).flat_map(keys).collect::<Vec<_>>()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::world::Pods;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn parse<T: serde::de::DeserializeOwned>(value: Value) -> T {
        serde_json::from_value(value).unwrap()
    }

    fn service(name: &str, selector: &Value) -> Service {
        parse(json!({"metadata": {"name": name}, "spec": {"selector": selector}}))
    }

    fn web(selector: Value, pods: Value) -> Workload {
        let pods = Pods { labels: parse(pods), ..Pods::default() };
        Workload { name: "web".into(), selector: parse(selector), pods, running: None }
    }

    fn chosen(selector: Value, pods: Value, services: &[Service]) -> Result<Vec<String>, CannotSeparate> {
        let services: Vec<&Service> = services.iter().collect();
        choose(&web(selector, pods), &services, &[]).map(|r| r.keys.into_iter().collect())
    }

    #[test]
    fn one_shared_key_is_enough() {
        let services = [service("web", &json!({"app": "web"}))];
        let pods = json!({"app": "web", "tier": "front"});
        assert_eq!(
            chosen(json!({"matchLabels": {"app": "web", "tier": "front"}}), pods, &services),
            Ok(vec!["app".into()])
        );
    }

    #[test]
    fn selectors_without_a_common_key_need_one_each() {
        let services = [service("front", &json!({"tier": "front"}))];
        let pods = json!({"app": "web", "tier": "front"});
        let keys = chosen(json!({"matchLabels": {"app": "web"}}), pods, &services);
        assert_eq!(keys, Ok(vec!["app".into(), "tier".into()]));
    }

    #[test]
    fn a_key_that_no_policy_uses_is_preferred() {
        let policy: NetworkPolicy = parse(json!({"spec": {"podSelector": {"matchLabels": {"app": "web"}}}}));
        let labels = json!({"app": "web", "tier": "front"});
        let rewrite = choose(&web(json!({"matchLabels": labels}), labels), &[], &[policy]).unwrap();
        assert_eq!(rewrite.keys, BTreeSet::from(["tier".to_owned()]));
    }

    #[test]
    fn a_selector_that_sees_every_value_is_named() {
        let exists = json!({"matchExpressions": [{"key": "app", "operator": "Exists"}]});
        let error = chosen(exists, json!({"app": "web"}), &[]).unwrap_err();
        assert_eq!(error, CannotSeparate("Deployment \"web\"".into()));
    }

    proptest! {
        #[test]
        fn a_choice_separates_and_finds_its_own(
            selector in proptest::collection::btree_map("[a-d]", "[xy]", 1..4),
            extra in proptest::collection::btree_map("[e-g]", "[xy]", 0..3),
            picks in proptest::collection::vec(proptest::collection::vec(0_usize..7, 1..4), 0..4),
        ) {
            let pods: Labels = selector.clone().into_iter().chain(extra).collect();
            let all: Vec<_> = pods.iter().collect();
            let services: Vec<Service> = picks.iter().enumerate().map(|(i, keys)| {
                let map: Labels = keys.iter().map(|k| all[k % all.len()]).map(|(k, v)| (k.clone(), v.clone())).collect();
                service(&format!("s{i}"), &json!(map))
            }).collect();
            let workload = web(json!({"matchLabels": selector}), json!(pods));
            let services: Vec<&Service> = services.iter().collect();
            let rewrite = choose(&workload, &services, &[]).unwrap();
            let canary = rewrite.apply(&pods);
            prop_assert!(!selects(&workload.selector, &canary));
            for service in &services {
                let stable = service_selector(service).unwrap();
                prop_assert!(!map_selects(stable, &canary));
                prop_assert!(map_selects(&rewrite.apply(stable), &canary));
                prop_assert!(!map_selects(&rewrite.apply(stable), &pods));
            }
        }
    }
}
