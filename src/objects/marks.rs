//! What distinguishes Haldane's objects from users' objects: two labels. Nobody else may set both of them, which a policy of
//! the API server sees to (`webhook-config/records.yaml`); anyone may set one of them alone.

use crate::domain::{
    k8s::{json_pointer::part, label_rewrite::CANARY_OF_LABEL, selector::Labels},
    world::OtherCanary,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;

/// The first label.
pub const MANAGED_BY_LABEL: &str = "app.kubernetes.io/managed-by";
/// Its value.
pub const MANAGED_BY: &str = "haldane";

/// Annotation on an object of ours that another object than its Deployment owns: `NAME/UID` of the Deployment.
pub const DEPLOYMENT_ANNOTATION: &str = "haldane.dev/deployment";

/// Annotation on a canary's Service: the user's Service of which it is the counterpart.
pub const SERVICE_ANNOTATION: &str = "haldane.dev/service";

/// The labels that are on every object of ours for the Deployment of this label value.
#[must_use]
pub fn marks(canary_of: &str) -> Labels {
    Labels::from(
        [(MANAGED_BY_LABEL, MANAGED_BY), (CANARY_OF_LABEL, canary_of)]
            .map(|(key, value)| (key.to_owned(), value.to_owned())),
    )
}

/// Selects everything of ours in list requests.
#[must_use]
pub fn selector() -> String {
    format!("{MANAGED_BY_LABEL}={MANAGED_BY},{CANARY_OF_LABEL}")
}

/// Selects what is ours for the Deployment of this label value.
#[must_use]
pub fn selector_for(canary_of: &str) -> String {
    format!("{}={canary_of}", selector())
}

/// Whether an object is ours, for whichever Deployment; also when that is gone and has left it behind.
#[must_use]
pub fn is_ours(metadata: &ObjectMeta) -> bool {
    has_marks(|key| metadata.labels.as_ref()?.get(key).map(String::as_str))
}

/// [`is_ours`] of an object as the API server sent it.
#[must_use]
pub fn is_ours_raw(object: &Value) -> bool {
    let labels = part(object, "/metadata/labels");
    has_marks(|key| labels?.get(key)?.as_str())
}

/// Whether a Deployment is a canary of ours, which is released by the Deployment that owns it. What webhooks leave
/// alone is this (`not-of-haldane`).
#[must_use]
pub fn is_canary(deployment: &Value) -> bool {
    is_ours_raw(deployment)
        && owners(deployment).any(|owner| {
            let is = |field: &str, value: &str| owner.get(field).is_some_and(|found| found == value);
            is("apiVersion", "apps/v1") && is("kind", "Deployment")
        })
}

/// Whether the owner with this UID owns `object`.
#[must_use]
pub fn is_owned_by(object: &Value, uid: &str) -> bool {
    owners(object).any(|owner| owner.get("uid").and_then(Value::as_str) == Some(uid))
}

/// Whether `object` is ours, and its annotation names this Deployment of its namespace. Its UID does not matter: garbage
/// collection leaves what a deleted Deployment of this name has left behind, so the next one removes it.
#[must_use]
pub fn is_for(object: &Value, name: &str) -> bool {
    annotated(object).is_some_and(|(known, _)| known == name) && is_ours_raw(object)
}

/// Name and UID of the Deployment that the annotation means.
#[must_use]
pub fn deployment(annotation: &str) -> Option<(&str, &str)> {
    annotation.split_once('/')
}

/// Name of the Deployment that an object of ours is for. What a route owns has the Deployment in its annotation.
#[must_use]
pub fn owner_name(object: &Value) -> Option<&str> {
    let owner = || owners(object).find_map(|owner| owner.get("name")?.as_str());
    annotated(object).map(|(name, _)| name).or_else(owner)
}

/// Whose canary a Service of ours is.
#[must_use]
pub fn canary_of_service(service: &Value) -> Option<OtherCanary> {
    let deployment = owner_name(service)?.to_owned();
    let counterpart = || part(service, "/metadata/annotations")?.get(SERVICE_ANNOTATION)?.as_str();
    Some(OtherCanary { deployment, service: counterpart().map(str::to_owned) })
}

fn annotated(object: &Value) -> Option<(&str, &str)> {
    deployment(part(object, "/metadata/annotations")?.get(DEPLOYMENT_ANNOTATION)?.as_str()?)
}

fn owners(object: &Value) -> impl Iterator<Item = &Value> {
    part(object, "/metadata/ownerReferences").and_then(Value::as_array).into_iter().flatten()
}

fn has_marks<'a>(label: impl Fn(&str) -> Option<&'a str>) -> bool {
    label(MANAGED_BY_LABEL) == Some(MANAGED_BY) && label(CANARY_OF_LABEL).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_another_object_owns_is_for_the_deployment_that_it_says_if_it_is_ours() {
        let mut object = json!({"metadata": {"annotations": {DEPLOYMENT_ANNOTATION: "web/u"}}});
        assert!(!is_for(&object, "web"), "anybody can annotate");
        object["metadata"]["labels"] = json!(marks("web"));
        object["metadata"]["ownerReferences"] = json!([{"kind": "HTTPRoute", "name": "front", "uid": "r"}]);
        assert_eq!(["web", "front", "u"].map(|name| is_for(&object, name)), [true, false, false]);
        assert_eq!(owner_name(&object), Some("web"), "not the route");
    }

    #[test]
    fn one_label_alone_is_anybodys_and_a_canary_has_an_owner() {
        let object = |labels: &[(&str, &str)], owner: Option<&str>| {
            let labels: Labels = labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            let owners: Vec<Value> = owner
                .map(|kind| json!({"apiVersion": "apps/v1", "kind": kind, "uid": "u"}))
                .into_iter()
                .collect();
            json!({"metadata": {"labels": labels, "ownerReferences": owners}})
        };
        let (by, of) = ((MANAGED_BY_LABEL, MANAGED_BY), (CANARY_OF_LABEL, "web"));
        for (labels, owner, ours, canary) in [
            (vec![], Some("Deployment"), false, false),
            (vec![by], Some("Deployment"), false, false),
            (vec![of], Some("Deployment"), false, false),
            (vec![(MANAGED_BY_LABEL, "Helm"), of], Some("Deployment"), false, false),
            (vec![by, of], Some("Deployment"), true, true),
            (vec![by, of], Some("StatefulSet"), true, false),
            (vec![by, of], None, true, false),
        ] {
            let object = object(&labels, owner);
            let metadata: ObjectMeta =
                serde_json::from_value(json!({"labels": object["metadata"]["labels"]})).unwrap();
            assert_eq!((is_ours_raw(&object), is_canary(&object)), (ours, canary), "{object}");
            assert_eq!(is_ours(&metadata), ours, "{object}");
        }
    }
}
