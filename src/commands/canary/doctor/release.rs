//! One Deployment: whether it is managed, its plan, its Services and routes, its record and its analysis.

use super::{Level, Line, Read, Record, Snapshot, series, text};
use crate::{
    admit::AdmitConfig,
    commands::canary::offline::{Manifest, Manifests, Occasion, report},
    config::{
        annotations::{Choice, INTERNAL_KEYS, choice},
        declared_plan::{DeclaredPlan, read_annotations},
        namespace::Namespace,
    },
    decide::RolloutView,
    domain::{
        k8s::{
            json_pointer::part,
            selector::{Labels, map_selects},
        },
        keys,
        state::Phase,
        world::World,
    },
    objects::{labels::service_selector, marks::is_ours_raw},
    routers,
};
use serde_json::Value;

/// What was read of it.
#[derive(Debug, Clone)]
pub struct Release {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The Deployment; `None` if it does not exist.
    pub deployment: Read<Option<Value>>,
    /// Its Namespace, and what is there: Services, routes, and `ConfigMaps` with templates and profiles.
    pub around: Vec<Value>,
    /// What could not be read of that.
    pub unread: Vec<String>,
    /// What is recorded.
    pub record: Record,
    /// For each metric name of its queries, whether Prometheus has series of it.
    pub series: Vec<(String, Read<bool>)>,
    /// How admission judges.
    pub config: AdmitConfig,
}

impl Release {
    pub(super) fn examine(&self, snapshot: &Snapshot) -> Vec<Line> {
        let Self { namespace, name, .. } = self;
        let deployment = match &self.deployment {
            Ok(Some(deployment)) => deployment,
            Ok(None) => {
                let absent = format!("Deployment {name:?} does not exist in namespace {namespace:?}");
                return vec![Line::problem(absent, "kubectl canary list -A shows all managed Deployments")];
            }
            Err(why) => return vec![Line::unread(&format!("Deployment {name}"), why)],
        };
        let membership = self.membership(deployment);
        let is_managed = membership.level != Level::Problem;
        let mut lines = vec![membership];
        lines.extend(self.unread.iter().map(|why| Line::unread("what is around the Deployment", why)));
        if is_managed {
            lines.extend(self.plan(deployment, snapshot));
        }
        lines.extend(self.services(deployment));
        lines.push(self.recorded());
        lines.extend(series::examine(&self.series));
        lines
    }

    /// Whether Haldane manages it, and why not.
    fn membership(&self, deployment: &Value) -> Line {
        let Self { namespace, name, .. } = self;
        let annotate = format!("kubectl -n {namespace} annotate deployment {name} {}=enabled", keys::CANARY);
        let is_marked = labels(deployment, "/metadata/labels").contains_key(keys::MANAGED);
        match choice(&labels(deployment, "/metadata/annotations")) {
            Choice::Out => Line::problem(
                format!("Deployment {name} is not managed: its annotation {} is disabled", keys::CANARY),
                format!("{annotate} --overwrite"),
            ),
            _ if is_marked => Line::good(format!("Deployment {name} is managed")),
            Choice::In => Line::warning(
                format!(
                    "Deployment {name} opts in, but has no label {}: it was written while the webhook could not be called",
                    keys::MANAGED
                ),
                "Haldane adds the label when it starts; or apply the Deployment again",
            ),
            Choice::Silent if self.namespace().opts_in() => Line::problem(
                format!(
                    "Deployment {name} is not managed: namespace {namespace} opts in Deployments with a route, and it has none"
                ),
                format!("add a Service and an Ingress, or opt it in: {annotate}"),
            ),
            Choice::Silent => Line::problem(
                format!("Deployment {name} is not managed: it has no annotation {}", keys::CANARY),
                annotate,
            ),
        }
    }

    fn namespace(&self) -> Namespace {
        let is_it = |object: &&Value| {
            text(object, "/kind") == "Namespace" && text(object, "/metadata/name") == self.namespace
        };
        let found = self.around.iter().find(is_it);
        let of = |at: &str| found.map(|object| labels(object, at)).unwrap_or_default();
        Namespace::new(
            &self.namespace,
            &self.config.own_namespace,
            of("/metadata/labels"),
            of("/metadata/annotations"),
        )
    }

    /// The plan, if it can be read.
    pub(super) fn declared(&self) -> Option<DeclaredPlan> {
        let deployment = self.deployment.as_ref().ok()?.as_ref()?;
        let own = written(&labels(deployment, "/metadata/annotations"));
        let settings = self.namespace().settings(&own);
        settings
            .read(&self.config.defaults)
            .ok()
            .or_else(|| read_annotations(&own, &self.config.defaults).ok())
    }

    /// What admission would say if the Deployment were opted in now.
    fn plan(&self, deployment: &Value, snapshot: &Snapshot) -> Vec<Line> {
        let mut applied = deployment.clone();
        if let Some(spec) = applied.get_mut("spec").and_then(Value::as_object_mut) {
            spec.remove("paused");
        }
        if let Some(metadata) = applied.get_mut("metadata").and_then(Value::as_object_mut) {
            for map in ["annotations", "labels"] {
                if let Some(map) = metadata.get_mut(map).and_then(Value::as_object_mut) {
                    map.retain(|key, _| !INTERNAL_KEYS.contains(&key.as_str()));
                }
            }
        }
        let users = self.around.iter().filter(|object| !is_ours_raw(object)).cloned();
        let manifest = |object| Manifest { file: String::new(), object, is_placed: true };
        let all = [applied].into_iter().chain(users).map(manifest).collect();
        let decisions = Manifests { all }.decide(Occasion::OptIn, &self.config, snapshot.now);
        let title = format!("Deployment {}/{}", self.namespace, self.name);
        let problems = report::problems(&decisions).into_iter().filter(|problem| problem.object == title);
        let lines: Vec<Line> = problems
            .map(|problem| {
                let text = format!("the plan: {}", problem.message);
                if problem.is_error {
                    Line::problem(text, "kubectl canary explain KEY explains each field")
                } else {
                    Line::warning(text, "")
                }
            })
            .collect();
        if lines.is_empty() { vec![Line::good("the plan is valid")] } else { lines }
    }

    /// The Services that select its pods, and whether something routes to them.
    fn services(&self, deployment: &Value) -> Vec<Line> {
        let mut world = World::default();
        let kinds = |object: &&Value| !["Namespace", "ConfigMap"].contains(&text(object, "/kind"));
        for object in self.around.iter().filter(kinds).filter(|object| !is_ours_raw(object)) {
            // What cannot be read is named by the plan's own findings.
            drop(world.add(object.clone()));
        }
        let pods = labels(deployment, "/spec/template/metadata/labels");
        let selecting: Vec<_> = world
            .services
            .iter()
            .filter(|service| service_selector(service).is_some_and(|selector| map_selects(selector, &pods)))
            .collect();
        if selecting.is_empty() {
            return vec![Line::problem(
                "no Service selects the Deployment's pods, so a canary cannot get requests",
                "create a Service whose selector matches spec.template.metadata.labels",
            )];
        }
        let declared = self.declared();
        let plan = declared.as_ref().map(|declared| &declared.strategy);
        let line = |service: &&k8s_openapi::api::core::v1::Service| {
            let name = service.metadata.name.clone().unwrap_or_default();
            if routers::is_routed(service, plan, &world) {
                Line::good(format!("Service {name} selects its pods, and a route routes to it"))
            } else {
                Line::warning(
                    format!(
                        "Service {name} selects its pods, but no {} routes to it: the canary's share of the traffic is its share of the pods",
                        routers::routes(plan)
                    ),
                    "add a route, unless that is intended",
                )
            }
        };
        selecting.iter().map(line).collect()
    }

    fn recorded(&self) -> Line {
        let state = match &self.record {
            Ok(Some(state)) => state,
            Ok(None) => return Line::good("no release is recorded yet"),
            Err(why) => {
                return Line::problem(
                    format!("the record cannot be read: {why}"),
                    "restore the ConfigMap, or delete it while no release is under way",
                );
            }
        };
        let view = RolloutView::recorded(state);
        let message = view.message.map(|message| format!(", {message}")).unwrap_or_default();
        let text = format!("the record says {}{message}", view.phase);
        match view.phase {
            Phase::Degraded => Line::warning(
                text,
                "release a fix, or try it again with kubectl canary retry, or go back with kubectl canary undo",
            ),
            _ => Line::good(text),
        }
    }
}

/// What users have written of these annotations.
fn written(annotations: &Labels) -> Labels {
    let is_theirs = |key: &&String| !INTERNAL_KEYS.contains(&key.as_str());
    annotations
        .iter()
        .filter(|(key, _)| is_theirs(key))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

fn labels(object: &Value, at: &str) -> Labels {
    let map = part(object, at).and_then(Value::as_object).into_iter().flatten();
    map.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use serde_json::json;

    fn deployment(annotations: &Value, marked: bool) -> Value {
        let labels = if marked { json!({keys::MANAGED: "true"}) } else { json!({}) };
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "web", "namespace": "shop", "annotations": annotations, "labels": labels},
            "spec": {
                "replicas": 4, "selector": {"matchLabels": {"app": "web"}},
                "template": {
                    "metadata": {"labels": {"app": "web"}},
                    "spec": {"containers": [{"name": "web", "image": "web:1", "readinessProbe": {"httpGet": {"port": 80}}}]},
                },
            },
        })
    }

    fn around() -> Vec<Value> {
        let backend = json!({"service": {"name": "web", "port": {"number": 80}}});
        vec![
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}),
            json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "shop"},
                "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]}}),
            json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "web", "namespace": "shop"},
                "spec": {"ingressClassName": "nginx", "rules": [{"host": "a.example", "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}]}}),
        ]
    }

    pub fn release(annotations: &Value) -> Release {
        Release {
            namespace: "shop".into(),
            name: "web".into(),
            deployment: Ok(Some(deployment(annotations, true))),
            around: around(),
            unread: Vec::new(),
            record: Ok(None),
            series: Vec::new(),
            config: crate::commands::canary::admission().unwrap(),
        }
    }

    const PLAN: &str = "{steps: [{setWeight: 25}, {pause: {duration: 5m}}]}";

    fn faults(release: &Release) -> Vec<Line> {
        let snapshot = Snapshot::only(None);
        release.examine(&snapshot).into_iter().filter(|line| line.level == Level::Problem).collect()
    }

    #[track_caller]
    fn only(release: &Release, part: &str, remedy: &str) {
        match faults(release).as_slice() {
            [line] if line.text.contains(part) && line.remedy.contains(remedy) => {}
            other => panic!("not only {part:?}: {other:#?}"),
        }
    }

    #[test]
    fn a_managed_deployment_with_a_route_has_no_problem() {
        assert_eq!(faults(&release(&json!({keys::CANARY: PLAN}))), []);
    }

    #[test]
    fn it_is_said_why_a_deployment_is_not_managed() {
        let of = |annotations: Value| Release {
            deployment: Ok(Some(deployment(&annotations, false))),
            ..release(&json!({}))
        };
        only(
            &of(json!({})),
            "it has no annotation haldane.dev/canary",
            "kubectl -n shop annotate deployment web haldane.dev/canary=enabled",
        );
        only(&of(json!({keys::CANARY: "disabled"})), "is disabled", "--overwrite");
        let absent = Release { deployment: Ok(None), ..release(&json!({})) };
        only(&absent, "does not exist in namespace \"shop\"", "kubectl canary list -A");
        let mut namespaced = of(json!({}));
        namespaced.around[0]["metadata"]["labels"] = json!({keys::CANARY: "enabled"});
        only(&namespaced, "opts in Deployments with a route", "add a Service and an Ingress");
    }

    #[test]
    fn a_wrong_plan_is_reported_as_admission_reports_it() {
        let wrong = release(&json!({keys::CANARY: "{steps: [{setWeight: 250}]}"}));
        only(
            &wrong,
            "steps[0].setWeight: \"250\": must be a whole number from 0 to 100",
            "kubectl canary explain",
        );
        let missing = release(
            &json!({keys::CANARY: "{analysis: {templates: [{templateName: none}]}, steps: [{setWeight: 5}]}"}),
        );
        assert!(faults(&missing)[0].text.contains("none"), "{:?}", faults(&missing));
    }

    #[test]
    fn services_routes_and_the_record_are_looked_at() {
        let mut alone = release(&json!({keys::CANARY: PLAN}));
        alone.around.truncate(1);
        assert!(
            faults(&alone).iter().any(|line| line.text.contains("no Service selects the Deployment's pods")),
            "{:?}",
            faults(&alone)
        );
        let broken = Release {
            record: Err("ConfigMap haldane-web: not JSON".into()),
            ..release(&json!({keys::CANARY: PLAN}))
        };
        only(&broken, "the record cannot be read: ConfigMap haldane-web: not JSON", "restore the ConfigMap");
    }

    #[test]
    fn a_route_of_the_router_that_the_plan_names_is_found() {
        let plan = "{trafficRouting: {gateway: {}}, steps: [{setWeight: 25}]}";
        let mut by_gateway = release(&json!({keys::CANARY: plan}));
        by_gateway.around.pop();
        let warns = |release: &Release| {
            let lines = release.examine(&Snapshot::only(None));
            lines.iter().any(|line| line.text.contains("but no Ingress or HTTPRoute routes to it"))
        };
        assert!(warns(&by_gateway));
        let rules = json!([{"backendRefs": [{"name": "web", "port": 80}]}]);
        let metadata = json!({"name": "web", "namespace": "shop"});
        by_gateway.around.push(
            json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": metadata, "spec": {"rules": rules}}),
        );
        assert!(!warns(&by_gateway));
    }
}
