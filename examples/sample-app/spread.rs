//! Decides which requests fail.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::values::Share;

const ONE: u64 = 1_000_000;

/// Spreads failures evenly: at a share of one half every second request fails, at one tenth
/// every tenth. Chance would cluster them, and a short test could not tell a share from luck.
#[derive(Debug, Default)]
pub struct ErrorSpread {
    /// The sum of the shares of all requests so far, in millionths.
    sum: AtomicU64,
}

impl ErrorSpread {
    /// Whether the next request fails: it does if it brings the sum to the next whole number.
    pub fn fails(&self, share: Share) -> bool {
        let share = u64::from(share.millionths());
        let before = self.sum.fetch_add(share, Ordering::Relaxed) % ONE;
        before + share >= ONE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(share: &str, requests: usize) -> String {
        let spread = ErrorSpread::default();
        let share = Share::parse(share).unwrap();
        (0..requests).map(|_| if spread.fails(share) { 'x' } else { '.' }).collect()
    }

    #[test]
    fn failures_are_spread_evenly() {
        assert_eq!(pattern("0", 6), "......");
        assert_eq!(pattern("50%", 6), ".x.x.x");
        assert_eq!(pattern("0.25", 8), "...x...x");
        assert_eq!(pattern("75%", 8), ".xxx.xxx");
        assert_eq!(pattern("1", 6), "xxxxxx");
    }

    #[test]
    fn the_share_is_exact_over_many_requests() {
        for (share, failures) in [("0.1", 1000), ("0.3", 3000), ("0.7", 7000), ("12.5%", 1250)] {
            let count = pattern(share, 10_000).matches('x').count();
            assert_eq!(count, failures, "{share}");
        }
    }

    #[test]
    fn a_change_takes_effect_at_once() {
        let spread = ErrorSpread::default();
        let half = Share::parse("0.5").unwrap();
        spread.fails(half);
        assert!(!spread.fails(Share::parse("0").unwrap()));
        assert!(spread.fails(Share::parse("1").unwrap()));
    }
}
