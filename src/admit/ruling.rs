//! What follows from a request.

use super::{plan_review::trial::Trial, rehearsal::Rehearsal};
use crate::domain::review::Verdict;

/// The answer to a request, and what else to do.
#[derive(Debug)]
pub struct Ruling {
    /// The answer.
    pub verdict: Verdict,
    /// Metrics to try on stable. Their results become further warnings.
    pub rehearsals: Vec<Rehearsal>,
    /// Objects to try, which decide about the answer as well.
    pub trial: Option<Trial>,
}

impl From<Verdict> for Ruling {
    fn from(verdict: Verdict) -> Self {
        Self { verdict, rehearsals: Vec::new(), trial: None }
    }
}
