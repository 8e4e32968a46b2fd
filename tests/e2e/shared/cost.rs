//! What a release costs the API server, by its own audit log.

use crate::harness::{App, SOON, Space, audit, eventually};
use haldane::runtime::clock;
use jiff::{SignedDuration, Timestamp};
use std::{collections::BTreeMap, time::Duration};

const STRATEGY: &str = "steps: [{setWeight: 20}, {pause: {}}, {setWeight: 60}, {pause: {duration: 1s}}]";

/// So long nothing is asked of a release that waits for a person. Longer than anything that Haldane repeats.
const SILENCE: SignedDuration = SignedDuration::from_secs(45);

/// What Haldane has asked since then in the namespace of this test. A watch is one request for some minutes.
fn asked(space: &Space, since: Timestamp) -> Vec<audit::Request> {
    let mut requests = audit::since(since);
    requests.retain(|request| request.namespace() == space.namespace && !request.is_watch());
    requests
}

#[test]
fn a_release_that_waits_for_a_person_costs_no_request_and_a_change_around_it_is_noticed() {
    let space = Space::new("waits");
    space.deploy(&App::canary(STRATEGY).annotated("haldane.dev/settle", "1s"));
    space.set_env("web", &["VERSION=v2"]).ok();
    space.pauses_at("web", "20");
    // The last Event is on its way.
    let quiet = eventually("the pass that has reached the pause to end", SOON, || {
        let (now, since) = (clock::now(), clock::now() - SignedDuration::from_secs(10));
        match asked(&space, since).as_slice() {
            [] => Ok(now),
            [.., last] => Err(last.to_string()),
        }
    });
    eventually("the leader to renew its lease some time later", Duration::from_secs(90), || {
        let later = audit::since(quiet + SILENCE);
        if later.iter().any(audit::Request::is_about_the_lease) { Ok(()) } else { Err("not yet".to_owned()) }
    });
    let asked: Vec<String> = asked(&space, quiet).iter().map(ToString::to_string).collect();
    assert_eq!(asked, [] as [String; 0], "while nothing has happened");
    // A host more for the user's Service, and the canary follows.
    let host = format!("more.{}", space.host);
    let patch = format!(
        r#"[{{"op": "add", "path": "/spec/rules/-", "value": {{"host": "{host}", "http": {{"paths": [
        {{"path": "/", "pathType": "Prefix", "backend": {{"service": {{"name": "web", "port": {{"number": 80}}}}}}}}]}}}}}}]"#
    );
    space.kubectl(&["patch", "ingress", "web", "--type=json", "--patch", &patch]).ok();
    eventually("the canary's Ingress to have the new host", SOON, || {
        let canary = space.the("networking.k8s.io/v1 Ingress", "web-canary").to_string();
        if canary.contains(&host) { Ok(()) } else { Err(canary) }
    });
    space.order("web", "abort").ok();
    space.reaches("web", SOON, &[("phase", "Degraded"), ("weight", "0")]);
}

/// Requests of a whole release by verb and resource that are enough, with room for a few conflicts.
const ENOUGH: &[(&str, usize)] = &[
    ("create configmaps", 1),
    ("create deployments.apps", 1),
    ("create events", 18),
    ("create ingresses.networking.k8s.io", 1),
    ("create services", 1),
    ("delete deployments.apps", 1),
    ("delete ingresses.networking.k8s.io", 1),
    ("delete services", 1),
    // Three of them are look-ups of the routing of notifications: at the start, at the pause and at the promotion.
    ("get configmaps", 11),
    ("get deployments.apps", 14),
    ("get ingresses.networking.k8s.io", 1),
    ("get namespaces", 4),
    ("get services", 1),
    ("list backendtlspolicies.gateway.networking.k8s.io", 3),
    ("list deployments.apps", 6),
    // Twice a second, until the endpoints of stable's new pods are known: longer on a busy machine.
    ("list endpointslices.discovery.k8s.io", 20),
    ("list horizontalpodautoscalers.autoscaling", 4),
    ("list httproutes.gateway.networking.k8s.io", 4),
    ("list ingressroutes.traefik.io", 4),
    ("list ingresses.networking.k8s.io", 4),
    ("list networkpolicies.networking.k8s.io", 4),
    ("list poddisruptionbudgets.policy", 3),
    // Every three seconds while pods make no progress, as on a busy machine.
    ("list pods", 8),
    ("list replicasets.apps", 8),
    ("list services", 4),
    ("list traefikservices.traefik.io", 4),
    ("patch deployments.apps", 5),
    ("patch deployments/status.apps", 15),
    ("patch ingresses.networking.k8s.io", 8),
    ("patch services", 2),
    ("update configmaps", 18),
];

#[test]
fn a_whole_release_costs_few_requests() {
    let space = Space::new("cost");
    space.deploy(&App::canary(STRATEGY).annotated("haldane.dev/settle", "1s"));
    let since = clock::now();
    space.set_env("web", &["VERSION=v2"]).ok();
    space.pauses_at("web", "20");
    space.order("web", "promote").ok();
    space.is_healthy("web", 2 * SOON);
    let mut counts = BTreeMap::<String, usize>::new();
    for request in asked(&space, since) {
        for right in request.rights().into_iter().take(1) {
            *counts.entry(right.to_string()).or_default() += 1;
        }
    }
    println!("requests of a release: {counts:#?}, {} in all", counts.values().sum::<usize>());
    let enough: BTreeMap<_, _> = ENOUGH.iter().map(|(right, count)| ((*right).to_owned(), *count)).collect();
    let too_many: Vec<_> =
        counts.iter().filter(|(right, count)| enough.get(*right).is_none_or(|most| count > &most)).collect();
    assert_eq!(too_many, [], "of {counts:#?}");
}
