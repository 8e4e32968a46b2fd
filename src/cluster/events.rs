//! Events on the user's Deployment.

use crate::{
    cluster::api,
    decide::{Event, EventType},
    domain::names::suffixed,
    objects::manifest::Owner,
    runtime::clock,
};
use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{Event as KubeEvent, ObjectReference},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta, Time},
};
use kube::{Api, Client};
use tracing::{info, warn};

/// The API server's limit for the message of an Event, in bytes.
const MAX_MESSAGE: usize = 1024;
/// Kubernetes' limit for names.
const MAX_NAME: usize = 253;
/// The reporter, as the API server wants it: a qualified name.
const REPORTER: &str = "haldane.dev/controller";

/// Publishes Events under Haldane's name.
///
/// Each is an object of its own: aggregation, as in kube's recorder, keeps the first message and drops
/// the others, and here the message is what matters.
///
/// Of `core/v1`, not of `events.k8s.io`, where the times may not be set by which `kubectl` sorts. They count whole
/// seconds; within one, Events are sorted by name, and the name begins with the time, as client-go's do.
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
        if let Err(error) =
            events.create(&api::post(), &object(&self.instance, owner, event, clock::now())).await
        {
            warn!(%error, "cannot publish an Event");
        }
    }
}

fn object(instance: &str, owner: &Owner, event: &Event, now: Timestamp) -> KubeEvent {
    let type_ = match event.type_ {
        EventType::Normal => "Normal",
        EventType::Warning => "Warning",
    };
    KubeEvent {
        metadata: ObjectMeta {
            name: Some(suffixed(&owner.name, &format!(".{:x}", now.as_nanosecond()), MAX_NAME)),
            namespace: Some(owner.namespace.clone()),
            ..ObjectMeta::default()
        },
        type_: Some(type_.to_owned()),
        reason: Some(event.reason.to_owned()),
        action: Some(event.reason.to_owned()),
        message: event.message.get(..event.message.floor_char_boundary(MAX_MESSAGE)).map(str::to_owned),
        event_time: Some(MicroTime(now)),
        first_timestamp: Some(Time(now)),
        last_timestamp: Some(Time(now)),
        count: Some(1),
        reporting_component: Some(REPORTER.to_owned()),
        reporting_instance: Some(instance.to_owned()),
        involved_object: ObjectReference {
            api_version: Some("apps/v1".to_owned()),
            kind: Some("Deployment".to_owned()),
            name: Some(owner.name.clone()),
            namespace: Some(owner.namespace.clone()),
            uid: Some(owner.uid.clone()),
            ..ObjectReference::default()
        },
        ..KubeEvent::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The Event with this message of a Deployment, at this nanosecond.
    fn event(name: &str, message: &str, nanosecond: i128) -> KubeEvent {
        let owner = Owner { name: name.into(), namespace: "shop".into(), uid: "u".into() };
        let now = Timestamp::from_nanosecond(nanosecond).unwrap();
        object("haldane-1", &owner, &Event::normal("RolloutPaused", message), now)
    }

    #[test]
    fn events_of_one_second_are_listed_in_their_order() {
        let start = 1_767_225_600_000_000_000;
        let events = [0, 1, 999_999_999].map(|later| event("web", "", start + later));
        assert!(events.is_sorted_by_key(|event| event.metadata.name.clone()), "{events:?}");
        let seconds = events.each_ref().map(|event| serde_json::to_value(&event.last_timestamp).unwrap());
        assert_eq!(seconds, ["2026-01-01T00:00:00Z"; 3], "what kubectl sorts by");
        assert_eq!(events[0].metadata.name.as_deref(), Some("web.18867251edfa0000"));
        let long = event(&"w".repeat(253), "", start).metadata.name.unwrap();
        assert!(long.len() <= MAX_NAME && long.ends_with(".18867251edfa0000"), "{long}");
    }

    #[test]
    fn a_long_message_is_cut_between_two_characters() {
        let message = event("web", &"é".repeat(600), 0).message.unwrap();
        assert_eq!(message, "é".repeat(512));
        let odd = event("web", &format!("a{}", "é".repeat(600)), 0).message.unwrap();
        assert_eq!(odd.len(), 1023);
    }
}
