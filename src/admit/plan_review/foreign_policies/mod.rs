//! Objects of other APIs that choose pods, or Services, by label: those that cover stable and would miss the canary,
//! whose labels differ, are refused or warned about. A new API is one row of [`APIS`] and its line in
//! `deploy/rbac.yaml`.

mod calico;
mod forms;
mod sides;

pub use sides::{Sides, Subject};

use crate::{
    document::finding::{Finding, Findings},
    domain::k8s::selector,
};
use forms::Form;
use serde_json::Value;

/// An API whose objects choose by label.
#[derive(Debug)]
pub struct Api {
    /// Its group; whatever version the cluster serves.
    pub group: &'static str,
    /// Its kind.
    pub kind: &'static str,
    /// Whether its objects are in no namespace, and cover all.
    pub is_cluster_wide: bool,
    /// What they choose.
    pub subject: Subject,
    /// How it writes a selector.
    form: Form,
    /// Where its selectors are; `*` is every item of a list.
    places: &'static [&'static str],
    /// What follows when the canary is missed.
    pub effect: Effect,
}

/// What follows when stable is covered and the canary would not be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// The Deployment can have no canary: its pods would be under other rules than stable's.
    Refused,
    /// A warning with this consequence.
    Told(&'static str),
}

const fn api(
    group: &'static str,
    kind: &'static str,
    form: Form,
    places: &'static [&'static str],
    effect: Effect,
) -> Api {
    Api { group, kind, is_cluster_wide: false, subject: Subject::Pods, form, places, effect }
}

/// An API whose objects are attached to a route or Service, as Gateway API has it.
const fn target(group: &'static str, kind: &'static str) -> Api {
    Api { subject: Subject::Targets, ..api(group, kind, Form::Target, TARGETS, Effect::Refused) }
}

const TARGETS: &[&str] = &["spec/targetRef", "spec/targetRefs/*", "spec/targetSelectors/*"];
const CALICO_API: &str = "projectcalico.org";
const CALICO_STORAGE: &str = "crd.projectcalico.org";
const CALICO: &[&str] =
    &["spec/selector", "spec/ingress/*/source/selector", "spec/egress/*/destination/selector"];
const CILIUM: &[&str] = &[
    "spec/endpointSelector",
    "spec/ingress/*/fromEndpoints/*",
    "spec/egress/*/toEndpoints/*",
    "specs/*/endpointSelector",
];

/// Every API that is looked at where it is installed, in the order of the reference page.
pub static APIS: &[Api] = &[
    api("cilium.io", "CiliumNetworkPolicy", Form::Cilium, CILIUM, Effect::Refused),
    Api {
        is_cluster_wide: true,
        ..api("cilium.io", "CiliumClusterwideNetworkPolicy", Form::Cilium, CILIUM, Effect::Refused)
    },
    api(CALICO_API, "NetworkPolicy", Form::Calico, CALICO, Effect::Refused),
    Api {
        is_cluster_wide: true,
        ..api(CALICO_API, "GlobalNetworkPolicy", Form::Calico, CALICO, Effect::Refused)
    },
    api(CALICO_STORAGE, "NetworkPolicy", Form::Calico, CALICO, Effect::Refused),
    Api {
        is_cluster_wide: true,
        ..api(CALICO_STORAGE, "GlobalNetworkPolicy", Form::Calico, CALICO, Effect::Refused)
    },
    api("security.istio.io", "AuthorizationPolicy", Form::Labels, &["spec/selector"], Effect::Refused),
    api("security.istio.io", "PeerAuthentication", Form::Labels, &["spec/selector"], Effect::Refused),
    api("security.istio.io", "RequestAuthentication", Form::Labels, &["spec/selector"], Effect::Refused),
    api("policy.linkerd.io", "Server", Form::Labels, &["spec/podSelector"], Effect::Refused),
    target("gateway.envoyproxy.io", "SecurityPolicy"),
    target("gateway.envoyproxy.io", "BackendTrafficPolicy"),
    target("gateway.envoyproxy.io", "EnvoyExtensionPolicy"),
    target("gateway.kgateway.dev", "TrafficPolicy"),
    target("gateway.networking.k8s.io", "BackendTLSPolicy"),
    target("gateway.nginx.org", "ClientSettingsPolicy"),
    target("gateway.nginx.org", "ObservabilityPolicy"),
    target("kuadrant.io", "AuthPolicy"),
    target("kuadrant.io", "RateLimitPolicy"),
    api(
        "monitoring.coreos.com",
        "PodMonitor",
        Form::Labels,
        &["spec/selector"],
        Effect::Told("Prometheus does not scrape the canary"),
    ),
    Api {
        subject: Subject::Services,
        ..api(
            "monitoring.coreos.com",
            "ServiceMonitor",
            Form::Labels,
            &["spec/selector"],
            Effect::Told("Prometheus does not scrape the canary"),
        )
    },
    Api {
        subject: Subject::Targets,
        ..api(
            "autoscaling.k8s.io",
            "VerticalPodAutoscaler",
            Form::Target,
            &["spec/targetRef"],
            Effect::Told(
                "canary pods have the requests of the template until promotion; write the recommended ones there if the canary needs them",
            ),
        )
    },
    api(
        "policy",
        "PodDisruptionBudget",
        Form::Labels,
        &["spec/selector"],
        Effect::Told("a drained node may take them all at once"),
    ),
];

/// The row of an object.
fn row(object: &Value) -> Option<&'static Api> {
    let text = |field: &str| object.get(field).and_then(Value::as_str).unwrap_or_default();
    let group = text("apiVersion").split_once('/').map_or("", |(group, _)| group);
    APIS.iter().find(|api| api.group == group && api.kind == text("kind"))
}

/// What is wrong with `objects` for these pods and Services, and what only deserves a warning.
#[must_use]
pub fn missed(objects: &[Value], sides: &[Sides]) -> (Findings, Vec<String>) {
    let (mut findings, mut warnings) = (Findings::new(), Vec::new());
    // Calico's API server shows the same objects as its storage does.
    let are_shown = objects.iter().any(|object| row(object).is_some_and(|api| api.group == CALICO_API));
    for (object, api) in objects.iter().filter_map(|object| Some((object, row(object)?))) {
        if are_shown && api.group == CALICO_STORAGE {
            continue;
        }
        let concerned = sides
            .iter()
            .filter(|sides| sides.subject == api.subject && !api.form.is_elsewhere(object, &sides.stable));
        for sides in concerned {
            let groups = api
                .places
                .iter()
                .flat_map(|place| groups(object, place).into_iter().map(move |group| (*place, group)));
            for (place, group) in groups {
                match misses(api, &group, place, object, objects, sides) {
                    Ok(None) => {}
                    Ok(Some(selector)) => {
                        tell(api, object, place, selector, sides, &mut findings, &mut warnings);
                    }
                    Err(problem) => warnings.push(format!(
                        "{} {:?}: {place} was not understood ({problem}): see that it covers the canary",
                        api.kind,
                        name(object)
                    )),
                }
            }
        }
    }
    (findings, warnings)
}

/// The selector of a group that picks stable, where no other of the group, and no copy of the object, picks
/// the canary.
fn misses<'a>(
    api: &Api,
    group: &[&'a Value],
    place: &str,
    object: &Value,
    objects: &[Value],
    sides: &Sides,
) -> Result<Option<&'a Value>, String> {
    let mut missing = None;
    for selector in group {
        if api.form.picks(selector, &sides.canary)? {
            return Ok(None);
        }
        if api.form.picks(selector, &sides.stable)? {
            missing.get_or_insert(*selector);
        }
    }
    let copies = objects.iter().filter(|other| row(other).is_some_and(|row| row.kind == api.kind));
    let covers = |other: &Value| {
        let selector = other.pointer(&format!("/{place}"));
        selector.is_some_and(|selector| api.form.picks(selector, &sides.canary) == Ok(true))
            && without(other, place) == without(object, place)
    };
    Ok(missing.filter(|_| !copies.into_iter().any(covers)))
}

/// The rules of an object, without the selector at `place`.
fn without(object: &Value, place: &str) -> Option<Value> {
    let mut rest = object.get("spec")?.clone();
    let (parent, key) = place.strip_prefix("spec")?.rsplit_once('/')?;
    rest.pointer_mut(parent)?.as_object_mut()?.remove(key);
    Some(rest)
}

fn tell(
    api: &Api,
    object: &Value,
    place: &str,
    selector: &Value,
    sides: &Sides,
    findings: &mut Findings,
    warnings: &mut Vec<String>,
) {
    let (kind, name) = (api.kind, name(object));
    let fix = sides.fix(kind);
    match api.effect {
        Effect::Told(consequence) if sides.subject == Subject::Targets => warnings.push(format!(
            "{kind} {name:?} is attached to {}, but not to {}: {consequence}",
            sides.stable_name, sides.canary_name
        )),
        Effect::Told(consequence) => {
            let unmet = serde_json::from_value(selector.clone())
                .map(|selector| selector::unmet(&selector, &sides.canary))
                .unwrap_or_default();
            let by: Vec<String> = unmet.iter().map(selector::written).collect();
            warnings.push(format!(
                "{kind} {name:?} selects {} by {}, but {} {}: {consequence}; {fix}",
                sides.stable_name,
                by.join(","),
                sides.canary_name,
                sides.instead(unmet.iter().map(|requirement| &requirement.key)),
            ));
        }
        Effect::Refused => {
            let shown = selector.as_str().map_or_else(|| selector.to_string(), str::to_owned);
            let problem = match sides.subject {
                Subject::Targets => format!(
                    "is attached to {}, but would not be to {}, which gets requests of it during a release, so these would be under other rules, such as without authentication; attach the {kind} to both, or to the Gateway",
                    sides.stable_name, sides.canary_name
                ),
                _ => format!(
                    "selects pods of stable and would miss the canary's, whose labels are {}; {fix}",
                    sides.changed()
                ),
            };
            findings.push(Finding::new(
                format!("{kind}[{name}].{}", place.replace('/', ".")),
                shown,
                problem,
            ));
        }
    }
}

fn name(object: &Value) -> &str {
    object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default()
}

/// The selectors at a place: those of one list together, because together they choose.
fn groups<'a>(object: &'a Value, place: &str) -> Vec<Vec<&'a Value>> {
    let Some((list, rest)) = place.rsplit_once('*') else {
        return object.pointer(&format!("/{place}")).map(|selector| vec![selector]).into_iter().collect();
    };
    let items = |list: &'a Value| {
        let items = list.as_array().into_iter().flatten();
        items.filter_map(|item| selector_of(item, rest)).collect::<Vec<_>>()
    };
    at(object, list.trim_end_matches('/')).into_iter().map(items).filter(|group| !group.is_empty()).collect()
}

/// The selector of an item. Peers of other namespaces are left alone, as with Kubernetes' own policies.
fn selector_of<'a>(item: &'a Value, rest: &str) -> Option<&'a Value> {
    let parent = rest.rsplit_once('/').map_or("", |(parent, _)| parent);
    let is_elsewhere = item.pointer(parent)?.get("namespaceSelector").is_some();
    item.pointer(rest).filter(|_| !is_elsewhere)
}

/// Every value at a path whose `*` are items of lists.
fn at<'a>(value: &'a Value, path: &str) -> Vec<&'a Value> {
    match path.split_once("/*/") {
        None => value.pointer(&format!("/{path}")).into_iter().collect(),
        Some((list, rest)) => {
            let items = value.pointer(&format!("/{list}")).and_then(Value::as_array);
            items.into_iter().flatten().flat_map(|item| at(item, rest)).collect()
        }
    }
}

#[cfg(test)]
mod tests;
