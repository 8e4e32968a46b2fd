//! What the watches of the controller have reported. Asking costs no request.

mod deployments;
mod objects;
mod records;

use crate::cluster::views::Views;
use deployments::Deployments;
use objects::Objects;
use records::Records;
pub(super) use records::owner_of;
use std::sync::Arc;
use tokio::sync::Notify;

/// See the module.
pub struct Watches {
    /// Users' Deployments that are managed.
    pub(super) deployments: Deployments,
    /// Objects of ours.
    pub(super) ours: Objects,
    /// Records.
    pub(super) records: Records,
    /// What users have in the namespaces that are looked at.
    pub(super) views: Arc<Views>,
    /// A watch of ours has begun again: what went meanwhile, no event reports.
    pub(super) listed: Arc<Notify>,
}

impl Watches {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(views: Arc<Views>) -> Self {
        let (deployments, ours, records, listed) = Default::default();
        Self { deployments, ours, records, views, listed }
    }
}

/// The greatest `resourceVersion` of two.
fn newer(known: &mut u64, reported: u64) {
    *known = reported.max(*known);
}
