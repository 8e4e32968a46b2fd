//! Network policies for canary pods: under rewritten labels they are under the same rules as stable.
//!
//! Policies only ever add permissions, so a clone never takes anything from another pod.

use super::{
    canary_deployment::canary_name,
    manifest::{Kind, Manifest, Meta, Owner},
};
use crate::domain::{
    k8s::{
        label_rewrite::LabelRewrite,
        selector::{Labels, keys, selects},
    },
    names::suffixed,
};
use k8s_openapi::{
    api::networking::v1::{
        NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPeer,
        NetworkPolicySpec,
    },
    apimachinery::pkg::apis::meta::v1::LabelSelector,
};

/// Kubernetes' limit for names of `NetworkPolicies`.
const NAME_MAX: usize = 253;

/// The label of a namespace with its name, which the API server sets.
pub const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";

/// The names of both sides, for the clones.
struct Pair<'a> {
    namespace: &'a str,
    stable: &'a Labels,
    canary: Labels,
    canary_only: LabelSelector,
}

impl Pair<'_> {
    /// Whether a selector picks stable pods but would miss the canary's.
    fn misses_canary(&self, selector: &LabelSelector) -> bool {
        selects(selector, self.stable) && !selects(selector, &self.canary)
    }

    /// Whether a peer is stable, and would not be the canary.
    ///
    /// Of a namespace only its name is known here: a selector that looks at another of its labels is left alone.
    fn is_stable_only(&self, peer: &NetworkPolicyPeer) -> bool {
        let name = Labels::from([(NAMESPACE_NAME.to_owned(), self.namespace.to_owned())]);
        let is_own = |namespaces: &LabelSelector| is_by_name(namespaces) && selects(namespaces, &name);
        peer.namespace_selector.as_ref().is_none_or(is_own)
            && peer.pod_selector.as_ref().is_some_and(|pods| self.misses_canary(pods))
    }
}

/// One clone per policy that applies to stable, or lets stable through as a peer, but would miss the canary.
#[must_use]
pub fn canary_policies(
    policies: &[NetworkPolicy],
    pod_labels: &Labels,
    owner: &Owner,
    rewrite: &LabelRewrite,
) -> Vec<Manifest> {
    let pair = Pair {
        namespace: &owner.namespace,
        stable: pod_labels,
        canary: rewrite.apply(pod_labels),
        canary_only: rewrite.canary_only(),
    };
    let clone = |policy: &NetworkPolicy| {
        let name = policy.metadata.name.as_deref()?;
        let spec = Manifest::spec(counterpart(policy.spec.as_ref()?, &pair)?);
        let name = suffixed(&canary_name(&owner.name), &format!("-{name}"), NAME_MAX);
        Some(Manifest::new(Kind::NETWORK_POLICY, &name, owner, &rewrite.owner_label(), Meta::default(), spec))
    };
    policies.iter().filter_map(clone).collect()
}

/// Names of the policies with a peer that is stable only if this namespace has the labels that the peer asks for.
#[must_use]
pub fn unclear_policies<'a>(
    policies: &'a [NetworkPolicy],
    pod_labels: &Labels,
    namespace: &str,
    rewrite: &LabelRewrite,
) -> Vec<&'a str> {
    let pair = Pair {
        namespace,
        stable: pod_labels,
        canary: rewrite.apply(pod_labels),
        canary_only: rewrite.canary_only(),
    };
    let is_unclear = |peer: &NetworkPolicyPeer| {
        let asks = peer.namespace_selector.as_ref().is_some_and(|namespaces| !is_by_name(namespaces));
        asks && peer.pod_selector.as_ref().is_some_and(|pods| pair.misses_canary(pods))
    };
    let has = |policy: &&NetworkPolicy| policy.spec.as_ref().is_some_and(|spec| peers(spec).any(&is_unclear));
    policies.iter().filter(has).filter_map(|policy| policy.metadata.name.as_deref()).collect()
}

/// Every peer of a policy.
pub(super) fn peers(spec: &NetworkPolicySpec) -> impl Iterator<Item = &NetworkPolicyPeer> {
    let ingress = spec.ingress.iter().flatten().flat_map(|rule| rule.from.iter().flatten());
    let egress = spec.egress.iter().flatten().flat_map(|rule| rule.to.iter().flatten());
    ingress.chain(egress)
}

/// Whether a selector looks at nothing of a namespace but its name.
fn is_by_name(namespaces: &LabelSelector) -> bool {
    keys(namespaces).iter().all(|key| key == NAMESPACE_NAME)
}

/// The policy with the canary in stable's place; `None` where the canary is covered already.
fn counterpart(spec: &NetworkPolicySpec, pair: &Pair<'_>) -> Option<NetworkPolicySpec> {
    let everyone = LabelSelector::default();
    let guards_stable = pair.misses_canary(spec.pod_selector.as_ref().unwrap_or(&everyone));
    let mut clone = spec.clone();
    let (mut ingress, mut egress) = (clone.ingress.take(), clone.egress.take());
    let touched_in =
        ingress.iter_mut().flatten().filter_map(|rule| add_peers(rule.from.as_mut()?, pair)).count();
    let touched_out =
        egress.iter_mut().flatten().filter_map(|rule| add_peers(rule.to.as_mut()?, pair)).count();
    if guards_stable {
        clone.pod_selector = Some(pair.canary_only.clone());
    } else if touched_in + touched_out == 0 {
        return None;
    } else {
        // Only the additions: the original still carries the rest.
        let names_canary = |peers: Option<&Vec<NetworkPolicyPeer>>| {
            peers.into_iter().flatten().any(|peer| peer.pod_selector.as_ref() == Some(&pair.canary_only))
        };
        if let Some(rules) = &mut ingress {
            rules.retain(|rule: &NetworkPolicyIngressRule| names_canary(rule.from.as_ref()));
        }
        if let Some(rules) = &mut egress {
            rules.retain(|rule: &NetworkPolicyEgressRule| names_canary(rule.to.as_ref()));
        }
    }
    clone.ingress = ingress;
    clone.egress = egress;
    Some(clone)
}

/// Adds the canary, which is in the policy's namespace, next to the peers that are stable; `None` when there were none.
fn add_peers(peers: &mut Vec<NetworkPolicyPeer>, pair: &Pair<'_>) -> Option<()> {
    if !peers.iter().any(|peer| pair.is_stable_only(peer)) {
        return None;
    }
    peers.push(NetworkPolicyPeer {
        pod_selector: Some(pair.canary_only.clone()),
        ..NetworkPolicyPeer::default()
    });
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use std::collections::BTreeSet;

    fn clones(policy: Value) -> Vec<Value> {
        let policy: NetworkPolicy = serde_json::from_value(policy).unwrap();
        let owner = Owner { name: "web".into(), namespace: "shop".into(), uid: "u".into() };
        let rewrite = LabelRewrite { of: "web".into(), keys: BTreeSet::from(["app".to_owned()]) };
        let labels =
            Labels::from([("app".to_owned(), "web".to_owned()), ("tier".to_owned(), "front".to_owned())]);
        canary_policies(&[policy], &labels, &owner, &rewrite).into_iter().map(|m| m.body).collect()
    }

    const CANARY: [(&str, &str); 2] = [("haldane.dev/canary-of", "web"), ("haldane.dev/role", "canary")];

    fn canary() -> Value {
        json!({"matchLabels": CANARY.into_iter().collect::<std::collections::BTreeMap<_, _>>()})
    }

    #[test]
    fn a_policy_that_guards_stable_guards_the_canary() {
        let rule = json!([{"from": [{"podSelector": {"matchLabels": {"app": "gateway"}}}]}]);
        let made = clones(json!({
            "metadata": {"name": "web"},
            "spec": {"podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Ingress"], "ingress": rule},
        }));
        assert_eq!(made.len(), 1);
        assert_eq!(made[0]["metadata"]["name"], "web-canary-web");
        assert_eq!(
            made[0]["spec"],
            json!({"podSelector": canary(), "policyTypes": ["Ingress"], "ingress": rule})
        );
    }

    #[test]
    fn a_database_that_lets_stable_in_lets_the_canary_in() {
        let made = clones(json!({
            "metadata": {"name": "db"},
            "spec": {
                "podSelector": {"matchLabels": {"app": "db"}},
                "ingress": [
                    {"from": [{"podSelector": {"matchLabels": {"app": "web"}}}], "ports": [{"port": 5432}]},
                    {"from": [{"podSelector": {"matchLabels": {"app": "backup"}}}]},
                ],
            },
        }));
        assert_eq!(made.len(), 1);
        assert_eq!(made[0]["spec"]["podSelector"], json!({"matchLabels": {"app": "db"}}));
        let rules = made[0]["spec"]["ingress"].as_array().unwrap();
        assert_eq!(rules.len(), 1, "only the rule that names stable is repeated");
        assert_eq!(rules[0]["from"][1]["podSelector"], canary());
    }

    #[test]
    fn a_peer_that_names_the_namespace_of_stable_is_stable() {
        let lets_in = |namespaces: Value| {
            let peer =
                json!({"namespaceSelector": namespaces, "podSelector": {"matchLabels": {"app": "web"}}});
            let made = clones(json!({
                "metadata": {"name": "redis"},
                "spec": {"podSelector": {"matchLabels": {"app": "redis"}}, "ingress": [{"from": [peer]}]},
            }));
            made.first().map(|clone| clone["spec"]["ingress"][0]["from"][1].clone())
        };
        let own = Some(json!({"podSelector": canary()}));
        let named = |name: &str| json!({"matchLabels": {"kubernetes.io/metadata.name": name}});
        assert_eq!(lets_in(named("shop")), own);
        assert_eq!(lets_in(json!({})), own, "every namespace");
        assert_eq!(lets_in(named("other")), None);
        assert_eq!(lets_in(json!({"matchLabels": {"team": "shop"}})), None, "labels that are not known here");
        let not_other = json!({"matchExpressions": [
            {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["other"]},
        ]});
        assert_eq!(lets_in(not_other), own);
    }

    #[test]
    fn policies_that_already_cover_both_need_no_clone() {
        for selector in
            [json!({}), json!({"matchLabels": {"tier": "front"}}), json!({"matchLabels": {"app": "db"}})]
        {
            assert!(clones(json!({"metadata": {"name": "p"}, "spec": {"podSelector": selector}})).is_empty());
        }
    }
}
