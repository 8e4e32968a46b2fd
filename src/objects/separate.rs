//! What users have in a namespace, apart from what is ours there.

use super::{
    manifest::Kind,
    marks::{canary_of_service, is_ours_raw},
};
use crate::domain::{k8s::json_pointer::part, world::World};
use serde_json::Value;

/// Adds an object of a namespace as the API server sent it, with its `kind`. Of objects of ours only a Service is kept, by
/// its name.
///
/// # Errors
/// When it is not what its kind promises.
pub fn add(world: &mut World, object: Value) -> Result<(), serde_json::Error> {
    if !is_ours_raw(&object) {
        return world.add(object);
    }
    let name = part(&object, "/metadata/name").and_then(Value::as_str);
    if let (true, Some(name), Some(owner)) = (Kind::SERVICE.is_of(&object), name, canary_of_service(&object))
    {
        world.canaries.insert(name.to_owned(), owner);
    }
    Ok(())
}
