//! Requests at the same time: no namespace takes all turns, and no destination all turns of its namespace.

use crate::runtime::fair::{Fair, Share};

/// Requests at the same time.
const MAX_CONCURRENT: u32 = 64;
/// Requests of one namespace at the same time.
const PER_NAMESPACE: u32 = 8;
/// Requests to one destination of a namespace at the same time.
const PER_DESTINATION: u32 = 1;

/// The namespace of the Deployment, and the name of the destination.
pub(super) type Place = (String, String);

/// See the module.
pub(super) struct Turns {
    destinations: Fair<Place>,
    namespaces: Fair<String>,
}

impl Default for Turns {
    fn default() -> Self {
        Self {
            destinations: Fair::new(u32::MAX, PER_DESTINATION),
            namespaces: Fair::new(MAX_CONCURRENT, PER_NAMESPACE),
        }
    }
}

impl Turns {
    /// Waits for a turn, first for one of the destination, so that what waits for it holds none of the namespace.
    pub async fn turn(&self, place: Place) -> (Share, Share) {
        let namespace = place.0.clone();
        (self.destinations.share(place, 1).await, self.namespaces.share(namespace, 1).await)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    #[test]
    fn a_destination_that_hangs_holds_one_turn_and_a_namespace_eight() {
        let turns = Turns::default();
        let turn = |namespace: &str, destination: usize| {
            turns.turn((namespace.to_owned(), destination.to_string())).now_or_never()
        };
        let mut held = vec![turn("shop", 0).unwrap()];
        assert!(turn("shop", 0).is_none(), "it hangs");
        held.extend((1..8).map(|destination| turn("shop", destination).unwrap()));
        assert!(turn("shop", 8).is_none() && turn("other", 0).is_some());
        held.pop();
        assert!(turn("shop", 8).is_some());
    }
}
