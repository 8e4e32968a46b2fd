//! Uses more and more memory when told to.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use crate::app::App;
use crate::settings::MEMORY_LIMIT;

/// Holds more memory every second as set, up to the limit; gives it all back at growth 0.
pub async fn grow(app: Arc<App>) {
    let mut held = Held::default();
    let mut every_second = interval(Duration::from_secs(1));
    every_second.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        every_second.tick().await;
        held.step(app.settings.load().memory_growth);
    }
}

#[derive(Default)]
struct Held {
    blocks: Vec<Vec<u8>>,
    total: u64,
}

impl Held {
    fn step(&mut self, growth: u64) {
        if growth == 0 {
            *self = Self::default();
            return;
        }
        let size = growth.min(MEMORY_LIMIT.saturating_sub(self.total));
        if let Ok(length @ 1..) = usize::try_from(size) {
            // Ones, not zeros: pages that were never written to take no memory.
            self.blocks.push(black_box(vec![1; length]));
            self.total += size;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_grows_stops_at_the_limit_and_is_given_back() {
        let mut held = Held::default();
        held.step(1 << 20);
        held.step(1 << 20);
        assert_eq!(held.total, 2 << 20);

        held.total = MEMORY_LIMIT - 10;
        held.step(1 << 20);
        assert_eq!(held.total, MEMORY_LIMIT);
        assert_eq!(held.blocks.last().map(Vec::len), Some(10));
        held.step(1 << 20);
        assert_eq!(held.blocks.len(), 3);

        held.step(0);
        assert_eq!((held.total, held.blocks.len()), (0, 0));
    }
}
