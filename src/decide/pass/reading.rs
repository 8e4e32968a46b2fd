//! What a pass reads, and from where.

use super::{Candidate, Known, Look, Room, Shell, Source};
use crate::{
    config::namespace::{Namespace, Settings},
    decide::{Frozen, Needs, Start, Wait, freeze, turn::Turn},
    domain::{observed::Observed, state::Rollout},
    routers::by_pods,
};
use std::sync::Arc;

/// What is around the Deployment.
pub(super) async fn around<S: Shell>(
    shell: &S,
    look: &Look,
    needs: &Needs,
    known: &mut Known,
    trusts_watches: bool,
) -> Result<Arc<Observed>, S::Error> {
    if trusts_watches && let Some(watched) = shell.watched(&look.owner, &look.seen, needs).await? {
        return Ok(known.newer(watched));
    }
    let seen = shell.surroundings(&look.owner, &look.seen, needs, Source::Watches).await?;
    known.read(&seen.ours);
    Ok(seen)
}

/// The plan of a rollout that starts now, or why none can, and whether there is room for it.
pub(super) async fn candidate<S: Shell>(
    shell: &S,
    needs: &Needs,
    namespace: &Namespace,
    settings: &Settings,
    look: &mut Look,
    known: &mut Known,
) -> Result<(Result<Frozen, String>, Option<Room<S::Guard>>), S::Error> {
    let mut next = match needs.start {
        Start::Rollout => match shell.plan(settings).await? {
            Ok(spec) => {
                let mut next = freeze(spec.clone(), &look.seen.workload(), &look.seen.world);
                // That something is missing is not concluded from a watch, which may be about to report it.
                if next.as_ref().map_or(true, |next| by_pods(&next.spec.strategy)) {
                    look.seen = shell.surroundings(&look.owner, &look.seen, needs, Source::Server).await?;
                    known.read(&look.seen.ours);
                    next = freeze(spec, &look.seen.workload(), &look.seen.world);
                }
                next
            }
            Err(problem) => Err(problem),
        },
        Start::Retry | Start::Nothing => Err("no rollout can start now".to_owned()),
    };
    if next.is_err() && needs.start != Start::Retry {
        shell.leave_queue();
        if let Some(rollout) = look.stored.state.rollout.as_ref().filter(|_| look.stored.state.is_running()) {
            // Another process may have started it, and not have made its objects yet.
            let turn = Turn::of(&look.owner.name, rollout.strategy(), &look.seen);
            shell.claim(turn.canaries(), |_| None);
        }
        return Ok((next, None));
    }
    let spec = next.as_ref().ok().map(|next| &next.spec);
    let mut room = shell.room(&Candidate { namespace, settings, spec, look }).await?;
    let strategy = match &next {
        Ok(next) => Some(&next.spec.strategy),
        Err(_) => look.stored.state.rollout.as_ref().map(Rollout::strategy),
    };
    if let (None, Some(strategy)) = (&room.wait, strategy) {
        let turn = Turn::of(&look.owner.name, strategy, &look.seen);
        let wait = shell.claim(turn.canaries(), |started| turn.must_wait(started));
        room.wait = wait.map(Wait::Queue);
    }
    if let Ok(next) = &mut next {
        next.metric_hosts = room.metric_hosts.take();
    }
    Ok((next, Some(room)))
}
