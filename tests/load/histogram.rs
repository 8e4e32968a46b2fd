//! Latencies in little memory.

use std::time::Duration;

use serde::Serialize;

use crate::values;

/// Below this many microseconds every value has its own bucket; above, every power of two
/// is split into this many, so that a percentile is off by less than one percent.
const SPLIT: u64 = 128;

/// Counts of latencies in microseconds.
#[derive(Clone, Debug, Default)]
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
    max: u64,
}

/// Percentiles in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Latency {
    /// Half of the requests took no longer.
    pub p50: f64,
    /// 90 % took no longer.
    pub p90: f64,
    /// 99 % took no longer.
    pub p99: f64,
    /// The slowest one.
    pub max: f64,
}

impl Histogram {
    /// Adds one latency.
    pub fn record(&mut self, latency: Duration) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        let bucket = bucket(micros);
        if self.counts.len() <= bucket {
            self.counts.resize(bucket + 1, 0);
        }
        if let Some(count) = self.counts.get_mut(bucket) {
            *count += 1;
        }
        self.total += 1;
        self.max = self.max.max(micros);
    }

    /// The percentiles that are reported.
    pub fn latency(&self) -> Latency {
        Latency {
            p50: millis(self.percentile(50)),
            p90: millis(self.percentile(90)),
            p99: millis(self.percentile(99)),
            max: millis(self.max),
        }
    }

    /// The value that `percent` of all values do not exceed, in microseconds.
    fn percentile(&self, percent: u64) -> u64 {
        let rank = (self.total * percent).div_ceil(100).max(1);
        let mut seen = 0;
        for (bucket, count) in (0u64..).zip(&self.counts) {
            seen += count;
            if seen >= rank {
                return upper_bound(bucket).min(self.max);
            }
        }
        self.max
    }
}

fn bucket(value: u64) -> usize {
    let bucket = if value < SPLIT {
        value
    } else {
        let shift = value.ilog2() - SPLIT.ilog2();
        u64::from(shift) * SPLIT + (value >> shift)
    };
    usize::try_from(bucket).unwrap_or(usize::MAX)
}

/// The largest value in a bucket.
fn upper_bound(bucket: u64) -> u64 {
    if bucket < SPLIT {
        return bucket;
    }
    let shift = bucket / SPLIT - 1;
    let first = u128::from(bucket % SPLIT + SPLIT);
    u64::try_from(((first + 1) << shift) - 1).unwrap_or(u64::MAX)
}

fn millis(micros: u64) -> f64 {
    values::number(micros) / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(micros: impl IntoIterator<Item = u64>) -> Histogram {
        let mut histogram = Histogram::default();
        for value in micros {
            histogram.record(Duration::from_micros(value));
        }
        histogram
    }

    #[test]
    fn small_sets_are_exact() {
        assert_eq!(filled([]).latency(), Latency::default());
        let one = filled([7000]).latency();
        assert_eq!((one.p50, one.p99, one.max), (7.0, 7.0, 7.0));
        let hundred = filled(1..=100);
        assert_eq!(hundred.percentile(50), 50);
        assert_eq!(hundred.percentile(90), 90);
        assert_eq!(hundred.percentile(99), 99);
        assert_eq!(hundred.percentile(100), 100);
    }

    #[test]
    fn large_values_are_off_by_less_than_one_percent() {
        let histogram = filled((1..=10_000).map(|i| i * 313));
        for percent in [1, 50, 90, 99] {
            let exact = percent * 100 * 313;
            let found = histogram.percentile(percent);
            assert!(found >= exact, "{percent}: {found} < {exact}");
            assert!(found - exact <= exact / 100, "{percent}: {found} > {exact}");
        }
        assert_eq!(histogram.max, 3_130_000);
    }

    #[test]
    fn every_value_is_in_its_bucket() {
        let mut next = 0;
        for b in 0..3000 {
            let last = upper_bound(b);
            assert_eq!(bucket(next), usize::try_from(b).unwrap());
            assert_eq!(bucket(last), usize::try_from(b).unwrap());
            next = last + 1;
        }
        assert!(bucket(u64::MAX) < 8000);
    }
}
