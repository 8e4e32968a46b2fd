//! What of ours exists in the cluster, as the watches tell: asking costs no request.

use super::watches::steady;
use crate::build::manifest::Owner;
use futures::Stream;
use kube::{
    Api, Client, Resource, ResourceExt,
    core::PartialObjectMeta,
    runtime::{WatchStreamExt, reflector, watcher},
};
use serde::de::DeserializeOwned;
use std::{
    fmt,
    sync::{Mutex, PoisonError},
};

type IsOwner = Box<dyn Fn(&Owner) -> bool + Send + Sync>;

/// The watches of our kinds; each knows its objects by their metadata alone.
#[derive(Default)]
pub struct Ours {
    kinds: Mutex<Vec<IsOwner>>,
}

impl Ours {
    /// Watches a kind. The stream must be polled: it tells which object changed.
    pub fn watch<K>(
        &self,
        client: &Client,
        selection: watcher::Config,
    ) -> impl Stream<Item = Result<PartialObjectMeta<K>, watcher::Error>> + Send + 'static
    where
        K: Resource<DynamicType = ()> + Clone + fmt::Debug + DeserializeOwned + Send + Sync + 'static,
    {
        let (store, writer) = reflector::store::<PartialObjectMeta<K>>();
        let owns = move |owner: &Owner| {
            let of = |object: &PartialObjectMeta<K>| {
                object.namespace().as_ref() == Some(&owner.namespace)
                    && object.owner_references().iter().any(|reference| reference.uid == owner.uid)
            };
            store.state().iter().any(|object| of(object))
        };
        self.kinds.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(owns));
        steady(watcher(Api::all(client.clone()), selection).reflect(writer).touched_objects())
    }

    /// Whether anything that belongs to this Deployment exists.
    #[must_use]
    pub fn has_any(&self, owner: &Owner) -> bool {
        let kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        kinds.iter().any(|owns| owns(owner))
    }
}
