//! How many canaries run at once: releases beyond what a profile allows wait for their turn.

use super::{
    policies,
    reconcile::Context,
    state::{self, Stored},
};
use crate::{
    build::manifest::Owner,
    config::{namespace::Namespace, profile::read_profile},
    policy::{Limits, Mode},
    runtime::clock,
};
use jiff::Timestamp;
use tokio::sync::MutexGuard;

/// Whether a release may start now.
pub struct Room<'a> {
    /// Why it must wait; the text stays the same while it waits, because people are told when it changes.
    pub wait: Option<String>,
    /// Between counting and recording nobody else may count.
    _counting: Option<MutexGuard<'a, ()>>,
}

/// A release that is under way or waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Other {
    /// Its namespace.
    pub namespace: String,
    /// Name of its record.
    pub record: String,
    /// Since when it waits; `None` when it is under way.
    pub queued_since: Option<Timestamp>,
}

/// Looks for room. Costs a read a profile, and one more where a limit is set; asked only when a release could
/// start.
///
/// # Errors
/// The API server's.
pub async fn room<'a>(
    context: &'a Context,
    owner: &Owner,
    namespace: &Namespace,
    stored: &Stored,
) -> kube::Result<Room<'a>> {
    let bound = policies::look_up(&context.client, namespace.labels(), &context.own_namespace).await?;
    let enforced = bound.into_iter().find(|bound| bound.mode == Mode::Enforce);
    let Some(enforced) = enforced else { return Ok(Room { wait: None, _counting: None }) };
    let name = &enforced.name;
    let Some(Ok(profile)) = enforced.data.as_ref().map(read_profile) else {
        let wait = format!("policy {name}, which the namespace enforces, cannot be read");
        return Ok(Room { wait: Some(wait), _counting: None });
    };
    let Some(limits) = profile.limits() else { return Ok(Room { wait: None, _counting: None }) };
    let counting = context.counting.lock().await;
    let others = state::unfinished(&context.client).await?;
    let me = Other {
        namespace: owner.namespace.clone(),
        record: state::state_name(&owner.name),
        queued_since: Some(stored.state.queued_since.unwrap_or_else(clock::now)),
    };
    let wait =
        wait(&me, &others, limits).map(|limit| format!("waits for its turn: policy {name} allows {limit}"));
    Ok(Room { wait, _counting: Some(counting) })
}

/// The limit that leaves no room, in words. Within a namespace who waits longest comes first.
fn wait(me: &Other, others: &[Other], limits: Limits) -> Option<String> {
    let others: Vec<&Other> = others
        .iter()
        .filter(|other| (&other.namespace, &other.record) != (&me.namespace, &me.record))
        .collect();
    let near: Vec<&&Other> = others.iter().filter(|other| other.namespace == me.namespace).collect();
    let running = near.iter().filter(|other| other.queued_since.is_none()).count();
    let rank = |other: &Other| (other.queued_since, other.record.clone());
    let ahead = near.iter().filter(|other| other.queued_since.is_some() && rank(other) < rank(me)).count();
    let everywhere = others.iter().filter(|other| other.queued_since.is_none()).count();
    let is_over = |count: usize, limit: u32| u32::try_from(count).map_or(true, |count| count >= limit);
    let canaries = |limit: u32| if limit == 1 { "1 canary".to_owned() } else { format!("{limit} canaries") };
    let near = limits.per_namespace.filter(|limit| is_over(running.saturating_add(ahead), *limit));
    let far = limits.per_cluster.filter(|limit| is_over(everywhere, *limit));
    near.map(|limit| format!("{} at once in this namespace", canaries(limit)))
        .or_else(|| far.map(|limit| format!("{} at once in the cluster", canaries(limit))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn other(namespace: &str, record: &str, second: Option<i64>) -> Other {
        let queued_since = second.map(|second| Timestamp::from_second(second).unwrap());
        Other { namespace: namespace.into(), record: record.into(), queued_since }
    }

    fn limits(per_namespace: Option<u32>, per_cluster: Option<u32>) -> Limits {
        Limits { per_namespace, per_cluster }
    }

    #[test]
    fn who_waits_longest_in_a_namespace_comes_first() {
        let me = other("shop", "b", Some(20));
        let first = other("shop", "a", Some(10));
        let last = other("shop", "c", Some(30));
        let one = limits(Some(1), None);
        assert_eq!(wait(&me, &[me.clone(), last.clone()], one), None);
        assert!(wait(&me, &[me.clone(), first.clone(), last], one).is_some());
        assert_eq!(
            wait(&me, std::slice::from_ref(&first), limits(Some(2), None)),
            None,
            "there is room for both"
        );
        assert_eq!(wait(&me, &[other("else", "a", Some(1)), other("else", "b", None)], one), None);
        let text = wait(&me, &[other("shop", "a", None)], one).unwrap();
        assert_eq!(text, "1 canary at once in this namespace");
    }

    #[test]
    fn the_cluster_has_a_limit_of_its_own() {
        let me = other("shop", "b", Some(20));
        let running = [other("x", "a", None), other("y", "a", None)];
        assert_eq!(wait(&me, &running, limits(Some(1), Some(3))), None);
        assert_eq!(
            wait(&me, &running, limits(Some(1), Some(2))).unwrap(),
            "2 canaries at once in the cluster"
        );
    }
}
