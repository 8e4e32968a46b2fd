//! L1: the canary side of the pair, made from the user's objects. Values in, objects out.

pub mod canary_autoscaler;
pub mod canary_deployment;
pub mod canary_policy;
pub mod canary_service;
pub mod copied_labels;
pub mod labels;
pub mod manifest;
pub mod marks;
pub mod pair;
pub mod separate;
