//! Limits the memory that requests take at the same time.
//!
//! A parsed review is much larger than its text. So there is one budget for bodies and one for parsed reviews, and a
//! request waits for the first, then for the second. Ordinary and large requests have separate budgets, so that a few
//! large ones do not delay the many ordinary ones. A peer gets only a part of each, so that it cannot delay all others.
//! The total is 118 MiB, in addition to what connections buffer (`runtime::http`).

use crate::{
    document::json_size::parsed_bytes,
    runtime::fair::{Fair, Share},
};
use std::net::IpAddr;

/// Longest body. etcd stores objects of up to 1.5 MiB. A review has two of them, JSON may be twice as long as what etcd
/// stores, and the rest of a review is small: 2 × 1.5 × 2 = 6, plus a reserve of 1.
pub const MAX_BODY_BYTES: usize = 7 << 20;

/// The least that a body or a review counts, for the other costs of its request.
const MIN_KIB: usize = 64;

/// Memory for one purpose, in KiB.
#[derive(Debug)]
struct Budget {
    /// Requests up to this size are ordinary.
    ordinary_kib: u32,
    ordinary: Fair<IpAddr>,
    large_kib: u32,
    large: Fair<IpAddr>,
}

/// The budgets.
#[derive(Debug)]
pub(super) struct MemoryBudget {
    bodies: Budget,
    parsed: Budget,
}

impl MemoryBudget {
    /// For bodies 128 ordinary ones, of which a peer has a quarter, and two of the maximum length, of which it
    /// has one; for reviews what those may need, of which it has half.
    pub fn new() -> Self {
        let lane = |kib, peers| Fair::new(kib, kib / peers);
        let bodies = Budget {
            ordinary_kib: 256,
            ordinary: lane(8 << 10, 4),
            large_kib: 14 << 10,
            large: lane(14 << 10, 2),
        };
        let parsed = Budget {
            ordinary_kib: 2 << 10,
            ordinary: lane(32 << 10, 2),
            large_kib: 64 << 10,
            large: lane(64 << 10, 2),
        };
        Self { bodies, parsed }
    }

    /// Waits for room to read a body of at most `length` bytes; none if there can never be so much.
    pub async fn to_read(&self, peer: IpAddr, length: usize) -> Option<Share> {
        self.bodies.share(peer, length).await
    }

    /// Waits for room to parse `body`; none if there can never be so much.
    pub async fn to_parse(&self, peer: IpAddr, body: &[u8]) -> Option<Share> {
        self.parsed.share(peer, parsed_bytes(body)).await
    }
}

impl Budget {
    async fn share(&self, peer: IpAddr, bytes: usize) -> Option<Share> {
        let kib = u32::try_from((bytes >> 10).max(MIN_KIB)).ok()?;
        let lane = match kib {
            kib if kib <= self.ordinary_kib => &self.ordinary,
            kib if kib <= self.large_kib => &self.large,
            _ => return None,
        };
        Some(lane.share(peer, kib).await)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    fn peer(number: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, number])
    }

    #[test]
    fn bodies_wait_for_room_and_get_it_back() {
        let room = MemoryBudget::new();
        let read = |number| room.to_read(peer(number), MAX_BODY_BYTES).now_or_never();
        let (first, second) = (read(1).unwrap(), read(2).unwrap());
        assert!(read(3).is_none(), "a third large one waits");
        assert!(room.to_read(peer(3), 10).now_or_never().is_some(), "an ordinary one does not");
        assert!(room.to_read(peer(3), 15 << 20).now_or_never().unwrap().is_none(), "never");
        drop(first);
        assert!(read(3).is_some());
        drop(second);
    }

    #[test]
    fn a_peer_keeps_no_other_waiting() {
        let room = MemoryBudget::new();
        let read = |number| room.to_read(peer(number), 256 << 10).now_or_never();
        let held: Vec<_> = (0..8).map(|_| read(1).unwrap()).collect();
        assert!(read(1).is_none(), "it has its quarter");
        assert!(read(2).is_some());
        drop(held);
        let parse = |number| room.to_parse(peer(number), "[0,".repeat(60_000).as_bytes()).now_or_never();
        let held: Vec<_> = std::iter::from_fn(|| parse(1)).collect();
        assert!(held.len() > 1 && parse(2).is_some());
    }

    #[test]
    fn dense_reviews_wait_for_one_another_and_the_densest_is_refused() {
        let room = MemoryBudget::new();
        let parse = |body: &[u8]| room.to_parse(peer(1), body).now_or_never();
        let dense = "[0,".repeat(250_000).into_bytes();
        let share = parse(&dense).unwrap().unwrap();
        assert!(parse(&dense).is_none(), "a second one waits");
        assert!(parse(br#"{"spec": {}}"#).is_some(), "an ordinary one does not");
        drop(share);
        assert!(parse("[0,".repeat(500_000).as_bytes()).unwrap().is_none(), "never");
    }

    #[test]
    fn a_review_with_one_long_text_has_its_share_too() {
        let room = MemoryBudget::new();
        let long = format!("[\"{}\"]", "x".repeat(6 << 20));
        let parse = || room.to_parse(peer(1), long.as_bytes()).now_or_never();
        let held: Vec<_> = std::iter::from_fn(parse).collect();
        assert_eq!(held.len(), 5, "half of 64 MiB holds five of 6 MiB");
    }
}
