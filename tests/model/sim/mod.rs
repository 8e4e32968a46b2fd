//! A model of everything around the decisions: API server, deployment controller, proxies, metric
//! provider, people. The decisions themselves are the real ones.

pub mod autoscaler;
pub mod cluster;
mod desk;
pub mod people;
pub mod process;
pub mod routes;
pub mod view;
pub mod watches;
pub mod workloads;
pub mod writes;

pub use desk::Spec;
use haldane::{
    config::{declared_plan::read_annotations, strategy::Defaults},
    domain::k8s::selector::Labels,
    objects::manifest::Owner,
};
use std::collections::BTreeMap;

/// The user's Deployment.
pub const NAME: &str = "web";
/// Its namespace.
pub const NAMESPACE: &str = "shop";

/// The user's Deployment as an owner.
pub fn owner_of(uid: &str) -> Owner {
    Owner { name: NAME.into(), namespace: NAMESPACE.into(), uid: uid.to_owned() }
}

/// Settings as the program has them when it is told nothing.
pub fn defaults() -> Defaults {
    Defaults { settle: "6s".parse().unwrap(), annotation_prefix: "nginx.ingress.kubernetes.io".into() }
}

/// What these annotations ask for, read by the real parser.
pub fn spec(annotations: &Labels) -> Spec {
    let words = |findings: Vec<_>| format!("{findings:?}");
    let declared = read_annotations(annotations, &defaults()).map_err(words)?;
    declared.complete(&BTreeMap::new()).map_err(words)
}
