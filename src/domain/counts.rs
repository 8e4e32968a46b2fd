//! Whether counted requests contradict the share that was asked for.

/// More requests than these are not more certain: each source of counts has errors of its own.
const MOST: u32 = 1000;
/// How improbable the counts must be at the share asked for, on one side.
const IMPROBABLE: f64 = 0.000_5;

/// A number that is known within bounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bounds {
    /// At least.
    pub least: f64,
    /// At most.
    pub most: f64,
}

/// Requests that were counted on both sides.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Counts {
    /// Requests to the canary.
    pub canary: Bounds,
    /// All others that are split.
    pub others: Bounds,
}

impl Counts {
    /// The canary's requests and all of them, if these are too improbable where each goes to the canary with probability
    /// `share`, wherever in its bounds a count is. Fewer than `least` in all contradict nothing.
    #[must_use]
    pub fn contradict(&self, share: f64, least: f64) -> Option<(f64, f64)> {
        let few = (self.canary.most, self.canary.most + self.others.least);
        let many = (self.canary.least, self.canary.least + self.others.most);
        let counts = |all: f64| all.is_finite() && all > 0.0 && all >= least;
        let is_few = counts(few.1) && is_improbable(few.0, few.1, share);
        let is_many = counts(many.1) && is_improbable(many.1 - many.0, many.1, 1.0 - share);
        is_few.then_some(few).or_else(|| is_many.then_some(many))
    }
}

/// Whether so few of `all` hardly ever happen at this share.
fn is_improbable(few: f64, all: f64, share: f64) -> bool {
    let scale = (f64::from(MOST) / all).min(1.0);
    at_most((few * scale).ceil(), (all * scale).floor(), share) < IMPROBABLE
}

/// The probability of at most so many of `all`, by the binomial distribution.
fn at_most(most: f64, all: f64, share: f64) -> f64 {
    let odds = (share / (1.0 - share)).ln();
    let mut log = all * (1.0 - share).ln();
    let mut sum = 0.0;
    for count in (0..=MOST).map(f64::from).take_while(|count| *count <= most) {
        sum += log.exp();
        log += ((all - count) / (count + 1.0)).ln() + odds;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether exact counts contradict a percentage.
    fn contradict(canary: f64, others: f64, percent: f64) -> bool {
        let exact = |count| Bounds { least: count, most: count };
        let counts = Counts { canary: exact(canary), others: exact(others) };
        counts.contradict(percent / 100.0, 100.0).is_some()
    }

    #[test]
    fn only_counts_that_chance_hardly_gives_contradict_a_weight() {
        for (canary, others, percent, expected) in [
            // Nothing of what half would be; 99 requests say nothing.
            (0.0, 100.0, 50.0, true),
            (0.0, 99.0, 50.0, false),
            (0.0, 0.0, 50.0, false),
            // 50 of 100, give or take 16.
            (35.0, 65.0, 50.0, false),
            (32.0, 68.0, 50.0, true),
            (65.0, 35.0, 50.0, false),
            (68.0, 32.0, 50.0, true),
            // None of 100 is usual at 5 of 100, and not of 200.
            (0.0, 100.0, 5.0, false),
            (0.0, 200.0, 5.0, true),
            (0.0, 500.0, 1.0, false),
            (0.0, 1000.0, 1.0, true),
            (100.0, 0.0, 95.0, false),
            (1000.0, 0.0, 99.0, true),
            // However many are counted, a source that loses one of twenty contradicts nothing.
            (475_000.0, 525_000.0, 50.0, false),
            (440_000.0, 560_000.0, 50.0, true),
        ] {
            assert_eq!(
                contradict(canary, others, percent),
                expected,
                "{canary} next to {others} at {percent}"
            );
        }
    }

    #[test]
    fn a_count_contradicts_only_where_it_does_so_within_all_of_its_bounds() {
        let counts = |canary: (f64, f64), others: (f64, f64)| {
            let bounds = |(least, most)| Bounds { least, most };
            Counts { canary: bounds(canary), others: bounds(others) }.contradict(0.5, 100.0)
        };
        assert_eq!(counts((0.0, 10.0), (400.0, 400.0)), Some((10.0, 410.0)));
        assert_eq!(counts((0.0, 380.0), (400.0, 400.0)), None, "its series may be new");
        assert_eq!(counts((0.0, 10.0), (5.0, 400.0)), None, "other series may be new");
        assert_eq!(counts((400.0, 400.0), (0.0, 10.0)), Some((400.0, 410.0)));
        assert_eq!(counts((400.0, 400.0), (0.0, 380.0)), None);
        assert_eq!(counts((f64::NAN, f64::NAN), (400.0, 400.0)), None);
        assert_eq!(counts((0.0, 0.0), (f64::INFINITY, f64::INFINITY)), None);
    }
}
