//! How much memory requests may take at once, whatever is sent.
//!
//! A parsed review is far larger than its text: 26 times for a Deployment of many small fields, 108 times
//! for hostile JSON (measured). So there is one budget for bodies and one for what they are parsed into, and
//! requests wait for room in the first, then in the second. Ordinary and great requests have budgets of
//! their own, so that the few great ones never keep the many ordinary ones waiting. All of it: 118 MiB, beside what
//! connections take in before anyone reads it (`runtime::http`).

use tokio::sync::{Semaphore, SemaphorePermit};

/// Longest body. etcd takes objects up to 1.5 MiB; a review holds two of them, JSON may be twice as long
/// as what etcd stores, and the rest of a review is small: 2 × 1.5 × 2 = 6, and one to spare.
pub const MAX_BODY_BYTES: usize = 7 << 20;

/// What even the smallest body is counted as, for its request's other costs.
const LEAST_BODY_KIB: usize = 64;

/// Memory of a map that is not empty: a B-tree node with room for eleven entries.
const MAP_BYTES: usize = 700;

/// Memory of a list that is not empty: room for four entries.
const LIST_BYTES: usize = 160;

/// Memory of any other value or key, with its share of a vector's growth and a text's allocation.
const VALUE_BYTES: usize = 80;

/// Memory for one purpose, in KiB.
#[derive(Debug)]
struct Budget {
    /// Up to here a request is ordinary.
    ordinary_kib: usize,
    ordinary: Semaphore,
    great_kib: usize,
    great: Semaphore,
}

/// The budgets.
#[derive(Debug)]
pub(super) struct Room {
    bodies: Budget,
    parsed: Budget,
}

/// A share of a budget, given back when dropped.
pub(super) type Share<'a> = SemaphorePermit<'a>;

impl Room {
    /// For bodies 128 ordinary ones and two of the greatest length; for reviews what those may need.
    pub fn new() -> Self {
        Self { bodies: Budget::new(256, 8 << 10, 14 << 10), parsed: Budget::new(2 << 10, 32 << 10, 64 << 10) }
    }

    /// Waits for room to read a body of at most `length` bytes; none if there can never be so much.
    pub async fn to_read(&self, length: usize) -> Option<Share<'_>> {
        self.bodies.share((length >> 10).max(LEAST_BODY_KIB)).await
    }

    /// Waits for room to parse `body`; none if there can never be so much.
    pub async fn to_parse(&self, body: &[u8]) -> Option<Share<'_>> {
        self.parsed.share(parsed_bytes(body) >> 10).await
    }
}

impl Budget {
    fn new(ordinary_kib: usize, all_ordinary_kib: usize, great_kib: usize) -> Self {
        let (ordinary, great) = (Semaphore::new(all_ordinary_kib), Semaphore::new(great_kib));
        Self { ordinary_kib, ordinary, great_kib, great }
    }

    async fn share(&self, kib: usize) -> Option<Share<'_>> {
        let lane = match kib {
            kib if kib <= self.ordinary_kib => &self.ordinary,
            kib if kib <= self.great_kib => &self.great,
            _ => return None,
        };
        lane.acquire_many(u32::try_from(kib).ok()?).await.ok()
    }
}

/// Memory that `body` takes when parsed, at most: counted by the characters that begin values and keys.
///
/// Those inside texts are counted too; the result errs to the large side only.
fn parsed_bytes(body: &[u8]) -> usize {
    // Sums without branches, which the compiler makes wide; none can overflow within the longest body.
    let next = body.get(1..).unwrap_or_default();
    let (mut values, mut maps, mut lists) = (0_u32, 0_u32, 0_u32);
    for (byte, next) in body.iter().zip(next) {
        let (map, list) = (u32::from(*byte == b'{'), u32::from(*byte == b'['));
        let (full_map, full_list) = (map & u32::from(*next != b'}'), list & u32::from(*next != b']'));
        let value = map | list | u32::from(*byte == b',') | u32::from(*byte == b':');
        maps = maps.wrapping_add(full_map);
        lists = lists.wrapping_add(full_list);
        values = values.wrapping_add(value & !(full_map | full_list));
    }
    let bytes = |count: u32, each: usize| usize::try_from(count).unwrap_or(usize::MAX).saturating_mul(each);
    bytes(values, VALUE_BYTES).saturating_add(bytes(maps, MAP_BYTES)).saturating_add(bytes(lists, LIST_BYTES))
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    #[test]
    fn bodies_wait_for_room_and_get_it_back() {
        let room = Room::new();
        let read = || room.to_read(MAX_BODY_BYTES).now_or_never();
        let (first, second) = (read().unwrap(), read().unwrap());
        assert!(read().is_none(), "a third great one waits");
        assert!(room.to_read(10).now_or_never().is_some(), "an ordinary one does not");
        assert!(room.to_read(15 << 20).now_or_never().unwrap().is_none(), "never");
        drop(first);
        assert!(read().is_some());
        drop(second);
    }

    #[test]
    fn dense_reviews_wait_for_one_another_and_the_densest_is_refused() {
        let room = Room::new();
        let parse = |body: &[u8]| room.to_parse(body).now_or_never();
        let dense = "[0,".repeat(250_000).into_bytes();
        let share = parse(&dense).unwrap().unwrap();
        assert!(parse(&dense).is_none(), "a second one waits");
        assert!(parse(br#"{"spec": {}}"#).is_some(), "an ordinary one does not");
        drop(share);
        assert!(parse("[0,".repeat(500_000).as_bytes()).unwrap().is_none(), "never");
    }

    #[test]
    fn maps_and_lists_cost_most_unless_they_are_empty() {
        assert_eq!(parsed_bytes(br#"{"a":0}"#), MAP_BYTES + VALUE_BYTES);
        assert_eq!(parsed_bytes(b"[{},[]]"), LIST_BYTES + 3 * VALUE_BYTES);
        assert_eq!(parsed_bytes(b""), 0);
    }
}
