//! What is known of the routings of namespaces, within a bound on its size.

use crate::notify::Routing;
use std::{collections::HashMap, sync::Arc};

/// Size of everything that is kept, in bytes.
const MAX_BYTES: usize = 4 << 20;
/// What a namespace takes in addition to the texts of its routing.
const ENTRY: usize = 512;

/// What applies in a namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Routed {
    /// Nobody is sent anything.
    Nowhere,
    /// The routing, and the namespace that it and its Secrets are in.
    To(String, Arc<Routing>),
    /// What is wrong with the routing.
    Unreadable(String),
}

impl Routed {
    fn bytes(&self) -> usize {
        ENTRY.saturating_add(match self {
            Self::Nowhere => 0,
            Self::To(_, routing) => routing.bytes,
            Self::Unreadable(problem) => problem.len(),
        })
    }
}

/// See the module. What has not been used for longest is forgotten first.
#[derive(Debug, Default)]
pub(super) struct Known {
    namespaces: HashMap<String, (u64, Routed)>,
    /// Counts uses.
    uses: u64,
}

impl Known {
    /// What applied in a namespace when it was read.
    pub fn get(&mut self, namespace: &str) -> Option<Routed> {
        self.uses = self.uses.saturating_add(1);
        let (used, routed) = self.namespaces.get_mut(namespace)?;
        *used = self.uses;
        Some(routed.clone())
    }

    /// Keeps what applies in a namespace.
    pub fn keep(&mut self, namespace: &str, routed: Routed) {
        self.uses = self.uses.saturating_add(1);
        self.namespaces.insert(namespace.to_owned(), (self.uses, routed));
        while self.bytes() > MAX_BYTES {
            let oldest = self.namespaces.iter().min_by_key(|(_, (used, _))| *used);
            let Some(oldest) = oldest.map(|(name, _)| name.clone()) else { return };
            self.namespaces.remove(&oldest);
        }
    }

    fn bytes(&self) -> usize {
        self.namespaces.values().map(|(_, routed)| routed.bytes()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespaces_that_are_gone_are_forgotten() {
        let mut known = Known::default();
        let most = MAX_BYTES / ENTRY;
        for number in 0..10_000 {
            known.keep(&format!("preview-{number}"), Routed::Nowhere);
            assert_eq!(known.get("preview-0"), Some(Routed::Nowhere), "it is in use");
        }
        assert_eq!(known.namespaces.len(), most);
        assert_eq!((known.get("preview-1"), known.get("preview-9999")), (None, Some(Routed::Nowhere)));
        known.keep("large", Routed::Unreadable("x".repeat(MAX_BYTES / 2)));
        assert!(known.namespaces.len() < most / 2 + 2 && known.get("large").is_some());
    }
}
