//! L2: the admission decision. A review, facts and time in; a verdict out.

mod case;
mod change;
mod config_map;
mod deployment;
mod examine;
pub mod facts;
mod final_check;
pub mod frozen;
mod hold;
mod kubectl_warnings;
mod membership;
mod namespace;
mod no_effect;
mod object;
mod orders;
pub mod plan_review;
mod policy;
pub mod rehearsal;
mod report;
mod rules;
pub mod scale;
pub mod stale_condition;

pub use case::{Case, Ruling};

use crate::{
    config::strategy::Defaults,
    providers::{self, hosts::HostPolicy},
};

/// Settings of the installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdmitConfig {
    /// What applies where the user says nothing.
    pub defaults: Defaults,
    /// What providers need not be told.
    pub providers: providers::Defaults,
    /// Where metrics may be asked.
    pub hosts: HostPolicy,
    /// Haldane's own namespace.
    pub own_namespace: String,
    /// Haldane's own user name: its writes are the decision's results and pass.
    pub own_user: String,
}
