//! Policies and monitors of other APIs that would miss the canary, by small definitions of the real APIs.

use crate::harness::{
    App, Output, SOON, Space,
    cluster::{kubectl, run},
    eventually,
};
use haldane::admit::plan_review::foreign_policies::{APIS, Api, Effect, Subject};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const PAUSE: &str = "steps: [{setWeight: 20}, {pause: {}}]";

/// The version that its users have.
fn version(api: &Api) -> &'static str {
    match api.group {
        "cilium.io" => "v2",
        "projectcalico.org" => "v3",
        "policy.linkerd.io" => "v1beta3",
        _ => "v1",
    }
}

fn plural(api: &Api) -> String {
    let kind = api.kind.to_lowercase();
    kind.strip_suffix('y').map_or_else(|| format!("{kind}s"), |stem| format!("{stem}ies"))
}

/// The definition of an API, as far as it matters here: its names, its scope and that it has a `spec`.
fn definition(api: &Api) -> Value {
    let spec = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let schema = json!({"openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}});
    let names = json!({"kind": api.kind, "plural": plural(api), "singular": api.kind.to_lowercase()});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": format!("{}.{}", plural(api), api.group),
            // Asked for where the group is Kubernetes' own.
            "annotations": {"api-approved.kubernetes.io": "unapproved, for tests"},
        },
        "spec": {
            "group": api.group,
            "names": names,
            "scope": if api.is_cluster_wide { "Cluster" } else { "Namespaced" },
            "versions": [{"name": version(api), "served": true, "storage": true, "schema": schema}],
        },
    })
}

/// Labels of the Service, as Helm writes them. All are carried to the canary's but who has made it.
const OF_A_CHART: [&str; 2] = ["app.kubernetes.io/instance=shop", "app.kubernetes.io/managed-by=Helm"];

/// An object that covers the pods, or the Service, of `web` in this namespace, written as its API wants it.
fn guard(api: &Api, space: &Space) -> Value {
    let namespace = &space.namespace;
    let labels = match api.subject {
        Subject::Pods | Subject::Targets => json!({"matchLabels": {"app": "web"}}),
        Subject::Services => {
            json!({"matchLabels": OF_A_CHART.iter().filter_map(|label| label.split_once('=')).collect::<BTreeMap<_, _>>()})
        }
    };
    let spec = match (api.group, api.is_cluster_wide) {
        ("cilium.io", false) => {
            json!({"endpointSelector": {"matchLabels": {"k8s:app": "web"}}, "ingress": [{}]})
        }
        ("cilium.io", true) => {
            let both = json!({"app": "web", "k8s:io.kubernetes.pod.namespace": namespace});
            json!({"endpointSelector": {"matchLabels": both}, "ingress": [{}]})
        }
        ("projectcalico.org" | "crd.projectcalico.org", false) => json!({"selector": "app == 'web'"}),
        ("projectcalico.org" | "crd.projectcalico.org", true) => {
            json!({"selector": format!("app == 'web' && projectcalico.org/namespace == '{namespace}'")})
        }
        ("policy.linkerd.io", _) => json!({"podSelector": labels, "port": 8080}),
        _ => json!({"selector": labels}),
    };
    json!({
        "apiVersion": format!("{}/{}", api.group, version(api)),
        "kind": api.kind,
        "metadata": {"name": format!("guard-{namespace}")},
        "spec": spec,
    })
}

/// The definitions, for as long as they are needed.
struct Definitions(String);

impl Definitions {
    fn install(apis: &[&Api]) -> Self {
        let items: Vec<Value> = apis.iter().map(|api| definition(api)).collect();
        let list = json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string();
        run("kubectl", &["apply", "-f", "-"], &list).ok();
        run("kubectl", &["wait", "--for=condition=Established", "--timeout=60s", "-f", "-"], &list).ok();
        Self(list)
    }
}

impl Drop for Definitions {
    fn drop(&mut self) {
        run("kubectl", &["delete", "--wait=false", "-f", "-"], &self.0);
    }
}

/// What a release would be told; nothing changes.
fn release(space: &Space) -> Output {
    space.kubectl(&["set", "env", "deployment/web", "VERSION=v2", "--dry-run=server"])
}

#[test]
fn what_covers_stable_and_would_miss_the_canary_is_refused_or_told() {
    let space = Space::new("selecting");
    space.deploy(&App::canary(PAUSE).sized(1));
    space.kubectl(&[&["label", "service", "web"], &OF_A_CHART[..]].concat()).ok();
    release(&space).ok();
    // Those that every cluster of the tests has are left alone.
    let is_foreign = |api: &&Api| !["policy", "gateway.networking.k8s.io"].contains(&api.group);
    let others: Vec<&Api> = APIS.iter().filter(is_foreign).collect();
    let definitions = Definitions::install(&others);
    // What is attached to a route is in `gateway`.
    for api in others.iter().filter(|api| api.subject != Subject::Targets) {
        let object = guard(api, &space).to_string();
        space.apply(&object).ok();
        eventually(&format!("{} {} to be noticed", api.group, api.kind), SOON, || {
            let output = release(&space);
            let is_told = match api.effect {
                Effect::Refused => {
                    output.code != 0
                        && output.err.contains("would miss the canary's, whose labels are app=web-canary")
                }
                Effect::Told(consequence) => output.code == 0 && output.err.contains(consequence),
            };
            let named = output.err.contains(api.kind) && output.err.contains("guard-");
            (is_told && named).then_some(()).ok_or(output.err)
        });
        let name = format!("{}.{}/guard-{}", plural(api), api.group, space.namespace);
        space.kubectl(&["delete", &name]).ok();
    }
    // A release is as before when they are gone, and when their APIs are.
    release(&space).ok();
    drop(definitions);
    release(&space).ok();
    space.set_env("web", &["VERSION=v2"]).ok();
    space.pauses_at("web", "20");
}

/// What Prometheus says of a query.
fn measured(query: &str) -> Value {
    let path =
        format!("/api/v1/namespaces/monitoring/services/prometheus:9090/proxy/api/v1/query?query={query}");
    let answer = kubectl(&["get", "--raw", &path]).ok().out;
    serde_json::from_str::<Value>(&answer).expect("JSON")["data"]["result"].take()
}

#[test]
fn a_canary_is_scraped_as_stable_is() {
    let space = Space::new("scraped");
    let mut service = App::plain().service();
    service["metadata"]["labels"] = json!({
        "app.kubernetes.io/instance": "shop",
        "app.kubernetes.io/managed-by": "Helm",
        "app.kubernetes.io/name": "web",
        "argocd.argoproj.io/instance": "shop",
        "helm.sh/chart": "web-1.2.3",
        "kustomize.toolkit.fluxcd.io/name": "apps",
    });
    space.deploy(&App::canary(PAUSE).sized(1));
    space.apply(&service.to_string()).ok();
    space.set_env("web", &["VERSION=v2"]).ok();
    space.pauses_at("web", "20");
    // As the ServiceMonitor of a public chart finds them.
    let found = space.list("v1 Service", "app.kubernetes.io/name=web,app.kubernetes.io/instance=shop");
    let names: Vec<&Value> = found.iter().map(|service| &service["metadata"]["name"]).collect();
    assert_eq!(names, ["web", "web-canary"]);
    assert_eq!(
        found[1]["metadata"]["labels"],
        json!({
            "app.kubernetes.io/instance": "shop",
            "app.kubernetes.io/managed-by": "haldane",
            "app.kubernetes.io/name": "web",
            "argocd.argoproj.io/instance": "shop",
            "haldane.dev/canary-of": "web",
            "helm.sh/chart": "web-1.2.3",
        })
    );
    for service in ["web", "web-canary"] {
        let query = format!("up%7Bnamespace=%22{}%22,service=%22{service}%22%7D", space.namespace);
        eventually(&format!("{service} to be scraped"), SOON, || {
            let series = measured(&query);
            if series[0]["value"][1] == "1" { Ok(()) } else { Err(series.to_string()) }
        });
    }
}
