//! Texts as Go and Kubernetes read and write them, because manifests for Argo contain such texts: durations,
//! numbers, JSON, RE2, `JSONPath` and names.

pub mod duration;
pub mod float;
pub mod json;
pub mod jsonpath;
pub mod re2;
pub mod validation;
