//! Routes of users, as the API server sent them.

use crate::domain::k8s::json_pointer::part;
use serde_json::Value;

/// The items of a list.
pub(super) fn items<'a>(object: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    part(object, pointer).and_then(Value::as_array).into_iter().flatten()
}

/// Name of an object.
pub(super) fn name_of(object: &Value) -> &str {
    part(object, "/metadata/name").and_then(Value::as_str).unwrap_or_default()
}

/// Namespace of an object.
pub(super) fn namespace_of(object: &Value) -> &str {
    part(object, "/metadata/namespace").and_then(Value::as_str).unwrap_or_default()
}

/// Name of the Service of its own namespace that a reference to a backend means, if it means one.
pub(super) fn service_of<'a>(backend: &'a Value, namespace: &str) -> Option<&'a str> {
    let is = |field: &str, allowed: &[&str]| {
        let found = backend.get(field).and_then(Value::as_str);
        found.is_none_or(|found| allowed.contains(&found))
    };
    let is_service = is("kind", &["Service"]) && is("group", &["", "core"]) && is("namespace", &[namespace]);
    if is_service { backend.get("name")?.as_str() } else { None }
}

/// The object with another value of a field.
pub(super) fn with(object: &Value, field: &str, value: Value) -> Value {
    let mut fields = object.as_object().cloned().unwrap_or_default();
    fields.insert(field.to_owned(), value);
    fields.into()
}

/// The object without a field.
pub(super) fn without(object: &Value, field: &str) -> Value {
    let mut fields = object.as_object().cloned().unwrap_or_default();
    fields.remove(field);
    fields.into()
}
