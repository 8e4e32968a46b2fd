//! Texts as Go and Kubernetes read and write them, because users bring such texts from Argo: durations, numbers, JSON, RE2 and JSONPath.

pub mod duration;
pub mod float;
pub mod json;
pub mod jsonpath;
pub mod re2;
