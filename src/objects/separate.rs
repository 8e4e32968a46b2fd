//! Whose an object is: one of users, or one of ours.

use super::{
    manifest::Kind,
    marks::{canary_of_service, is_ours_raw, is_owned_by},
};
use crate::domain::{k8s::json_pointer::part, world::World};
use serde_json::Value;

/// The objects of a namespace, by whose they are.
#[derive(Debug, Default)]
pub struct Separated {
    /// Objects of users.
    pub world: World,
    /// Objects of ours for one Deployment, raw.
    pub ours: Vec<Value>,
}

impl Separated {
    /// Adds an object as the API server sent it, with its `kind`. Of an object of ours for another Deployment than the one
    /// with `uid`, only a Service is kept, by its name.
    ///
    /// # Errors
    /// When it is not what its kind promises.
    pub fn add(&mut self, object: Value, uid: &str) -> Result<(), serde_json::Error> {
        if !is_ours_raw(&object) {
            return self.world.add(object);
        }
        if is_owned_by(&object, uid) {
            self.ours.push(object);
        } else if Kind::SERVICE.is_of(&object)
            && let (Some(name), Some(owner)) = (named(&object), canary_of_service(&object))
        {
            self.world.canaries.insert(name.to_owned(), owner);
        }
        Ok(())
    }
}

fn named(object: &Value) -> Option<&str> {
    part(object, "/metadata/name")?.as_str()
}
