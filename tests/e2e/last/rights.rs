//! The rights of Haldane's service account against what it did in this run: every one was needed, and none
//! was missing. Runs after all other tests, because only all of them together use everything.
//!
//! Each is granted by one rule alone, and RBAC only ever allows. So without that rule the requests that used
//! it would have been refused: no rule can go.

use crate::harness::{
    audit::{self, Right},
    cluster::{get, kubectl, setting},
    eventually, haldane,
};
use serde_json::Value;
use std::{collections::BTreeSet, time::Duration};

/// Needed only in the course that stands beside it, which no test brings about on purpose.
const RARE: &[(&str, &str, &str)] = &[
    // A Job that a leader had made before it was killed is taken over.
    ("batch", "jobs", "get"),
];

/// Long enough for a leader to notice that its lease is gone, and for a certificate to be stored.
const RECOVERY: Duration = Duration::from_secs(90);

/// Everything that a role grants, which must not be granted `already`.
fn granted(kind: &str, namespace: &str, name: &str, already: &BTreeSet<Right>) -> BTreeSet<Right> {
    let role = get(&format!("rbac.authorization.k8s.io/v1 {kind}"), namespace, name).unwrap_or_default();
    let (mut once, mut twice) = (already.clone(), Vec::new());
    for right in role["rules"].as_array().into_iter().flatten().flat_map(of_rule) {
        if !once.insert(right.clone()) {
            twice.push(right);
        }
    }
    assert_eq!(twice, [], "granted twice, so that one of the rules could go");
    once
}

fn of_rule(rule: &Value) -> Vec<Right> {
    let texts = |field: &str| -> Vec<String> {
        let items = rule[field].as_array().cloned().unwrap_or_default();
        items.iter().filter_map(|item| item.as_str().map(str::to_owned)).collect()
    };
    let mut rights = Vec::new();
    for group in texts("apiGroups") {
        for resource in texts("resources") {
            let right = |verb| Right { group: group.clone(), resource: resource.clone(), verb };
            rights.extend(texts("verbs").into_iter().map(right));
        }
    }
    rights
}

/// What only an installation does: the lease and the certificate are made once.
fn install_anew() {
    let own = ["--namespace", haldane::NAMESPACE, "delete", "lease/haldane", "secret/haldane-tls"];
    kubectl(&own).ok();
    eventually("lease and certificate to be made anew", RECOVERY, || {
        let lease = get("coordination.k8s.io/v1 Lease", haldane::NAMESPACE, "haldane");
        let secret = get("v1 Secret", haldane::NAMESPACE, "haldane-tls");
        match (lease, secret) {
            (Some(_), Some(_)) => Ok(()),
            (lease, secret) => Err(format!("lease {}, secret {}", lease.is_some(), secret.is_some())),
        }
    });
    haldane::is_complete();
}

fn words<'a>(rights: impl Iterator<Item = &'a Right>) -> String {
    rights.map(|right| format!("\n  {right}")).collect::<Vec<_>>().concat()
}

#[test]
fn every_right_is_used_and_none_is_missing() {
    install_anew();
    let everywhere = granted("ClusterRole", "", "haldane", &BTreeSet::new());
    let granted_always = granted("Role", haldane::NAMESPACE, "haldane", &everywhere);
    // A namespace binds it for itself, or does not: then its use is refused, and the user told how to grant it.
    let optional = granted("ClusterRole", "", "haldane-secrets", &BTreeSet::new());

    let started = setting("HALDANE_E2E_STARTED").parse().expect("a timestamp");
    let requests = audit::since(started);
    // An API server that has just started does not know all roles yet.
    let for_good = |no: &&audit::Request| {
        let granted_later = |yes: &audit::Request| yes.at > no.at && yes.code() < 300 && yes.repeats(no);
        let rights = no.rights();
        let is_optional = !rights.is_empty() && rights.iter().all(|right| optional.contains(right));
        no.was_forbidden() && !is_optional && !requests.iter().any(granted_later)
    };
    let forbidden: Vec<_> = requests.iter().filter(for_good).map(ToString::to_string).collect();
    assert!(forbidden.is_empty(), "{} requests were forbidden: {forbidden:#?}", forbidden.len());
    // An answer such as "not found" needed the right as well.
    let used: BTreeSet<Right> =
        requests.iter().filter(|request| !request.was_forbidden()).flat_map(audit::Request::rights).collect();
    let foreign = words(used.difference(&granted_always).filter(|right| !optional.contains(right)));
    assert!(foreign.is_empty(), "used, but granted by no rule of deploy/rbac.yaml:{foreign}");
    let is_rare = |right: &&Right| RARE.contains(&(&right.group, &right.resource, &right.verb));
    let idle = words(granted_always.difference(&used).filter(|right| !is_rare(right)));
    assert!(
        idle.is_empty(),
        "in {} requests since {started} these rights were granted and never used; remove them from deploy/rbac.yaml, or add a test that needs them:{idle}",
        requests.len()
    );
    eprintln!("{} rights, all used in {} requests, none forbidden", granted_always.len(), requests.len());
}
