//! L0: the field's words as checked values. No client, no clock, no I/O.

pub mod counts;
pub mod hosts;
pub mod k8s;
pub mod keys;
pub mod metric;
pub mod names;
pub mod observed;
pub mod one_or_many;
pub mod request;
pub mod restarts;
pub mod review;
pub mod state;
pub mod strategy;
pub mod troubles;
pub mod value;
pub mod weight;
pub mod world;
