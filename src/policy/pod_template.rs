//! Rule pod-template: what a pod template must have to be released.

use super::{Check, Occasion, Rule, Subject};
use crate::document::{
    fields::Node,
    finding::{Finding, Findings},
};
use serde_json::Value;

/// See the module.
pub(super) static RULE: Rule = Rule {
    id: "pod-template",
    doc: "What every container must have. `readinessProbe: true`: a readiness probe, because without one a canary gets requests too early. `pinnedImage: true`: an image with a digest, or with a tag other than `latest`. `registries`: an image from one of these registries. The last two also apply to init containers and image volumes. A registry is a host, or a host and the start of a path up to a `/`; an image without a host is from `docker.io`, and without a path from `docker.io/library`. Checked for opted-in Deployments.",
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
        if !subject.opted_in || !(subject.occasion == Occasion::Create || subject.occasion.releases()) {
            return Findings::new();
        }
        let all = |key: &'static str| {
            let items = subject.template.get("spec").and_then(|spec| spec.get(key)?.as_array());
            let path = move |(index, item)| (format!("spec.template.spec.{key}[{index}]"), item);
            items.into_iter().flatten().enumerate().map(path)
        };
        let mut findings: Findings =
            all("containers").filter_map(|(path, container)| self.unprobed(&path, container)).collect();
        for (path, container) in all("containers").chain(all("initContainers")) {
            findings.extend(self.image(&format!("{path}.image"), container.get("image")));
        }
        for (path, volume) in all("volumes") {
            if let Some(image) = volume.get("image") {
                findings.extend(self.image(&format!("{path}.image.reference"), image.get("reference")));
            }
        }
        findings
    }
}

impl PodTemplate {
    fn unprobed(&self, path: &str, container: &Value) -> Option<Finding> {
        let is_missing = self.readiness_probe && container.get("readinessProbe").is_none_or(Value::is_null);
        let name = container.get("name").and_then(Value::as_str).unwrap_or_default();
        let problem =
            "must have a readinessProbe, so that the canary gets requests only when it is ready for them";
        is_missing.then(|| Finding::new(format!("{path}.readinessProbe"), name, problem))
    }

    fn image(&self, path: &str, image: Option<&Value>) -> Findings {
        let image = image.and_then(Value::as_str).unwrap_or_default();
        let mut findings = Findings::new();
        if self.pinned_image && !is_pinned(image) {
            let problem = "must have a digest, or a tag other than latest, so that the promoted image is the one that was tested";
            findings.push(Finding::new(path, image, problem));
        }
        let is_known =
            self.registries.is_empty() || self.registries.iter().any(|registry| is_from(image, registry));
        if !is_known {
            let problem = format!("must come from {}", self.registries.join(" or "));
            findings.push(Finding::new(path, image, problem));
        }
        findings
    }
}

/// Whether an image comes from a registry: a host, or a host and the start of a path.
///
/// Source of the defaults: github.com/distribution/reference, `splitDockerDomain`.
fn is_from(image: &str, registry: &str) -> bool {
    let (host, path) = split(image);
    let path =
        if host == DOCKER_HUB && !path.contains('/') { format!("library/{path}") } else { path.to_owned() };
    let registry = registry.trim_end_matches('/');
    let (wanted, beginning) = if is_host(registry) { (registry, "") } else { split(registry) };
    let rest = path.strip_prefix(beginning);
    host == wanted
        && (beginning.is_empty()
            || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', ':', '@'])))
}

const DOCKER_HUB: &str = "docker.io";

/// The host of an image and the rest.
fn split(image: &str) -> (&str, &str) {
    match image.split_once('/') {
        Some(("index.docker.io", path)) => (DOCKER_HUB, path),
        Some((host, path)) if is_host(host) => (host, path),
        _ => (DOCKER_HUB, image),
    }
}

/// Whether the part before the first `/` is a host, and not the start of a path on Docker Hub.
fn is_host(text: &str) -> bool {
    let is_named = text.contains(['.', ':']) || text == "localhost" || text.contains(char::is_uppercase);
    is_named && !text.contains('/')
}

/// A colon before the last slash belongs to the registry's port.
fn is_pinned(image: &str) -> bool {
    let last = image.rsplit('/').next().unwrap_or(image);
    image.contains('@') || last.split_once(':').is_some_and(|(_, tag)| tag != "latest")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_cannot_be_got_around_by_a_registry_that_begins_like_an_allowed_one() {
        for (registry, image, wanted) in [
            ("registry.example.com", "registry.example.com/web:1", true),
            ("registry.example.com/", "registry.example.com/team/web@sha256:1", true),
            ("registry.example.com", "registry.example.com.evil/web:1", false),
            ("registry.example.com", "registry.example.com:5000/web:1", false),
            ("registry.example.com", "registry.example.com", false),
            ("registry.example.com:5000", "registry.example.com:5000/web:1", true),
            ("registry.example.com/team", "registry.example.com/team/web:1", true),
            ("registry.example.com/team", "registry.example.com/team-evil/web:1", false),
            ("registry.example.com/team/web", "registry.example.com/team/web:1", true),
            ("registry.example.com/team/web", "registry.example.com/team/web-evil:1", false),
            ("docker.io", "nginx", true),
            ("docker.io", "team/web:1", true),
            ("docker.io/library", "nginx:1", true),
            ("docker.io/library", "index.docker.io/library/nginx:1", true),
            ("docker.io/library", "team/web:1", false),
            ("team/", "team/web:1", true),
            ("team", "docker.io/team/web:1", true),
            ("team", "team.evil/web:1", false),
            ("localhost", "localhost/web:1", true),
            ("docker.io", "EVIL/web:1", false),
        ] {
            assert_eq!(is_from(image, registry), wanted, "{image} from {registry}");
        }
    }
}
