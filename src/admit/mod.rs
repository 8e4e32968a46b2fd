//! L2: the admission decision. A review, facts and time in; a verdict out.

mod announcement;
mod case;
mod change;
mod config_map;
mod deployment;
mod examine;
pub mod facts;
mod final_check;
mod hold;
pub mod kubectl_warnings;
mod membership;
mod namespace;
mod no_effect;
pub mod object;
mod orders;
pub mod plan_review;
mod policy;
pub mod rehearsal;
mod report;
pub mod rollout_start;
mod rules;
mod ruling;
pub mod scale;
pub mod stale_condition;
pub mod troubles;

pub use case::Case;
pub use ruling::Ruling;

use crate::{
    config::strategy::Defaults,
    providers::{self, hosts::HostPolicy},
};

/// Settings of the installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdmitConfig {
    /// What applies where a plan leaves a setting out.
    pub defaults: Defaults,
    /// What applies where a provider's configuration leaves a setting out.
    pub providers: providers::Defaults,
    /// The hosts that metrics may query and notifications may be sent to.
    pub hosts: HostPolicy,
    /// Haldane's own namespace.
    pub own_namespace: String,
    /// Haldane's own user name. Its writes carry out decisions and are always allowed.
    pub own_user: String,
}
