//! `undo` and `set image`: changes of the pod template, as `kubectl` itself would make them.

use super::{
    cli::Image,
    error::CanaryError,
    orders::write,
    subject::{self, Subject},
};
use crate::{
    cluster::{
        api::lost_race,
        objects::{list, replica_sets},
        world::ObserveError,
    },
    decide::RolloutView,
    domain::{
        k8s::json_pointer::part,
        names::TemplateHash,
        observed::{ReplicaSetView, written_template},
        state::RolloutState,
    },
    objects::marks::is_owned_by,
};
use json_patch::{Patch as JsonPatch, PatchOperation, ReplaceOperation, TestOperation, jsonptr::PointerBuf};

use kube::{Client, api::Patch};
use serde_json::{Value, json};

/// How often a change that another writer has overtaken is made again.
const ATTEMPTS: usize = 5;
/// Annotation of a `ReplicaSet` with the number that `kubectl rollout history` shows.
const REVISION: &str = "deployment.kubernetes.io/revision";

/// A change that was made: what to say, and the warnings of admission.
#[derive(Debug)]
pub struct Change {
    /// What happened, and what follows.
    pub text: String,
    /// See [`write`].
    pub warnings: Vec<String>,
}

/// Goes back to the template of an earlier revision.
///
/// # Errors
/// There is none, or the API server or admission refuses the change.
pub async fn undo(
    client: &Client,
    namespace: &str,
    name: &str,
    to: Option<u64>,
) -> Result<Change, CanaryError> {
    let mut attempts = 0;
    loop {
        attempts += 1;
        let subject = Subject::look(client, namespace, name).await?;
        let (owner, seen) = subject::find(client, namespace, name).await?;
        let sets = list(&replica_sets(client, namespace), "ReplicaSet", &subject.selector).await;
        let sets = sets.map_err(ObserveError::from)?;
        let sets: Vec<&Value> = sets.iter().filter(|set| is_owned_by(set, &owner.uid)).collect();
        let now = Now { state: &subject.state, template: seen.template_hash(), is_held: seen.is_held() };
        let way = way_back(&now, &sets, to).map_err(CanaryError::NoWayBack)?;
        let at = |tokens: [&str; 2]| PointerBuf::from_tokens(tokens);
        let version = json!(seen.deployment.metadata.resource_version);
        let patch: Patch<Value> = Patch::Json(JsonPatch(vec![
            PatchOperation::Test(TestOperation { path: at(["metadata", "resourceVersion"]), value: version }),
            // The whole template, so that fields of the new one disappear.
            PatchOperation::Replace(ReplaceOperation {
                path: at(["spec", "template"]),
                value: way.template.clone(),
            }),
        ]));
        match write(client, namespace, name, &patch).await {
            Err(CanaryError::Api(error)) if attempts < ATTEMPTS && lost_race(&error) => {}
            Err(error) => return Err(error),
            Ok(warnings) => return Ok(Change { text: way.text(name), warnings }),
        }
    }
}

/// A template to go back to.
#[derive(Debug, PartialEq)]
struct WayBack {
    template: Value,
    revision: u64,
    /// It serves already, so it needs no canary.
    serves: bool,
}

impl WayBack {
    fn text(&self, name: &str) -> String {
        let revision = self.revision;
        if self.serves {
            format!(
                "deployment.apps/{name}: back to revision {revision}, which serves; the canary is removed. Follow it with kubectl canary get {name} --watch\n"
            )
        } else {
            format!(
                "deployment.apps/{name}: the template of revision {revision} is a release and starts a canary. Follow it with kubectl canary get {name} --watch\n"
            )
        }
    }
}

/// Where the Deployment is.
struct Now<'a> {
    state: &'a RolloutState,
    template: TemplateHash,
    is_held: bool,
}

/// Where `undo` goes: while a release is under way or aborted, to stable; else to the newest other revision.
fn way_back(now: &Now<'_>, sets: &[&Value], to: Option<u64>) -> Result<WayBack, String> {
    let Now { state, template: current, is_held } = now;
    let mut known: Vec<(u64, ReplicaSetView, &Value)> =
        sets.iter().map(|set| (revision(set), ReplicaSetView::of(set), *set)).collect();
    known.sort_by_key(|(revision, ..)| *revision);
    // A template that was held a moment ago is not recorded yet, and has no ReplicaSet.
    let newest = known.last().map(|(_, set, _)| &set.template);
    let is_active = state.rollout.is_some() || *is_held;
    let stable = state.stable.as_ref().or(newest).filter(|_| is_active);
    let found = match to {
        Some(wanted) => known.iter().find(|(revision, ..)| *revision == wanted),
        None if is_active => known.iter().rfind(|(_, set, _)| Some(&set.template) == stable),
        None => known.iter().rfind(|(_, set, _)| set.template != *current),
    };
    let numbers: Vec<String> = known.iter().map(|(revision, ..)| revision.to_string()).collect();
    let Some((revision, set, raw)) = found else {
        return Err(match to {
            Some(wanted) if numbers.is_empty() => {
                format!("there is no revision {wanted}, and no other; apply the earlier manifest")
            }
            Some(wanted) => format!(
                "there is no revision {wanted}; there are {}. kubectl rollout history shows them",
                numbers.join(", ")
            ),
            None => "there is no earlier revision; apply the earlier manifest".to_owned(),
        });
    };
    if set.template == *current {
        let phase = RolloutView::recorded(state).phase;
        return Err(format!(
            "the Deployment already has the template of revision {revision} ({phase}); name another with --to-revision, kubectl rollout history shows them"
        ));
    }
    let serves = Some(&set.template) == stable;
    Ok(WayBack { template: written_template(raw), revision: *revision, serves })
}

fn revision(set: &Value) -> u64 {
    let annotations = part(set, "/metadata/annotations");
    let number = annotations.and_then(|annotations| annotations.get(REVISION)?.as_str()?.parse().ok());
    number.unwrap_or_default()
}

/// Sets images of containers.
///
/// # Errors
/// There is no such container, or the API server or admission refuses the change.
pub async fn set_image(
    client: &Client,
    namespace: &str,
    name: &str,
    images: &[Image],
) -> Result<Change, CanaryError> {
    let (_, seen) = subject::find(client, namespace, name).await?;
    let Some(patch) = image_patch(seen.template.body(), images).map_err(CanaryError::NoContainer)? else {
        let text = format!("deployment.apps/{name}: it has these images already\n");
        return Ok(Change { text, warnings: Vec::new() });
    };
    let warnings = write(client, namespace, name, &Patch::Strategic(patch)).await?;
    let text = format!(
        "deployment.apps/{name}: image updated. Follow the release with kubectl canary get {name} --watch\n"
    );
    Ok(Change { text, warnings })
}

/// A strategic merge patch of the Deployment; `None` if nothing would change. `*` means every container.
fn image_patch(template: &Value, images: &[Image]) -> Result<Option<Value>, String> {
    let mut spec = serde_json::Map::new();
    let mut known = Vec::new();
    let mut unused: Vec<&str> =
        images.iter().map(|image| image.container.as_str()).filter(|name| *name != "*").collect();
    for field in ["containers", "initContainers"] {
        let containers = part(template, "/spec").and_then(|spec| spec.get(field)).and_then(Value::as_array);
        let mut changed = Vec::new();
        for container in containers.into_iter().flatten() {
            let name = container.get("name").and_then(Value::as_str).unwrap_or_default();
            known.push(name);
            unused.retain(|unused| *unused != name);
            let wanted = images.iter().rfind(|image| image.container == name || image.container == "*");
            let wanted = wanted.filter(|image| container.get("image") != Some(&json!(image.image)));
            changed.extend(wanted.map(|image| json!({"name": name, "image": image.image})));
        }
        if !changed.is_empty() {
            spec.insert(field.to_owned(), changed.into());
        }
    }
    match unused.first() {
        Some(name) => Err(format!("there is no container {name:?}; there are {}", known.join(", "))),
        None if spec.is_empty() => Ok(None),
        None => Ok(Some(json!({"spec": {"template": {"spec": spec}}}))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        decide::fixtures::{now, seen, state},
        domain::state::Stage,
    };

    fn template(image: &str) -> Value {
        json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "web", "image": image}]}})
    }

    fn hash(image: &str) -> TemplateHash {
        TemplateHash::of(&template(image))
    }

    fn set(number: u64, image: &str) -> Value {
        let mut template = template(image);
        template["metadata"]["labels"]["pod-template-hash"] = json!(format!("hash{number}"));
        json!({"metadata": {"name": image, "annotations": {REVISION: number.to_string()}}, "spec": {"template": template}})
    }

    fn back(state: &RolloutState, current: &str, to: Option<u64>) -> Result<(u64, String, bool), String> {
        let sets = [set(3, "web:3"), set(1, "web:1"), set(2, "web:2")];
        let now = Now { state, template: hash(current), is_held: current == "web:4" };
        let way = way_back(&now, &sets.iter().collect::<Vec<_>>(), to)?;
        assert_eq!(way.template["metadata"]["labels"], json!({"app": "web"}), "as the user wrote it");
        Ok((
            way.revision,
            way.template["spec"]["containers"][0]["image"].as_str().unwrap().to_owned(),
            way.serves,
        ))
    }

    fn releasing() -> RolloutState {
        let paused = Stage::Step { index: 1, entered_at: now(), inconclusive: None };
        RolloutState { stable: Some(hash("web:2")), ..state(&seen(4, "web:4", true), paused) }
    }

    #[test]
    fn at_rest_it_is_the_newest_other_revision() {
        let idle = RolloutState::default();
        assert_eq!(back(&idle, "web:3", None), Ok((2, "web:2".into(), false)));
        assert_eq!(back(&idle, "web:3", Some(1)), Ok((1, "web:1".into(), false)));
    }

    #[test]
    fn during_a_release_it_is_what_serves() {
        assert_eq!(back(&releasing(), "web:4", None), Ok((2, "web:2".into(), true)));
        assert_eq!(back(&releasing(), "web:4", Some(1)), Ok((1, "web:1".into(), false)));
        let unrecorded = RolloutState::default();
        assert_eq!(back(&unrecorded, "web:4", None), Ok((3, "web:3".into(), true)), "held a moment ago");
        let way = WayBack { template: Value::Null, revision: 2, serves: true };
        assert!(way.text("web").contains("back to revision 2, which serves; the canary is removed"));
    }

    #[test]
    fn an_error_says_which_revisions_there_are() {
        let idle = RolloutState::default();
        let unknown = back(&idle, "web:3", Some(9)).unwrap_err();
        assert_eq!(unknown, "there is no revision 9; there are 1, 2, 3. kubectl rollout history shows them");
        let same = back(&idle, "web:3", Some(3)).unwrap_err();
        assert!(
            same.contains("already has the template of revision 3") && same.contains("--to-revision"),
            "{same}"
        );
        let now = Now { state: &idle, template: hash("web:1"), is_held: false };
        let none = way_back(&now, &[], None).unwrap_err();
        assert_eq!(none, "there is no earlier revision; apply the earlier manifest");
    }

    fn image(text: &str) -> Image {
        text.parse().unwrap()
    }

    #[test]
    fn images_are_set_by_the_name_of_the_container() {
        let mut template = template("web:1");
        template["spec"]["initContainers"] = json!([{"name": "init", "image": "init:1"}]);
        let patch = |images: &[&str]| {
            image_patch(&template, &images.iter().map(|text| image(text)).collect::<Vec<_>>())
        };
        let web = json!([{"name": "web", "image": "web:2"}]);
        assert_eq!(
            patch(&["web=web:2"]),
            Ok(Some(json!({"spec": {"template": {"spec": {"containers": web}}}})))
        );
        let all = patch(&["*=one:2"]).unwrap().unwrap();
        assert_eq!(
            all["spec"]["template"]["spec"]["initContainers"],
            json!([{"name": "init", "image": "one:2"}])
        );
        assert_eq!(patch(&["web=web:1"]), Ok(None), "nothing changes");
        assert_eq!(patch(&["app=web:2"]), Err("there is no container \"app\"; there are web, init".into()));
    }
}
