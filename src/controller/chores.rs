//! What is done next to the passes, a few at a time: adopting Deployments, cleaning up after those that left.

use super::{
    context::{Context, ReconcileError},
    membership::{Chore, adopt_namespace, forget_if_out, remove_orphans, survey},
};
use crate::cluster::error::{Categorized, Category};
use futures::{Stream, StreamExt, stream::poll_fn};
use std::{sync::Arc, time::Duration};
use tokio::{sync::mpsc, time::sleep};
use tracing::warn;

/// Chores at once. Each is a dozen requests, one after the other.
const AT_ONCE: usize = 4;

/// After the first failure of a chore; each pause is twice the one before.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const MAX_PAUSE: Duration = Duration::from_mins(1);

/// A Deployment that is just being looked at is left until a little later.
const BUSY: Duration = Duration::from_millis(100);

/// Where chores are handed in.
#[derive(Debug, Clone)]
pub(super) struct Chores(mpsc::UnboundedSender<(Chore, Duration)>);

impl Chores {
    /// The chores, and the stream that does them while it is polled.
    pub(super) fn new(context: &Arc<Context>) -> (Self, impl Stream<Item = ()> + Send + use<>) {
        let (sender, mut handed_in) = mpsc::unbounded_channel();
        let (chores, context) = (Self(sender), Arc::clone(context));
        let again = chores.clone();
        let all = poll_fn(move |task| handed_in.poll_recv(task));
        let done = all.map(move |(chore, pause)| work(Arc::clone(&context), again.clone(), chore, pause));
        (chores, done.buffer_unordered(AT_ONCE))
    }

    pub(super) fn add(&self, chore: Chore) {
        self.later(chore, FIRST_PAUSE, Duration::ZERO);
    }

    /// Hands it in after some time; with `pause` before it is tried again.
    fn later(&self, chore: Chore, pause: Duration, after: Duration) {
        let sender = self.0.clone();
        let hand_in = move || {
            // Without a receiver, the controller ends.
            let _ = sender.send((chore, pause));
        };
        if after.is_zero() {
            return hand_in();
        }
        tokio::spawn(async move {
            sleep(after).await;
            hand_in();
        });
    }
}

async fn work(context: Arc<Context>, chores: Chores, chore: Chore, pause: Duration) {
    let turn = match &chore {
        Chore::Leave(key) => match context.active.turn(key) {
            Some(turn) => Some(turn),
            None => return chores.later(chore, pause, BUSY),
        },
        Chore::Survey | Chore::Orphans(..) | Chore::Adopt(_) => None,
    };
    let done = attempt(&context, &chores, &chore).await;
    drop(turn);
    match (done, &chore) {
        (Ok(()), Chore::Leave(key)) => context.failures.passed(key),
        (Ok(()), _) => {}
        (Err(error), _) if error.category() == Category::NotLeader => {}
        (Err(error), _) => {
            warn!(%chore, %error, "failed, trying again");
            chores.later(chore, (pause * 2).min(MAX_PAUSE), pause);
        }
    }
}

async fn attempt(context: &Context, chores: &Chores, chore: &Chore) -> Result<(), ReconcileError> {
    match chore {
        Chore::Survey => {
            for found in survey(context).await.map_err(ReconcileError::Membership)? {
                chores.add(found);
            }
            Ok(())
        }
        Chore::Leave(key) => forget_if_out(context, key).await,
        Chore::Orphans(namespace, mark) => {
            let removed = remove_orphans(&context.client, namespace, mark, context.defaults.settle).await;
            removed.map_err(ReconcileError::Membership)
        }
        Chore::Adopt(namespace) => Ok(adopt_namespace(&context.client, namespace).await?),
    }
}
