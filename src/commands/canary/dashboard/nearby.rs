//! What is around one rollout: its pods and Events.

use super::kept::{Kept, works};
use crate::{
    cluster::objects::raw,
    commands::canary::subject::{Pod, Side},
};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Event as KubeEvent;
use kube::{api::DynamicObject, runtime::watcher::Event};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Events that are shown, the newest.
const EVENTS: usize = 100;

/// What a watch reports.
#[derive(Debug)]
pub enum Change {
    /// A pod of a side.
    Pod(Side, Event<DynamicObject>),
    /// An Event of the Deployment.
    Event(Event<DynamicObject>),
    /// The watch of these objects fails.
    Trouble(&'static str, String),
}

/// An Event in a few words.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    at: Option<Timestamp>,
    /// Its name, by which Events of one second are in order.
    name: String,
    is_warning: bool,
    reason: String,
    message: String,
    count: i32,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Nearby {
    stable: Kept<Pod>,
    canary: Kept<Pod>,
    events: Kept<Line>,
    troubles: BTreeMap<&'static str, String>,
}

impl Nearby {
    /// Applies a change.
    pub fn apply(&mut self, change: Change) {
        match change {
            Change::Pod(side, event) => {
                works(&mut self.troubles, PODS, &event);
                let pods = if side == Side::Stable { &mut self.stable } else { &mut self.canary };
                pods.apply(event, |object| Some(Pod::of(side, &raw(object, "Pod"))));
            }
            Change::Event(event) => {
                works(&mut self.troubles, EVENT_LOG, &event);
                self.events.apply(event, |object| object.try_parse().ok().map(line));
            }
            Change::Trouble(what, why) => drop(self.troubles.insert(what, why)),
        }
    }

    /// The pods, stable first.
    #[must_use]
    pub fn pods(&self) -> Value {
        let pods: Vec<&Pod> = self.stable.values().chain(self.canary.values()).collect();
        json!({"items": pods, "trouble": self.troubles.get(PODS)})
    }

    /// The Events, newest first.
    #[must_use]
    pub fn events(&self) -> Value {
        let mut lines: Vec<&Line> = self.events.values().collect();
        lines.sort_by(|one, other| other.cmp(one));
        lines.truncate(EVENTS);
        json!({"items": lines, "trouble": self.troubles.get(EVENT_LOG)})
    }
}

/// Watches by what they report, for messages.
pub const PODS: &str = "Pods";
/// See [`PODS`].
pub const EVENT_LOG: &str = "Events";

fn line(event: KubeEvent) -> Line {
    let last = event.last_timestamp.map(|time| time.0).or(event.event_time.map(|time| time.0));
    Line {
        at: last.or(event.metadata.creation_timestamp.map(|time| time.0)),
        name: event.metadata.name.unwrap_or_default(),
        is_warning: event.type_.as_deref() == Some("Warning"),
        reason: event.reason.unwrap_or_default(),
        message: event.message.unwrap_or_default(),
        count: event.count.unwrap_or(1),
    }
}
