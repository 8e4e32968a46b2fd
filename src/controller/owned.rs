//! Which of Haldane's objects exist in the cluster, as the watches report: asking costs no request.

use super::resilient_watch::steady;
use crate::cluster::objects::resource;
use crate::objects::manifest::{Kind, Owner};
use futures::Stream;
use kube::{
    Api, Client, ResourceExt,
    api::DynamicObject,
    core::PartialObjectMeta,
    runtime::{WatchStreamExt, reflector::store::Writer, watcher},
};
use std::sync::{Mutex, PoisonError};

/// What is known of an object of any kind.
pub type Metadata = PartialObjectMeta<DynamicObject>;

type IsOwner = Box<dyn Fn(&Owner) -> bool + Send + Sync>;

/// The watches of our kinds; each knows its objects by their metadata alone.
#[derive(Default)]
pub struct OwnedObjects {
    kinds: Mutex<Vec<IsOwner>>,
}

impl OwnedObjects {
    /// Watches a kind. The stream must be polled: it reports which object changed.
    pub fn watch(
        &self,
        client: &Client,
        kind: Kind,
        selection: watcher::Config,
    ) -> impl Stream<Item = Result<Metadata, watcher::Error>> + Send + 'static + use<> {
        let resource = resource(kind);
        let writer = Writer::<Metadata>::new(resource.clone());
        let store = writer.as_reader();
        let owns = move |owner: &Owner| {
            let of = |object: &Metadata| {
                object.namespace().as_ref() == Some(&owner.namespace)
                    && object.owner_references().iter().any(|reference| reference.uid == owner.uid)
            };
            store.state().iter().any(|object| of(object))
        };
        self.kinds.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(owns));
        let api = Api::all_with(client.clone(), &resource);
        steady(watcher(api, selection).reflect(writer).touched_objects())
    }

    /// Whether anything that belongs to this Deployment exists.
    #[must_use]
    pub fn has_any(&self, owner: &Owner) -> bool {
        let kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        kinds.iter().any(|owns| owns(owner))
    }
}
