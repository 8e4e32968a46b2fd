//! Stored profiles: a labelled `ConfigMap` with one key.

use super::stored::{MAX_BYTES, only_entry};
use crate::{
    document::finding::Findings,
    domain::k8s::selector::Labels,
    policy::{Mode, profile::Profile},
};

/// A profile that a namespace binds, after the lookup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    /// What a violation causes.
    pub mode: Mode,
    /// Name of the profile.
    pub name: String,
    /// Data of its `ConfigMap`; `None` if there is no such labelled `ConfigMap`.
    pub data: Option<Labels>,
}

/// Reads a profile from the data of its `ConfigMap`. The key does not matter.
///
/// # Errors
/// All findings, with paths from `data` on.
pub fn read_profile(data: &Labels) -> Result<Profile, Findings> {
    let (document, path) = only_entry(data, "data", "profile", MAX_BYTES)?;
    Profile::read(&document, &path)
}
