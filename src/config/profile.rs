//! Profiles as they are stored: a labelled `ConfigMap` with one key.

use super::yaml;
use crate::{
    domain::{
        finding::{Finding, Findings},
        selector::Labels,
    },
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
    match data.iter().next() {
        Some((key, text)) if data.len() == 1 => {
            let path = format!("data[{key}]");
            let document = yaml::parse(text).map_err(|problem| vec![Finding::new(&path, "", problem)])?;
            Profile::read(&document, &path)
        }
        _ => {
            let keys: Vec<_> = data.keys().map(String::as_str).collect();
            Err(vec![Finding::new(
                "data",
                keys.join(", "),
                "must have exactly one key, whose value is the profile's YAML",
            )])
        }
    }
}
