//! Events on the user's Deployment.

use crate::{
    cluster::api,
    decide::{Event, EventType},
    objects::manifest::Owner,
    runtime::clock,
};
use k8s_openapi::{
    api::{core::v1::ObjectReference, events::v1::Event as KubeEvent},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};
use kube::{Api, Client};
use tracing::{info, warn};

/// The API server's limit for the note of an Event.
const MAX_NOTE: usize = 1024;
/// The reporter, as the API server wants it: a qualified name.
const REPORTER: &str = "haldane.dev/controller";

/// Publishes Events under Haldane's name.
///
/// Each is an object of its own: aggregation, as in kube's recorder, keeps the first note and drops
/// the others, and here the note is what matters.
#[derive(Clone)]
pub struct Publisher {
    client: Client,
    instance: String,
}

impl Publisher {
    /// A publisher for this process.
    #[must_use]
    pub fn new(client: Client, instance: &str) -> Self {
        Self { client, instance: instance.to_owned() }
    }

    /// Publishes and logs, within the span of the pass. An Event that cannot be stored is only logged: the state has what matters.
    pub async fn publish(&self, owner: &Owner, event: &Event) {
        info!(reason = event.reason, "{}", event.message);
        let events = Api::<KubeEvent>::namespaced(self.client.clone(), &owner.namespace);
        if let Err(error) = events.create(&api::post(), &self.object(owner, event)).await {
            warn!(%error, "cannot publish an Event");
        }
    }

    fn object(&self, owner: &Owner, event: &Event) -> KubeEvent {
        let type_ = match event.type_ {
            EventType::Normal => "Normal",
            EventType::Warning => "Warning",
        };
        KubeEvent {
            metadata: ObjectMeta {
                generate_name: Some(format!("{}-", owner.name)),
                namespace: Some(owner.namespace.clone()),
                ..ObjectMeta::default()
            },
            type_: Some(type_.to_owned()),
            reason: Some(event.reason.to_owned()),
            action: Some(event.reason.to_owned()),
            note: Some(event.message.chars().take(MAX_NOTE).collect()),
            event_time: Some(MicroTime(clock::now())),
            reporting_controller: Some(REPORTER.to_owned()),
            reporting_instance: Some(self.instance.clone()),
            regarding: Some(ObjectReference {
                api_version: Some("apps/v1".to_owned()),
                kind: Some("Deployment".to_owned()),
                name: Some(owner.name.clone()),
                namespace: Some(owner.namespace.clone()),
                uid: Some(owner.uid.clone()),
                ..ObjectReference::default()
            }),
            ..KubeEvent::default()
        }
    }
}
