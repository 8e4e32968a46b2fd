//! L0: the field's words as checked values. No client, no clock, no I/O.

pub mod duration;
pub mod field_path;
pub mod fields;
pub mod finding;
pub mod go_float;
pub mod go_json;
pub mod go_regex;
pub mod hosts;
pub mod json_size;
pub mod keys;
pub mod kind;
pub mod metric;
pub mod names;
pub mod observed;
pub mod part;
pub mod request;
pub mod review;
pub mod rewrite;
pub mod selector;
pub mod state;
pub mod strategy;
pub mod template;
pub mod value;
pub mod weight;
