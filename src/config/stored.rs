//! Stored documents: the only entry of a labelled `ConfigMap`.

use super::{
    template::{template, too_many_rules},
    template_tree::Lookup,
};
use crate::document::yaml;
use crate::{
    document::{
        fields::read,
        finding::{Finding, Findings},
    },
    domain::{k8s::selector::Labels, metric::AnalysisTemplate, state::bounded::PLAN_ROOM},
};
use serde_json::Value;

/// Maximum size of a document in bytes: a larger template would not fit into the record of a rollout.
pub(super) const MAX_BYTES: usize = PLAN_ROOM;

/// Reads the analysis template in the data of the `ConfigMap` `name`; `path` is the path of the data.
///
/// # Errors
/// All findings.
pub fn read_template(name: &str, data: &Labels, path: &str) -> Lookup {
    let (document, path) = only_entry(data, path, "AnalysisTemplate", MAX_BYTES)?;
    if let Some(finding) = too_many_rules(&document, &path) {
        return Err(vec![finding]);
    }
    let template = read(&document, &path, template)?;
    Ok(AnalysisTemplate { name: name.to_owned(), ..template })
}

/// The document of at most `max` bytes under its only key, and its path. `what` names the document in the message.
pub(crate) fn only_entry(
    data: &Labels,
    path: &str,
    what: &str,
    max: usize,
) -> Result<(Value, String), Findings> {
    match data.iter().next() {
        Some((key, text)) if data.len() == 1 && text.len() > max => {
            let problem = format!("may have at most {max} bytes");
            Err(vec![Finding::new(format!("{path}[{key}]"), format!("{} bytes", text.len()), problem)])
        }
        Some((key, text)) if data.len() == 1 => {
            let path = format!("{path}[{key}]");
            let document = yaml::parse(text).map_err(|problem| vec![Finding::new(&path, "", problem)])?;
            Ok((document, path))
        }
        _ => {
            let keys: Vec<_> = data.keys().map(String::as_str).collect();
            let problem = format!("must have exactly one key, whose value is the {what}'s YAML");
            Err(vec![Finding::new(path, keys.join(", "), problem)])
        }
    }
}
