//! The canary's autoscaler: the user's, aimed at the canary, and never below the size for the weight.
//!
//! So a canary that carries traffic for a day follows the load as stable would have.

use super::{
    canary_deployment::canary_name,
    manifest::{Kind, Manifest, Meta, Owner},
};
use crate::domain::{
    k8s::{json_pointer::part, label_rewrite::LabelRewrite},
    observed::Observed,
};
use serde_json::{Value, json};

/// The clone for a canary of at least `replicas` pods; `None` where nothing scales the user's Deployment.
///
/// Metrics and behaviour are copied as they are. What measures pods then measures the canary's; an
/// `Object` or `External` metric measures the whole application, so by it the canary may become larger
/// than its share, never smaller.
#[must_use]
pub fn canary_autoscaler(
    seen: &Observed,
    owner: &Owner,
    rewrite: &LabelRewrite,
    replicas: i32,
) -> Option<Manifest> {
    let mut spec =
        seen.world.autoscalers.iter().find(|autoscaler| scales(autoscaler, owner))?.get("spec")?.clone();
    let name = canary_name(&owner.name);
    // An autoscaler does not accept 0; a Deployment of size 0 it leaves alone.
    let least = replicas.max(1);
    let most = spec.get("maxReplicas").and_then(Value::as_i64).unwrap_or(1).max(i64::from(least));
    *spec.pointer_mut("/scaleTargetRef/name")? = json!(name);
    let fields = spec.as_object_mut()?;
    fields.insert("minReplicas".to_owned(), json!(least));
    fields.insert("maxReplicas".to_owned(), json!(most));
    let meta = Meta::default();
    Some(Manifest::new(Kind::AUTOSCALER, &name, owner, &rewrite.owner_label(), meta, spec))
}

/// Whether an autoscaler's target is the user's Deployment. KEDA's are autoscalers like any other.
fn scales(autoscaler: &Value, owner: &Owner) -> bool {
    let target = |field: &str| {
        let target = part(autoscaler, "/spec/scaleTargetRef").and_then(|target| target.get(field));
        target.and_then(Value::as_str).unwrap_or_default()
    };
    target("kind") == "Deployment"
        && target("apiVersion").starts_with("apps/")
        && target("name") == owner.name
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::world::World;
    use std::{collections::BTreeSet, sync::Arc};

    fn clone_of(target: &Value, replicas: i32) -> Option<Value> {
        let owner = Owner { name: "web".into(), namespace: "shop".into(), uid: "u".into() };
        let rewrite = LabelRewrite { of: "web".into(), keys: BTreeSet::from(["app".to_owned()]) };
        let autoscaler = json!({
            "metadata": {"name": "keda-hpa-web", "labels": {"scaledobject.keda.sh/name": "web"}},
            "spec": {
                "scaleTargetRef": target,
                "minReplicas": 2,
                "maxReplicas": 6,
                "metrics": [{"type": "Resource", "resource": {"name": "cpu"}}],
                "behavior": {"newerThanThisProgram": true},
            },
        });
        let world = World { autoscalers: vec![autoscaler], ..World::default() };
        let seen = Observed { world: Arc::new(world), ..Observed::default() };
        canary_autoscaler(&seen, &owner, &rewrite, replicas).map(|manifest| manifest.body)
    }

    fn web() -> Value {
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"})
    }

    #[test]
    fn the_clone_scales_the_canary_from_the_size_for_the_weight() {
        let body = clone_of(&web(), 3).unwrap();
        assert_eq!(body["metadata"]["name"], "web-canary");
        assert_eq!(
            body["metadata"]["labels"].get("scaledobject.keda.sh/name"),
            None,
            "KEDA's mark is KEDA's"
        );
        let spec = &body["spec"];
        assert_eq!(spec["scaleTargetRef"]["name"], "web-canary");
        assert_eq!((&spec["minReplicas"], &spec["maxReplicas"]), (&json!(3), &json!(6)));
        assert_eq!(spec["metrics"][0]["resource"]["name"], "cpu");
        assert_eq!(spec["behavior"]["newerThanThisProgram"], true);
    }

    #[test]
    fn its_bounds_are_valid_at_every_size() {
        for (replicas, least, most) in [(0, 1, 6), (6, 6, 6), (9, 9, 9)] {
            let spec = &clone_of(&web(), replicas).unwrap()["spec"];
            assert_eq!((&spec["minReplicas"], &spec["maxReplicas"]), (&json!(least), &json!(most)));
        }
    }

    #[test]
    fn an_autoscaler_of_something_else_is_not_cloned() {
        for (field, value) in [("name", "api"), ("kind", "StatefulSet"), ("apiVersion", "other.io/v1")] {
            let mut target = web();
            target[field] = json!(value);
            assert_eq!(clone_of(&target, 1), None, "{field} {value}");
        }
    }
}
