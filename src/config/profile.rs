//! Profiles as they are stored: a labelled `ConfigMap` with one key.

use super::stored::only_entry;
use crate::{
    document::finding::Findings,
    domain::k8s::selector::Labels,
    policy::{Mode, profile::Profile},
};

/// A profile that a namespace binds, as it was looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    /// What follows from a violation.
    pub mode: Mode,
    /// Name of the profile.
    pub name: String,
    /// Data of its `ConfigMap`; `None` when there is none with the label.
    pub data: Option<Labels>,
}

/// Reads a profile from the data of its `ConfigMap`. The key does not matter.
///
/// # Errors
/// All findings, with paths from `data` on.
pub fn read_profile(data: &Labels) -> Result<Profile, Findings> {
    let (document, path) = only_entry(data, "data", "profile")?;
    Profile::read(&document, &path)
}
