//! Whether the user's Services reach the running pods and the new template's alike. A Service that loses the running ones
//! has no answer until promotion, one that loses the new ones has none from then on.

use crate::{
    document::finding::{Finding, Findings},
    domain::{
        k8s::selector::{Labels, map_selects},
        keys,
        strategy::CanaryStrategy,
        world::{Pods, Workload, World, written},
    },
    objects::labels::{service_name, service_selector},
    routers,
};
use k8s_openapi::{api::core::v1::Service, apimachinery::pkg::util::intstr::IntOrString};

/// Where Services reach one of the two versions only.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Reach {
    /// Requests would fail.
    pub gaps: Findings,
    /// Requests may fail, or there are none.
    pub warnings: Vec<String>,
}

/// The two versions of the pods.
#[derive(Debug, Clone, Copy)]
struct Versions<'a> {
    running: &'a Pods,
    new: &'a Pods,
}

/// Which of the versions a Service selects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Selects {
    Both,
    Running,
    New,
}

/// Compares what Services reach now with what they reach after promotion; nothing if the running pods are not known.
pub(super) fn of_services(workload: &Workload, strategy: &CanaryStrategy, world: &World) -> Reach {
    let Some(running) = &workload.running else { return Reach::default() };
    let versions = Versions { running, new: &workload.pods };
    let selecting: Vec<(&Service, Selects)> =
        world.services.iter().filter_map(|service| Some((service, versions.selected_by(service)?))).collect();
    let mut reach = Reach::default();
    // What routes to a Service makes it the front; without a route each of them may be.
    let routed = |service: &Service| routers::is_routed(service, Some(strategy), world);
    let has_route = selecting.iter().any(|(service, _)| routed(service));
    let is_front = |service: &Service| !has_route || routed(service);
    let is_reached = selecting.iter().any(|(service, found)| *found == Selects::Both && is_front(service));
    for (service, found) in &selecting {
        match found {
            Selects::Both => versions.ports(service, &mut reach),
            Selects::Running => {
                let breaks = !is_reached || (has_route && routed(service));
                reach.add(versions.dropped_label(service), breaks);
            }
            Selects::New => reach.add(versions.added_label(service), !is_reached),
        }
    }
    reach
}

impl Reach {
    fn add(&mut self, finding: Option<Finding>, is_gap: bool) {
        match finding {
            Some(finding) if is_gap => self.gaps.push(finding),
            other => self.warnings.extend(other.map(|finding| finding.to_string())),
        }
    }
}

impl Versions<'_> {
    fn selected_by(&self, service: &Service) -> Option<Selects> {
        let selector = service_selector(service)?;
        match (map_selects(selector, &self.running.labels), map_selects(selector, &self.new.labels)) {
            (true, true) => Some(Selects::Both),
            (true, false) => Some(Selects::Running),
            (false, true) => Some(Selects::New),
            (false, false) => None,
        }
    }

    fn dropped_label(&self, service: &Service) -> Option<Finding> {
        let (key, wanted) = unmet(service, &self.new.labels)?;
        let problem = format!(
            "Service {:?} selects {key}={wanted}, as the running pods have it: after promotion it reaches no pod of this Deployment, and its requests fail; keep the label in the template, or first let the Service select labels that both versions have",
            service_name(service)
        );
        Some(label_finding(key, self.new.labels.get(key), problem))
    }

    fn added_label(&self, service: &Service) -> Option<Finding> {
        let (key, wanted) = unmet(service, &self.running.labels)?;
        let has = match self.running.labels.get(key) {
            Some(value) => format!("have {key}={value}"),
            None => format!("have no label {key}"),
        };
        let problem = format!(
            "Service {:?} selects {key}={wanted}, but the running pods {has}: it reaches none of them, and its requests fail until promotion; let the Service select labels that both versions have, or release this change without a canary by the annotation {}: disabled",
            service_name(service),
            keys::CANARY
        );
        Some(label_finding(key, self.new.labels.get(key), problem))
    }

    /// Ports of a Service that one version declares and the other does not.
    fn ports(&self, service: &Service, reach: &mut Reach) {
        let ports = service.spec.iter().flat_map(|spec| spec.ports.iter().flatten());
        let targets: Vec<&IntOrString> = ports.filter_map(|port| port.target_port.as_ref()).collect();
        let has = |pods: &Pods, number| pods.ports.iter().any(|port| port.number == number);
        // A port may be added to a Service and to the pods in one go; one that moves leaves another behind.
        let moves = self.running.ports.iter().any(|port| !has(self.new, port.number));
        for target in targets {
            let name = service_name(service);
            match (self.running.declare(target), self.new.declare(target)) {
                (Some(true), Some(false)) => {
                    let problem = format!(
                        "Service {name:?} has targetPort {}, which the running pods declare and no container of this template does: the canary, and after promotion every pod, refuses its requests; keep the port for this release, or let targetPort be a name that both versions give to their port",
                        written(target)
                    );
                    reach.add(Some(port_finding(self.new, problem)), true);
                }
                (Some(false), Some(true)) => {
                    let problem = format!(
                        "Service {name:?} has targetPort {}, which this template declares and the running pods do not: they refuse its requests until promotion; set targetPort back for this release, or let it be a name that both versions give to their port",
                        written(target)
                    );
                    let mut targeted = self.new.ports.iter().filter(|port| port.is_target(target));
                    let is_renamed = targeted.any(|port| has(self.running, port.number));
                    reach.add(Some(port_finding(self.new, problem)), moves || is_renamed);
                }
                _ => {}
            }
        }
    }
}

/// The first label that a Service selects and the pods do not have.
fn unmet<'a>(service: &'a Service, labels: &Labels) -> Option<(&'a String, &'a String)> {
    service_selector(service)?.iter().find(|(key, value)| labels.get(*key) != Some(value))
}

fn label_finding(key: &str, value: Option<&String>, problem: String) -> Finding {
    Finding::new(format!("spec.template.metadata.labels[{key}]"), value.map_or("", String::as_str), problem)
}

fn port_finding(new: &Pods, problem: String) -> Finding {
    let declared: Vec<String> = new.ports.iter().map(|port| port.number.to_string()).collect();
    Finding::new("spec.template.spec.containers[*].ports", declared.join(", "), problem)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::fixtures::next;
    use serde_json::{Value, json};

    fn pods(labels: &Value, ports: &[(&str, i64)]) -> Pods {
        let ports: Vec<Value> = ports
            .iter()
            .map(|(name, number)| match *name {
                "" => json!({"containerPort": number}),
                name => json!({"name": name, "containerPort": number}),
            })
            .collect();
        Pods::of(&json!({"metadata": {"labels": labels}, "spec": {"containers": [{"ports": ports}]}}))
    }

    /// The Services and how many gaps and warnings they have.
    fn counted(running: Pods, new: Pods, services: &[(&str, Value)], routed: &[&str]) -> (usize, usize) {
        let mut world = World::default();
        for (name, spec) in services {
            let service = json!({"kind": "Service", "metadata": {"name": name}, "spec": spec});
            world.add(service).unwrap();
        }
        for service in routed {
            let path = json!({"path": "/", "backend": {"service": {"name": service}}});
            let rules = json!([{"http": {"paths": [path]}}]);
            world
                .add(json!({"kind": "Ingress", "metadata": {"name": service}, "spec": {"rules": rules}}))
                .unwrap();
        }
        let workload = Workload { pods: new, running: Some(running), ..Workload::default() };
        let strategy = next().spec.strategy;
        let Reach { gaps, warnings } = of_services(&workload, &strategy, &world);
        (gaps.len(), warnings.len())
    }

    fn selecting(labels: &Value) -> Value {
        json!({"selector": labels})
    }

    #[test]
    fn a_service_that_loses_a_version_is_a_gap_unless_another_is_the_front() {
        let (old, new) = (json!({"app": "web", "tier": "front"}), json!({"app": "web"}));
        let labels = |running: &Value, new: &Value, services: &[(&str, Value)], routed: &[&str]| {
            counted(pods(running, &[]), pods(new, &[]), services, routed)
        };
        let both = ("web", selecting(&json!({"app": "web"})));
        let front = ("front", selecting(&json!({"tier": "front"})));
        let all = [both, front];
        assert_eq!(labels(&old, &new, &all[1..], &[]), (1, 0), "nothing else reaches the pods");
        assert_eq!(labels(&old, &new, &all, &[]), (0, 1), "another Service does");
        assert_eq!(labels(&old, &new, &all, &["web"]), (0, 1), "and is the one that is routed");
        assert_eq!(labels(&old, &new, &all, &["front"]), (1, 0), "a route needs it");
        assert_eq!(labels(&old, &new, &all, &["front", "web"]), (1, 0), "one of the routes needs it");
        // The other way round: the Service has changed before the template.
        assert_eq!(labels(&new, &old, &all[1..], &[]), (1, 0), "no running pod is reached");
        assert_eq!(labels(&new, &old, &all, &["front"]), (1, 0), "none that the route needs");
        assert_eq!(labels(&new, &old, &all, &["front", "web"]), (0, 1), "one more Service, for more labels");
        assert_eq!(labels(&old, &old, &all, &["front"]), (0, 0));
    }

    #[test]
    fn a_route_of_the_router_that_the_plan_names_makes_a_front() {
        let mut world = World::default();
        let rules = json!([{"backendRefs": [{"name": "front", "port": 80}]}]);
        for object in [
            json!({"kind": "Service", "metadata": {"name": "web"}, "spec": selecting(&json!({"app": "web"}))}),
            json!({"kind": "Service", "metadata": {"name": "front"}, "spec": selecting(&json!({"tier": "front"}))}),
            json!({"kind": "HTTPRoute", "metadata": {"name": "front"}, "spec": {"rules": rules}}),
        ] {
            world.add(object).unwrap();
        }
        let running = pods(&json!({"app": "web", "tier": "front"}), &[]);
        let new = pods(&json!({"app": "web"}), &[]);
        let workload = Workload { pods: new, running: Some(running), ..Workload::default() };
        let by = |router: &str| {
            let strategy = CanaryStrategy { router: Some(router.to_owned()), ..next().spec.strategy };
            of_services(&workload, &strategy, &world).gaps.len()
        };
        assert_eq!(by("gateway"), 1, "the HTTPRoute would route to no pod");
        assert_eq!(by("nginx"), 0, "nothing that this plan splits goes by the HTTPRoute");
    }

    #[test]
    fn a_port_that_one_version_does_not_declare_is_a_gap_unless_it_is_new() {
        let labels = json!({"app": "web"});
        let ports = |running: &[(&str, i64)], new: &[(&str, i64)], targets: &Value| {
            let targets: Vec<Value> = targets
                .as_array()
                .unwrap()
                .iter()
                .map(|target| json!({"port": 80, "targetPort": target}))
                .collect();
            let service = json!({"selector": labels, "ports": targets});
            counted(pods(&labels, running), pods(&labels, new), &[("web", service)], &[])
        };
        let (old, new) = ([("", 8080)], [("", 9090)]);
        assert_eq!(ports(&old, &new, &json!([8080])), (1, 0), "the template moves before the Service");
        assert_eq!(ports(&old, &new, &json!([9090])), (1, 0), "and after it");
        assert_eq!(ports(&old, &[("", 8080), ("", 9113)], &json!([8080, 9113])), (0, 1), "one more port");
        assert_eq!(ports(&[("http", 8080)], &[("http", 9090)], &json!(["http"])), (0, 0), "by name");
        assert_eq!(ports(&[("http", 8080)], &[("web", 8080)], &json!(["http"])), (1, 0), "another name");
        assert_eq!(ports(&old, &[("http", 8080)], &json!(["http"])), (1, 0), "a name for the same port");
        assert_eq!(ports(&old, &[], &json!([8080])), (0, 0), "a port need not be declared");
    }
}
