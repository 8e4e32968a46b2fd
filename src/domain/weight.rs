//! Shares of the traffic.

use serde::{Deserialize, Serialize};
use std::{cmp::Ordering, fmt};

/// A share of the traffic: parts of a total, which is 100 unless `maxTrafficWeight` says more.
///
/// Equal shares are equal, whatever their totals.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(try_from = "WrittenWeight", into = "WrittenWeight")]
pub struct Weight {
    parts: u32,
    total: u32,
}

/// As it is stored: a percentage, or parts and their total.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum WrittenWeight {
    Percent(u32),
    Parts(u32, u32),
}

/// There are more parts than their total.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a whole number from 0 to {total}")]
pub struct BadWeight {
    total: u32,
}

impl Weight {
    /// No traffic.
    pub const ZERO: Self = Self { parts: 0, total: Self::PERCENT };
    /// All traffic.
    pub const FULL: Self = Self { parts: Self::PERCENT, total: Self::PERCENT };
    /// The total of percentages.
    pub const PERCENT: u32 = 100;

    /// So many `parts` of `total`.
    ///
    /// # Errors
    /// When there are more than that.
    pub const fn of(parts: u32, total: u32) -> Result<Self, BadWeight> {
        if parts <= total && total > 0 { Ok(Self { parts, total }) } else { Err(BadWeight { total }) }
    }

    /// The percentage, a begun one counted as whole.
    #[must_use]
    pub fn percent(self) -> u8 {
        u8::try_from(self.parts_of(Self::PERCENT)).unwrap_or(u8::MAX)
    }

    /// The exact percentage.
    #[must_use]
    pub fn percentage(self) -> f64 {
        f64::from(self.parts) * f64::from(Self::PERCENT) / f64::from(self.total)
    }

    /// The same share as parts of `total`, a begun one counted as whole.
    #[must_use]
    pub fn parts_of(self, total: u32) -> u32 {
        let parts = (u64::from(self.parts) * u64::from(total)).div_ceil(u64::from(self.total));
        u32::try_from(parts).unwrap_or(u32::MAX)
    }

    /// By how many points of a hundred this is more than `other`, a begun one counted as whole.
    #[must_use]
    pub fn points_above(self, other: Self) -> u8 {
        let [more, less] = self.over_one_total(other);
        let total = u64::from(self.total) * u64::from(other.total);
        let points = more.saturating_sub(less).saturating_mul(u64::from(Self::PERCENT)).div_ceil(total);
        u8::try_from(points).unwrap_or(u8::MAX)
    }

    /// `ceil(weight × replicas)`: how many pods this share of the traffic needs.
    #[must_use]
    pub fn share_of(self, replicas: i32) -> i32 {
        let replicas = u64::try_from(replicas).unwrap_or(0);
        let pods = (u64::from(self.parts) * replicas).div_ceil(u64::from(self.total));
        i32::try_from(pods).unwrap_or(i32::MAX)
    }

    /// How many pods are this share of all, next to `rest` that are not: the nearest whole number, or `None`
    /// for all of the traffic.
    #[must_use]
    pub fn pods_next_to(self, rest: i32) -> Option<i32> {
        let (share, others) = (i64::from(self.parts), i64::from(self.total) - i64::from(self.parts));
        let pods = (i64::from(rest) * share + others / 2).checked_div(others)?;
        Some(i32::try_from(pods).unwrap_or(i32::MAX))
    }

    /// Both as parts of the product of their totals.
    fn over_one_total(self, other: Self) -> [u64; 2] {
        let parts = |of: Self, total: u32| u64::from(of.parts) * u64::from(total);
        [parts(self, other.total), parts(other, self.total)]
    }
}

impl PartialEq for Weight {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Weight {}

impl PartialOrd for Weight {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Weight {
    fn cmp(&self, other: &Self) -> Ordering {
        let [mine, theirs] = self.over_one_total(*other);
        mine.cmp(&theirs)
    }
}

impl Default for Weight {
    fn default() -> Self {
        Self::ZERO
    }
}

impl TryFrom<u8> for Weight {
    type Error = BadWeight;
    fn try_from(percent: u8) -> Result<Self, BadWeight> {
        Self::of(u32::from(percent), Self::PERCENT)
    }
}

impl TryFrom<WrittenWeight> for Weight {
    type Error = BadWeight;
    fn try_from(written: WrittenWeight) -> Result<Self, BadWeight> {
        match written {
            WrittenWeight::Percent(percent) => Self::of(percent, Self::PERCENT),
            WrittenWeight::Parts(parts, total) => Self::of(parts, total),
        }
    }
}

impl From<Weight> for WrittenWeight {
    fn from(weight: Weight) -> Self {
        match weight.total {
            Weight::PERCENT => Self::Percent(weight.parts),
            total => Self::Parts(weight.parts, total),
        }
    }
}

impl fmt::Display for Weight {
    /// The percentage, or `parts/total`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.total {
            Self::PERCENT => self.parts.fmt(f),
            total => write!(f, "{}/{total}", self.parts),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_rounded_up() {
        let pods = |percent: u8, replicas| Weight::try_from(percent).unwrap().share_of(replicas);
        assert_eq!((pods(0, 4), pods(1, 4), pods(25, 4), pods(26, 4), pods(100, 4)), (0, 1, 1, 2, 4));
        assert_eq!(Weight::try_from(101), Err(BadWeight { total: 100 }));
        let fine = Weight::of(5, 1000).unwrap();
        assert_eq!(
            (fine.share_of(10), fine.share_of(400), fine.percent(), fine.parts_of(2000)),
            (1, 2, 1, 10)
        );
    }

    #[test]
    fn shares_compare_whatever_their_totals() {
        let of = |parts, total| Weight::of(parts, total).unwrap();
        assert_eq!(of(250, 1000), of(25, 100));
        assert_eq!((of(0, 1000), of(1000, 1000)), (Weight::ZERO, Weight::FULL));
        assert!(of(251, 1000) > of(25, 100) && of(5, 1000) > Weight::ZERO);
        assert_eq!((of(205, 1000).points_above(of(10, 100)), of(1, 10).points_above(of(1, 2))), (11, 0));
        for weight in [of(5, 1000), of(25, 100)] {
            let stored = serde_json::to_string(&weight).unwrap();
            assert_eq!(serde_json::from_str::<Weight>(&stored).unwrap().to_string(), weight.to_string());
        }
        assert_eq!(serde_json::to_string(&of(25, 100)).unwrap(), "25", "as records of before have it");
        assert!(
            serde_json::from_str::<Weight>("101").is_err()
                && serde_json::from_str::<Weight>("[1,0]").is_err()
        );
    }
}
