//! Where the traffic comes from: it can be split only where something routes to a Service, and whatever routes to that
//! Service is split with it.

use crate::admit::report::Report;
use crate::{
    config::annotations::path,
    decide::Draft,
    document::finding::Finding,
    domain::{
        k8s::selector::{Labels, map_selects},
        keys,
        strategy::CanaryStrategy,
        world::World,
    },
    objects::labels::service_selector,
    routers::{self, Obstacle},
};
use k8s_openapi::api::core::v1::Service;

/// Reports what the plan names and the namespace lacks. Before traffic is to be split (`releases`) it may still be on
/// its way.
pub(super) fn lacking(report: &mut Report, releases: bool, field: &str, name: &str, problem: String) {
    if releases {
        report.findings.push(Finding::new(format!("{}.{field}", path(keys::CANARY)), name, problem));
    } else {
        report.warnings.push(format!("{field} {name:?}: {problem}"));
    }
}

/// Checks the Service that the plan names, if it names one.
fn check_service(
    split: &[&Service],
    strategy: &CanaryStrategy,
    pods: &Labels,
    releases: bool,
    report: &mut Report,
) {
    let Some(wanted) = strategy.stable_service.as_deref() else { return };
    let problem = match split.first().map(|service| service_selector(service)) {
        None => "this Service does not exist".to_owned(),
        Some(Some(selector)) if !map_selects(selector, pods) => {
            let selector: Vec<String> =
                selector.iter().map(|(key, value)| format!("{key}={value}")).collect();
            format!(
                "this Service selects {}, which the pods of this Deployment do not have; name one that selects them",
                selector.join(",")
            )
        }
        Some(_) => return,
    };
    lacking(report, releases, "stableService", wanted, problem);
}

/// Checks what routes to the Services to be split.
pub(super) fn check(draft: &Draft<'_>, world: &World, pods: &Labels, releases: bool, report: &mut Report) {
    let strategy = &draft.spec.strategy;
    let known = report.findings.len();
    check_service(&draft.split, strategy, pods, releases, report);
    for Obstacle { field, name, problem } in &draft.routes.missing {
        lacking(report, releases, &format!("trafficRouting.{field}"), name, problem.clone());
    }
    let router = routers::of(strategy);
    if !draft.routes.is_routed {
        // Without a router's name the traffic would be split by pods.
        let route = router.route();
        let problem =
            format!("no {route} routes to a Service of this Deployment, so its canary would get no traffic");
        if !releases {
            report.warnings.push(problem);
        } else if report.findings.len() == known {
            let fix = format!(
                "make the {route} first, or use haldane.dev/canary without trafficRouting, which splits by pods"
            );
            let names: Vec<&str> = draft.services.keys().map(String::as_str).collect();
            let problem = format!("{problem}; {fix}");
            report.findings.push(Finding::new(path(keys::CANARY), names.join(", "), problem));
        }
    }
    report.warnings.extend(router.hazards(&draft.services, strategy, &draft.routes, world));
}
