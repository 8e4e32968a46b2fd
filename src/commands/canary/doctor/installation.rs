//! Haldane itself: webhooks, certificate, replicas, leader, and what can split traffic.

use super::{Line, Read, Snapshot, text};
use crate::{
    cluster::ca_bundle::CONFIGURATION, commands::canary::style::span, domain::k8s::json_pointer::part,
    routers, runtime::certs,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

/// The two configurations that route admission requests to Haldane.
const CONFIGURATIONS: [&str; 2] = ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"];
/// A certificate that expires sooner should have been renewed.
const SOON: SignedDuration = SignedDuration::from_hours(24);
const INSTALL: &str = "install Haldane: kubectl apply -k deploy, then kubectl apply -k webhook-config";
const LOG: &str = "read the log: kubectl logs -n haldane-system deployment/haldane";

/// The results.
pub fn examine(snapshot: &Snapshot) -> Vec<Line> {
    let mut lines = configurations(snapshot);
    lines.push(endpoints(&snapshot.slices));
    lines.push(controller(&snapshot.controller));
    lines.push(lease(&snapshot.lease, snapshot.now));
    lines.extend(routes(snapshot));
    lines
}

/// The webhooks of a configuration.
fn webhooks(configuration: &Value) -> impl Iterator<Item = &Value> {
    part(configuration, "/webhooks").and_then(Value::as_array).into_iter().flatten()
}

/// Where the configurations say that Haldane is: namespace and name of its Service.
pub fn place(configurations: &[Value]) -> Option<(&str, &str)> {
    let service = part(configurations.iter().find_map(|one| webhooks(one).next())?, "/clientConfig/service")?;
    Some((text(service, "/namespace"), text(service, "/name")))
}

fn configurations(snapshot: &Snapshot) -> Vec<Line> {
    let found = match &snapshot.webhooks {
        Ok(found) => found,
        Err(why) => return vec![Line::unread("webhook configurations", why)],
    };
    let mut lines = Vec::new();
    for kind in CONFIGURATIONS {
        let Some(one) = found.iter().find(|one| text(one, "/kind") == kind) else {
            lines.push(Line::problem(
                format!("{kind} {CONFIGURATION:?} does not exist: no release is held"),
                INSTALL,
            ));
            continue;
        };
        let is_empty = |webhook: &&Value| text(webhook, "/clientConfig/caBundle").is_empty();
        let empty: Vec<&str> = webhooks(one).filter(is_empty).map(|webhook| text(webhook, "/name")).collect();
        lines.push(if empty.is_empty() {
            Line::good(format!("{kind} {CONFIGURATION:?} is there"))
        } else {
            let names = empty.join(", ");
            Line::problem(
                format!(
                    "{kind} {CONFIGURATION:?} has no caBundle for {names}: the API server cannot call Haldane"
                ),
                LOG,
            )
        });
    }
    lines.extend(found.first().map(|one| certificate(one, snapshot.now)));
    lines
}

/// How long the API server trusts Haldane.
fn certificate(configuration: &Value, now: Timestamp) -> Line {
    let bundles = webhooks(configuration).map(|webhook| text(webhook, "/clientConfig/caBundle"));
    let Some(bundle) = bundles.into_iter().find(|bundle| !bundle.is_empty()) else {
        return Line::warning("certificate not checked: there is no caBundle", "");
    };
    let pem = STANDARD.decode(bundle).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    match pem.as_deref().map(certs::expiry) {
        Some(Ok(end)) if end <= now => Line::problem(
            format!("the caBundle's certificate expired at {end}"),
            format!("Haldane renews it by itself; {LOG}"),
        ),
        Some(Ok(end)) if end.duration_since(now) < SOON => Line::warning(
            format!("the caBundle's certificate expires in {}", span(end.duration_since(now))),
            format!("Haldane renews it by itself; {LOG}"),
        ),
        Some(Ok(end)) => {
            Line::good(format!("the caBundle's certificate is valid for {}", span(end.duration_since(now))))
        }
        _ => Line::problem("the caBundle is not a certificate", LOG),
    }
}

fn endpoints(slices: &Read<Vec<Value>>) -> Line {
    let slices = match slices {
        Ok(slices) => slices,
        Err(why) => return Line::unread("endpoints of the webhook", why),
    };
    let endpoints = slices.iter().filter_map(|slice| part(slice, "/endpoints")?.as_array()).flatten();
    let ready = |endpoint: &&Value| part(endpoint, "/conditions/ready") != Some(&Value::Bool(false));
    match endpoints.filter(ready).count() {
        0 => Line::problem(
            "the Service of the webhook has no ready endpoint: changes of managed Deployments are refused",
            "see why its pods are not ready: kubectl get pods -n haldane-system -l app.kubernetes.io/name=haldane",
        ),
        1 => Line::warning(
            "the Service of the webhook has one ready endpoint: while that pod restarts, changes of managed Deployments are refused",
            "run two replicas or more",
        ),
        count => Line::good(format!("the Service of the webhook has {count} ready endpoints")),
    }
}

fn controller(found: &Read<Option<Value>>) -> Line {
    let deployment = match found {
        Ok(Some(deployment)) => deployment,
        Ok(None) => return Line::problem("Haldane's Deployment does not exist", INSTALL),
        Err(why) => return Line::unread("Haldane's Deployment", why),
    };
    let number = |at: &str| part(deployment, at).and_then(Value::as_i64).unwrap_or_default();
    let (desired, available) = (number("/spec/replicas"), number("/status/availableReplicas"));
    let text = format!("Haldane's Deployment has {available} of {desired} replicas available");
    match available {
        0 => Line::problem(text, LOG),
        _ if available < desired => Line::warning(text, LOG),
        _ => Line::good(text),
    }
}

fn lease(found: &Read<Option<Value>>, now: Timestamp) -> Line {
    let lease = match found {
        Ok(Some(lease)) => lease,
        Ok(None) => {
            return Line::problem("no replica leads: there is no lease, so rollouts do not go on", LOG);
        }
        Err(why) => return Line::unread("the lease of the leader", why),
    };
    let holder = text(lease, "/spec/holderIdentity");
    let seconds = part(lease, "/spec/leaseDurationSeconds").and_then(Value::as_i64).unwrap_or_default();
    let renewed = text(lease, "/spec/renewTime").parse::<Timestamp>();
    let age = renewed.map(|renewed| now.duration_since(renewed));
    match age {
        _ if holder.is_empty() => {
            Line::problem("no replica leads: nobody holds the lease, so rollouts do not go on", LOG)
        }
        Ok(age) if age.as_secs() <= seconds => Line::good(format!("{holder} leads")),
        Ok(age) => Line::problem(
            format!(
                "no replica leads: {holder} renewed the lease {} ago, so rollouts do not go on",
                span(age)
            ),
            LOG,
        ),
        Err(_) => Line::warning("the lease of the leader has no time", LOG),
    }
}

/// The kinds of routes that a cluster may be without.
fn optional_routes(separator: &str) -> String {
    let names: Vec<String> = routers::optional_kinds().map(|kind| format!("{}s", kind.name())).collect();
    names.join(separator)
}

/// What can split traffic.
fn routes(snapshot: &Snapshot) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut is_known = false;
    match &snapshot.classes {
        Err(why) => lines.push(Line::unread("IngressClasses", why)),
        Ok(classes) => {
            is_known |= !classes.is_empty();
            lines.extend(classes.iter().map(|class| {
                let (name, controller) = (text(class, "/metadata/name"), text(class, "/spec/controller"));
                Line::good(format!("IngressClass {name} ({controller})"))
            }));
        }
    }
    match &snapshot.routes {
        Err(why) => lines.push(Line::unread(&optional_routes(" and "), why)),
        Ok(kinds) => {
            is_known |= !kinds.is_empty();
            lines.extend(kinds.iter().map(|kind| Line::good(format!("the cluster has {}s", kind.name()))));
        }
    }
    if snapshot.classes.is_ok() && snapshot.routes.is_ok() && !is_known {
        lines.push(Line::warning(
            format!(
                "the cluster has neither an IngressClass nor {}: a canary's share of the traffic is its share of the pods",
                optional_routes(" or ")
            ),
            "install ingress-nginx, Traefik or a Gateway, unless that is intended",
        ));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{commands::canary::doctor::Level, objects::manifest::Kind};
    use serde_json::json;

    fn now() -> Timestamp {
        "2026-01-01T00:00:00Z".parse().unwrap()
    }

    fn bundle(from: &str, to: &str) -> String {
        let mut params = rcgen::CertificateParams::new(vec!["haldane".to_owned()]).unwrap();
        let at = |text: &str| {
            let parts: Vec<u16> = text.split('-').map(|part| part.parse().unwrap()).collect();
            rcgen::date_time_ymd(
                i32::from(parts[0]),
                u8::try_from(parts[1]).unwrap(),
                u8::try_from(parts[2]).unwrap(),
            )
        };
        (params.not_before, params.not_after) = (at(from), at(to));
        let key = rcgen::KeyPair::generate().unwrap();
        STANDARD.encode(params.self_signed(&key).unwrap().pem())
    }

    fn configuration(kind: &str, ca: &str) -> Value {
        let service = json!({"namespace": "haldane-system", "name": "haldane-webhook"});
        json!({"kind": kind, "webhooks": [{"name": "mutate.haldane.dev", "clientConfig": {"service": service, "caBundle": ca}}]})
    }

    fn sound() -> Snapshot {
        let ca = bundle("2025-12-01", "2026-02-01");
        let endpoint = json!({"conditions": {"ready": true}});
        Snapshot {
            now: now(),
            webhooks: Ok(CONFIGURATIONS.map(|kind| configuration(kind, &ca)).to_vec()),
            slices: Ok(vec![json!({"endpoints": [endpoint, endpoint]})]),
            controller: Ok(Some(json!({"spec": {"replicas": 2}, "status": {"availableReplicas": 2}}))),
            lease: Ok(Some(
                json!({"spec": {"holderIdentity": "haldane-1", "leaseDurationSeconds": 15, "renewTime": "2025-12-31T23:59:55.000000Z"}}),
            )),
            classes: Ok(vec![
                json!({"metadata": {"name": "nginx"}, "spec": {"controller": "k8s.io/ingress-nginx"}}),
            ]),
            routes: Ok(Vec::new()),
            rights: Vec::new(),
            release: None,
        }
    }

    /// Lines that are not good.
    fn faults(snapshot: &Snapshot) -> Vec<(Level, String)> {
        let lines = examine(snapshot).into_iter().filter(|line| line.level != Level::Good);
        lines.map(|line| (line.level, line.text)).collect()
    }

    #[track_caller]
    fn only(snapshot: &Snapshot, level: Level, part: &str) {
        match faults(snapshot).as_slice() {
            [(found, text)] if *found == level && text.contains(part) => {}
            other => panic!("not only {part:?}: {other:?}"),
        }
    }

    #[test]
    fn a_sound_installation_has_no_fault() {
        assert_eq!(faults(&sound()), []);
        assert_eq!(place(&sound().webhooks.unwrap()), Some(("haldane-system", "haldane-webhook")));
    }

    #[test]
    fn a_webhook_that_cannot_be_called_is_a_problem() {
        let one = configuration("MutatingWebhookConfiguration", &bundle("2025-12-01", "2026-02-01"));
        only(
            &Snapshot { webhooks: Ok(vec![one]), ..sound() },
            Level::Problem,
            "ValidatingWebhookConfiguration \"haldane\" does not exist",
        );
        let mut all = sound().webhooks.unwrap();
        all[1] = configuration("ValidatingWebhookConfiguration", "");
        only(
            &Snapshot { webhooks: Ok(all), ..sound() },
            Level::Problem,
            "has no caBundle for mutate.haldane.dev",
        );
        only(&Snapshot { slices: Ok(Vec::new()), ..sound() }, Level::Problem, "no ready endpoint");
        let unready =
            json!({"endpoints": [{"conditions": {"ready": false}}, {"conditions": {"ready": true}}]});
        only(&Snapshot { slices: Ok(vec![unready]), ..sound() }, Level::Warning, "one ready endpoint");
    }

    #[test]
    fn a_certificate_is_judged_by_its_time() {
        for (to, level, part) in
            [("2025-12-31", Level::Problem, "expired at 2025-12-31"), ("2026-01-02", Level::Good, "")]
        {
            let ca = bundle("2025-12-01", to);
            let all = CONFIGURATIONS.map(|kind| configuration(kind, &ca)).to_vec();
            let snapshot = Snapshot { webhooks: Ok(all), ..sound() };
            match level {
                Level::Good => assert_eq!(faults(&snapshot), []),
                _ => only(&snapshot, level, part),
            }
        }
        let broken = CONFIGURATIONS.map(|kind| configuration(kind, "bm8=")).to_vec();
        only(&Snapshot { webhooks: Ok(broken), ..sound() }, Level::Problem, "is not a certificate");
    }

    #[test]
    fn a_controller_that_does_not_lead_is_a_problem() {
        let stale = json!({"spec": {"holderIdentity": "haldane-1", "leaseDurationSeconds": 15, "renewTime": "2025-12-31T23:00:00Z"}});
        only(
            &Snapshot { lease: Ok(Some(stale)), ..sound() },
            Level::Problem,
            "haldane-1 renewed the lease 60m ago",
        );
        only(
            &Snapshot { lease: Ok(Some(json!({"spec": {}}))), ..sound() },
            Level::Problem,
            "nobody holds the lease",
        );
        only(&Snapshot { lease: Ok(None), ..sound() }, Level::Problem, "there is no lease");
        let down = json!({"spec": {"replicas": 2}, "status": {}});
        only(&Snapshot { controller: Ok(Some(down)), ..sound() }, Level::Problem, "0 of 2 replicas");
    }

    #[test]
    fn what_the_user_may_not_read_is_not_a_problem() {
        let forbidden = || Err("leases is forbidden".to_owned());
        only(
            &Snapshot { lease: forbidden().map(|()| None), ..sound() },
            Level::Warning,
            "the lease of the leader not checked",
        );
        only(
            &Snapshot { classes: Ok(Vec::new()), ..sound() },
            Level::Warning,
            "neither an IngressClass nor HTTPRoutes",
        );
        let routes = Ok(vec![Kind::route("IngressRoute", "traefik.io/v1alpha1")]);
        assert_eq!(faults(&Snapshot { classes: Ok(Vec::new()), routes, ..sound() }), []);
    }
}
