//! Small parts of the Kubernetes API: selectors, fields and labels.

pub mod field_path;
pub mod json_pointer;
pub mod label_rewrite;
pub mod outline;
pub mod pods;
pub mod rolling;
pub mod selector;
