//! What a pod template must have to be releasable.

use super::{Check, Occasion, Rule, Subject};
use crate::domain::{
    fields::Node,
    finding::{Finding, Findings},
};
use serde_json::Value;

/// See the module.
pub(super) static RULE: Rule = Rule {
    id: "pod-template",
    doc: "What every container must have: with `readinessProbe: true` a readiness probe, without which a canary gets requests too early; with `pinnedImage: true` an image with a digest or a tag other than `latest`; with `registries` an image from one of them. Checked for opted-in Deployments.",
    example: "{readinessProbe: true, pinnedImage: true, registries: [registry.example.com/]}",
    read: |node| {
        node.object(|fields| {
            let readiness_probe = fields.optional("readinessProbe", Node::bool).unwrap_or(false);
            let pinned_image = fields.optional("pinnedImage", Node::bool).unwrap_or(false);
            let registries = fields.list("registries", Node::string);
            Some(Box::new(PodTemplate { readiness_probe, pinned_image, registries }) as Box<dyn Check>)
        })
    },
};

#[derive(Debug)]
struct PodTemplate {
    readiness_probe: bool,
    pinned_image: bool,
    registries: Vec<String>,
}

impl Check for PodTemplate {
    fn check(&self, subject: &Subject<'_>) -> Findings {
        if !subject.opted_in || !matches!(subject.occasion, Occasion::Create | Occasion::Release) {
            return Findings::new();
        }
        let containers = subject.template.pointer("/spec/containers").and_then(Value::as_array);
        let containers = containers.into_iter().flatten().enumerate();
        containers.flat_map(|(index, container)| self.container(index, container)).collect()
    }
}

impl PodTemplate {
    fn container(&self, index: usize, container: &Value) -> Findings {
        let path = format!("spec.template.spec.containers[{index}]");
        let text = |key: &str| container.get(key).and_then(Value::as_str).unwrap_or_default();
        let (name, image) = (text("name"), text("image"));
        let mut findings = Findings::new();
        if self.readiness_probe && container.get("readinessProbe").is_none() {
            let problem =
                "must have a readinessProbe, so that the canary gets requests only when it can serve them";
            findings.push(Finding::new(format!("{path}.readinessProbe"), name, problem));
        }
        if self.pinned_image && !is_pinned(image) {
            let problem = "must have a digest, or a tag that is not latest, so that it stays what was judged";
            findings.push(Finding::new(format!("{path}.image"), image, problem));
        }
        let is_known = self.registries.is_empty()
            || self.registries.iter().any(|prefix| image.starts_with(prefix.as_str()));
        if !is_known {
            let problem = format!("must come from {}", self.registries.join(" or "));
            findings.push(Finding::new(format!("{path}.image"), image, problem));
        }
        findings
    }
}

/// A colon before the last slash belongs to the registry's port.
fn is_pinned(image: &str) -> bool {
    let last = image.rsplit('/').next().unwrap_or(image);
    image.contains('@') || last.split_once(':').is_some_and(|(_, tag)| tag != "latest")
}
