//! What is wrong, unwise or worth knowing about the plan of a Deployment and the objects around it.

pub mod advice;
pub mod claims;
pub mod differences;
pub mod foreign_policies;
pub mod hosts;
pub mod pair;
pub mod ports;
pub mod preview;
pub mod replacement;
pub mod routes;
pub mod scheduling;
pub mod shared;
pub mod trial;
