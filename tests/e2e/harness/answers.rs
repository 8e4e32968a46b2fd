//! Who answers to requests of one kind, and what of an object is its user's.

use super::{SOON, Space, cluster::run, eventually};
use serde_json::Value;

/// An object without status and bookkeeping of the API server.
pub fn plain(object: &Value) -> Value {
    let mut object = object.clone();
    for part in ["status", "kind", "apiVersion"] {
        object.as_object_mut().expect("an object").remove(part);
    }
    for field in ["managedFields", "resourceVersion"] {
        object["metadata"].as_object_mut().expect("metadata").remove(field);
    }
    object
}

impl Space {
    /// The versions that answer to eight requests with a header.
    pub fn versions(&self, header: &str) -> Vec<String> {
        let (host, url) =
            (format!("Host: {}", self.host), format!("http://{}/version", self.front.address()));
        let ask = || run("curl", &["-sS", "--max-time", "5", "-H", &host, "-H", header, &url], "").ok().out;
        let answer = |answer: String| {
            let answer: Value = serde_json::from_str(&answer).unwrap_or_default();
            answer["version"].as_str().unwrap_or_default().to_owned()
        };
        let mut all: Vec<String> = (0..8).map(|_| answer(ask())).collect();
        all.dedup();
        all
    }

    /// Waits until this version alone answers to requests with a header.
    #[track_caller]
    pub fn all_answer(&self, header: &str, version: &str) {
        eventually(&format!("{version} to answer to {header}"), SOON, || {
            let versions = self.versions(header);
            if versions == [version] { Ok(()) } else { Err(format!("{versions:?}")) }
        });
    }
}
