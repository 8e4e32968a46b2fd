//! Whether a rollout may start now: what the enforced profile says of it, which is asked again because plan, profile and
//! time may be others than at admission, and how many canaries may run at once.

use super::{context::Context, queue::Full};
use crate::cluster::{
    profiles,
    records::{self, Unfinished},
};
use crate::decide::pass::{Candidate, Look, Room, Stored};
use crate::{
    admit::rollout_start::{Permission, RolloutStart},
    config::profile::read_profile,
    decide::Wait,
    domain::hosts::Hosts,
    objects::manifest::Owner,
    policy::{Limits, Mode, profile::Profile},
    runtime::clock,
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::Deployment;
use kube::runtime::reflector::ObjectRef;
use tokio::sync::MutexGuard;

/// How long a paused canary counts in the cluster: a forgotten one must not stop others for ever.
const PAUSE_COUNTS: SignedDuration = SignedDuration::from_hours(24);

fn counts_in_cluster(other: &Unfinished, now: Timestamp) -> bool {
    let is_forgotten = other.paused_since.is_some_and(|since| now.duration_since(since) > PAUSE_COUNTS);
    other.queued_since.is_none() && !is_forgotten
}

/// Room that nobody had to count for.
const fn uncounted<G>(wait: Option<Wait>, metric_hosts: Option<Vec<Hosts>>) -> Room<Option<G>> {
    Room { wait, metric_hosts, guard: None }
}

/// Looks for room. Costs a read a profile, and one more where a limit is set; asked only when a release could
/// start.
///
/// # Errors
/// The API server's.
pub async fn room<'a>(
    context: &'a Context,
    candidate: &Candidate<'_>,
    start: &RolloutStart<'_>,
) -> kube::Result<Room<Option<MutexGuard<'a, ()>>>> {
    let Candidate { namespace, look: Look { owner, stored, .. }, .. } = candidate;
    let bound = profiles::look_up(&context.client, namespace.labels(), &context.own_namespace).await?;
    let enforced = bound.into_iter().find(|bound| bound.mode == Mode::Enforce);
    let key = ObjectRef::<Deployment>::new(&owner.name).within(&owner.namespace);
    let Some(enforced) = enforced else {
        context.queue.leaves(&key);
        return Ok(uncounted(None, None));
    };
    let name = &enforced.name;
    let refused = match enforced.data.as_ref().map(read_profile) {
        Some(Ok(profile)) => match start.permission(&profile, name) {
            Permission::Exempt => None,
            Permission::Denied(why) => Some(why),
            Permission::Granted => return counted(context, owner, stored, key, name, &profile).await,
        },
        _ => Some(format!("policy {name}, which the namespace enforces, cannot be read")),
    };
    context.queue.leaves(&key);
    Ok(uncounted(refused.map(Wait::Policy), None))
}

/// Looks for room among the canaries that run.
async fn counted<'a>(
    context: &'a Context,
    owner: &Owner,
    stored: &Stored,
    key: ObjectRef<Deployment>,
    name: &str,
    profile: &Profile,
) -> kube::Result<Room<Option<MutexGuard<'a, ()>>>> {
    let metric_hosts = profile.metric_hosts().map(<[Hosts]>::to_vec);
    let Some(limits) = profile.limits() else {
        context.queue.leaves(&key);
        return Ok(uncounted(None, metric_hosts));
    };
    let counting = context.queue.counting.lock().await;
    let others = records::unfinished(&context.client).await?;
    let now = clock::now();
    let since = stored.state.queued_since.unwrap_or(now);
    let me = Unfinished {
        namespace: owner.namespace.clone(),
        record: records::state_name(&owner.name),
        queued_since: Some(since),
        paused_since: None,
    };
    let ahead = limits.per_cluster.map_or(0, |limit| context.queue.ahead(&key, since, limit));
    let full = full(&me, &others, ahead, limits, now);
    match full {
        Some(full) => context.queue.waits(key, since, full),
        None => context.queue.leaves(&key),
    }
    let wait = full.map(|full| Wait::Queue(format!("waits for its turn: policy {name} allows {full}")));
    Ok(Room { wait, metric_hosts, guard: Some(counting) })
}

/// Which limit leaves no room. The Deployment that waits for longer comes first; `ahead` of them wait for room in the cluster.
fn full(
    me: &Unfinished,
    others: &[Unfinished],
    ahead: usize,
    limits: Limits,
    now: Timestamp,
) -> Option<Full> {
    let others: Vec<&Unfinished> = others
        .iter()
        .filter(|other| (&other.namespace, &other.record) != (&me.namespace, &me.record))
        .collect();
    let near: Vec<&&Unfinished> = others.iter().filter(|other| other.namespace == me.namespace).collect();
    let running = near.iter().filter(|other| other.queued_since.is_none()).count();
    let rank = |other: &Unfinished| (other.queued_since, other.record.clone());
    let ahead_here =
        near.iter().filter(|other| other.queued_since.is_some() && rank(other) < rank(me)).count();
    let everywhere = others.iter().filter(|other| counts_in_cluster(other, now)).count();
    let is_over = |count: usize, limit: u32| u32::try_from(count).map_or(true, |count| count >= limit);
    let near = limits.per_namespace.filter(|limit| is_over(running.saturating_add(ahead_here), *limit));
    let far = limits.per_cluster.filter(|limit| is_over(everywhere.saturating_add(ahead), *limit));
    near.map(Full::Namespace).or_else(|| far.map(Full::Cluster))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn other(namespace: &str, record: &str, second: Option<i64>) -> Unfinished {
        let queued_since = second.map(|second| Timestamp::from_second(second).unwrap());
        Unfinished { namespace: namespace.into(), record: record.into(), queued_since, paused_since: None }
    }

    fn full(me: &Unfinished, others: &[Unfinished], ahead: usize, limits: Limits) -> Option<Full> {
        super::full(me, others, ahead, limits, Timestamp::from_second(100_000).unwrap())
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
        assert_eq!(full(&me, &[me.clone(), last.clone()], 0, one), None);
        assert_eq!(full(&me, &[me.clone(), first.clone(), last], 0, one), Some(Full::Namespace(1)));
        assert_eq!(
            full(&me, std::slice::from_ref(&first), 0, limits(Some(2), None)),
            None,
            "there is room for both"
        );
        assert_eq!(full(&me, &[other("else", "a", Some(1)), other("else", "b", None)], 0, one), None);
        let text = full(&me, &[other("shop", "a", None)], 0, one).unwrap();
        assert_eq!(text.to_string(), "1 canary at once in this namespace");
    }

    #[test]
    fn the_cluster_has_a_limit_of_its_own() {
        let me = other("shop", "b", Some(20));
        let running = [other("x", "a", None), other("y", "a", None)];
        assert_eq!(full(&me, &running, 0, limits(Some(1), Some(3))), None);
        assert!(full(&me, &running, 1, limits(Some(1), Some(3))).is_some(), "the last place is another's");
        assert_eq!(
            full(&me, &running, 0, limits(Some(1), Some(2))).unwrap().to_string(),
            "2 canaries at once in the cluster"
        );
    }

    #[test]
    fn a_paused_canary_counts_in_the_cluster_for_a_day() {
        let me = other("shop", "b", Some(20));
        let paused = |namespace: &str, second: i64| Unfinished {
            paused_since: Timestamp::from_second(second).ok(),
            ..other(namespace, "a", None)
        };
        let one = limits(Some(1), Some(1));
        assert_eq!(full(&me, &[paused("x", 50_000)], 0, one), Some(Full::Cluster(1)));
        assert_eq!(full(&me, &[paused("x", 10_000)], 0, one), None);
        assert_eq!(full(&me, &[paused("shop", 10_000)], 0, one), Some(Full::Namespace(1)));
    }
}
