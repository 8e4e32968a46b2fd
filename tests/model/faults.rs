//! Which disturbances a schedule has. Each has its own, because one that has all reaches little.

use crate::rng::Rng;

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::EnumIter)]
pub enum Fault {
    /// A process dies before or after any write, or between two reads.
    Crash,
    /// A request is refused: 409, 429, 500.
    Refusal,
    /// A write is carried out, but its sender is told of an error.
    LostAnswer,
    /// A write is still on its way when its sender has given up.
    Delay,
    /// The lease changes hands; a replica that has lost it does not know yet.
    TwoLeaders,
    /// A replica loses the lease between two requests, and knows it.
    Lease,
    /// Clocks jump, forwards and backwards.
    Clock,
    /// Somebody deletes or damages what is Haldane's.
    Tampering,
    /// The webhook is away and the API server does not mind.
    Bypass,
    /// There is no room for more pods.
    Quota,
    /// Pods become unready.
    Pods,
    /// The Deployment is deleted and made anew.
    Recreation,
    /// Writes of some kinds are not accepted for a while: a quota, a policy, a webhook that is away.
    Refused,
    /// Writes of some kinds fail for a while, in ways that say nothing.
    Failing,
    /// Services and Ingresses are added, renamed, removed.
    Routes,
    /// The Deployment opts out and in.
    OptOut,
    /// Scaled to 0 and back.
    Zero,
    /// Watches miss what happened.
    Gap,
    /// Watches are late, each for itself.
    Late,
    /// Templates that the plan names go and come; policies let it wait.
    Plans,
}

/// The faults of one schedule.
#[derive(Debug, Clone)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// Some of all.
    pub fn some(rng: &mut Rng) -> Self {
        use strum::IntoEnumIterator;
        Self(Fault::iter().filter(|_| rng.chance(40)).collect())
    }

    /// Whether this one can happen.
    pub fn has(&self, fault: Fault) -> bool {
        self.0.contains(&fault)
    }
}
