//! L2: from annotations to checked values; every finding names its path.
//!
//! The webhook and the controller read through the same functions, so what is admitted is what runs.

pub mod annotations;
pub mod blue_green;
pub mod declared_plan;
pub mod dry_start;
pub mod inquiry;
pub mod metric;
pub mod namespace;
pub mod profile;
pub mod queries;
pub mod rehearsal;
mod routes;
pub mod settings;
pub mod steps;
pub mod stored;
pub mod strategy;
pub mod template;
pub mod template_tree;
