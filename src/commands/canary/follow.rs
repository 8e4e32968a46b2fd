//! `get --watch`, `status` and `wait`: following a release by watches of its objects.

use super::{cli::Target, error::CanaryError, style::Style, subject::Subject, tree};
use crate::{
    cluster::records::state_name, decide::WaitReason, domain::state::Phase,
    objects::canary_deployment::canary_name, runtime::clock,
};
use futures::{
    FutureExt, StreamExt,
    stream::{BoxStream, select_all},
};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::ConfigMap};
use kube::{Api, Client, runtime::watcher::watch_object};
use serde::Serialize;
use std::{
    io::{IsTerminal, Write, stdout},
    process::ExitCode,
    time::Duration,
};
use tokio::time::{Instant, interval, timeout_at};

/// How often a drawing counts down while nothing changes. It costs no request.
const TICK: Duration = Duration::from_secs(1);
/// Exit code when the time is over.
const TIMEOUT: u8 = 2;
/// Exit code when a release cannot go on without a person.
const NEEDS_PERSON: u8 = 3;
/// Clears the terminal and goes to its first line.
const CLEAR: &str = "\u{1b}[2J\u{1b}[H";

/// Where a release stands, for people and scripts that wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Standing {
    /// It goes on by itself.
    UnderWay,
    /// It cannot go on without a person.
    NeedsPerson,
    /// No release is under way: the Deployment's template serves.
    Healthy,
    /// It was aborted.
    Aborted,
}

impl Standing {
    /// The standing of a release.
    #[must_use]
    pub fn of(subject: &Subject) -> Self {
        let view = &subject.view;
        if subject.is_outdated() {
            return Self::UnderWay;
        }
        let needs_person = view.waits.as_ref().is_some_and(|waits| waits.reason == WaitReason::Person);
        match view.phase {
            Phase::Healthy => Self::Healthy,
            Phase::Degraded => Self::Aborted,
            _ if needs_person => Self::NeedsPerson,
            _ => Self::UnderWay,
        }
    }
}

/// Changes of the objects that say where a release is.
struct Changes(BoxStream<'static, ()>);

impl Changes {
    fn of(client: &Client, subject: &Subject) -> Self {
        let owner = &subject.owner;
        let deployment = |name: &str| {
            let api = Api::<Deployment>::namespaced(client.clone(), &owner.namespace);
            watch_object(api, name).map(drop).boxed()
        };
        let records = Api::<ConfigMap>::namespaced(client.clone(), &owner.namespace);
        let record = watch_object(records, &state_name(&owner.name)).map(drop).boxed();
        Self(select_all([deployment(&owner.name), deployment(&canary_name(&owner.name)), record]).boxed())
    }

    /// Waits for a change. Changes that have come together count as one.
    async fn next(&mut self) {
        let _ = self.0.next().await;
        while self.0.next().now_or_never().is_some() {}
    }
}

/// `get --watch`: draws a release at each change, until a release that was under way has ended.
///
/// # Errors
/// See [`CanaryError`].
pub async fn watch(client: &Client, first: Subject, style: Style) -> Result<(), CanaryError> {
    let mut changes = Changes::of(client, &first);
    let (mut subject, mut pods) = (first, Vec::new());
    let mut ticks = interval(TICK);
    let (mut has_begun, mut last) = (false, String::new());
    let is_terminal = stdout().is_terminal();
    loop {
        let text = if is_terminal {
            format!("{CLEAR}{}", tree::tree(&subject, &pods, style, clock::now()))
        } else {
            tree::line(&subject) + "\n"
        };
        if text != last {
            stdout().write_all(text.as_bytes())?;
            stdout().flush()?;
            last = text;
        }
        let is_over = matches!(Standing::of(&subject), Standing::Healthy | Standing::Aborted);
        if is_over && has_begun {
            return Ok(());
        }
        has_begun |= !is_over;
        tokio::select! {
            () = changes.next() => {
                subject = subject.again(client).await?;
                pods = if is_terminal { subject.pods(client).await? } else { Vec::new() };
            }
            _ = ticks.tick(), if is_terminal => {}
        }
    }
}

/// `status` and `wait`: prints a line at each change until `is_done` gives an exit code, which is
/// [`TIMEOUT`] when the time is over.
///
/// # Errors
/// See [`CanaryError`].
pub async fn wait(
    client: &Client,
    first: Subject,
    timeout: Option<Duration>,
    is_done: impl Fn(&Subject) -> Option<u8>,
) -> Result<ExitCode, CanaryError> {
    let deadline = timeout.map(|timeout| Instant::now() + timeout);
    let mut changes = Changes::of(client, &first);
    let (mut subject, mut last) = (first, String::new());
    loop {
        let line = tree::line(&subject);
        if line != last {
            writeln!(stdout(), "{line}")?;
            last = line;
        }
        if let Some(code) = is_done(&subject) {
            return Ok(code.into());
        }
        let next = changes.next();
        let is_late = if let Some(deadline) = deadline {
            timeout_at(deadline, next).await.is_err()
        } else {
            next.await;
            false
        };
        if is_late {
            let waited = timeout.map(|timeout| format!("{}s", timeout.as_secs())).unwrap_or_default();
            writeln!(stdout(), "the release has not got there within {waited}")?;
            return Ok(TIMEOUT.into());
        }
        subject = subject.again(client).await?;
    }
}

/// Exit code of `status`: `None` while the release goes on by itself.
#[must_use]
pub fn status_code(subject: &Subject) -> Option<u8> {
    match Standing::of(subject) {
        Standing::UnderWay => None,
        Standing::Healthy => Some(0),
        Standing::Aborted => Some(1),
        Standing::NeedsPerson => Some(NEEDS_PERSON),
    }
}

/// Exit code of `wait`: `None` while the release may still get there.
#[must_use]
pub fn wait_code(target: Target, subject: &Subject) -> Option<u8> {
    if subject.is_outdated() {
        return None;
    }
    let (view, standing) = (&subject.view, Standing::of(subject));
    let is_over = matches!(standing, Standing::Healthy | Standing::Aborted);
    let step = view.rollout.as_ref().and_then(|progress| progress.step);
    let is_reached = match target {
        Target::Promoted => standing == Standing::Healthy,
        Target::Aborted => standing == Standing::Aborted,
        Target::Paused => view.phase == Phase::Paused,
        Target::Step(number) => step.is_some_and(|step| step + 1 >= number) || view.phase == Phase::Promoting,
    };
    if is_reached { Some(0) } else { is_over.then_some(1) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        decide::{
            RolloutView,
            fixtures::{now, seen, state},
        },
        domain::{
            keys,
            state::{RolloutState, Stage},
        },
        objects::manifest::Owner,
    };
    use jiff::Timestamp;
    use std::sync::Arc;

    fn subject(state: RolloutState, request: Option<&str>) -> Subject {
        let mut seen = seen(4, "web:2", true);
        let annotations = seen.deployment.metadata.annotations.get_or_insert_default();
        annotations.extend(request.map(|request| (keys::REQUEST.to_owned(), request.to_owned())));
        let owner = Owner { name: "web".into(), namespace: "shop".into(), uid: "u".into() };
        Subject::of(owner, Arc::new(state), &seen)
    }

    fn at(stage: Stage) -> Subject {
        subject(state(&seen(4, "web:2", true), stage), None)
    }

    const STEP: Stage = Stage::Step { index: 1, entered_at: Timestamp::UNIX_EPOCH, inconclusive: None };

    #[test]
    fn scripts_learn_how_a_release_ended_and_when_it_needs_a_person() {
        let aborted = Stage::Aborted { since: now(), message: "bad".into() };
        let undecided = Stage::Step { index: 1, entered_at: now(), inconclusive: Some("too few".into()) };
        for (stage, code) in
            [(Stage::Start, None), (Stage::PromoteRoll, None), (aborted, Some(1)), (undecided, Some(3))]
        {
            assert_eq!(status_code(&at(stage.clone())), code, "{stage:?}");
        }
        let idle = RolloutView::recorded(&RolloutState::default());
        assert_eq!(status_code(&Subject { view: idle, ..at(STEP) }), Some(0));
    }

    #[test]
    fn what_was_recorded_before_an_order_does_not_count() {
        let aborted = Stage::Aborted { since: now(), message: "bad".into() };
        let state = state(&seen(4, "web:2", true), aborted);
        let retry =
            r#"{"id": "1", "verb": "retry", "by": "jane", "at": "2026-01-01T00:00:00Z", "template": "b"}"#;
        let ordered = subject(state.clone(), Some(retry));
        assert_eq!((status_code(&ordered), wait_code(Target::Promoted, &ordered)), (None, None));
        let done = subject(RolloutState { handled_request: Some("1".into()), ..state }, Some(retry));
        assert_eq!(status_code(&done), Some(1));
    }

    #[test]
    fn what_was_recorded_about_another_template_does_not_count() {
        let aborted = Stage::Aborted { since: now(), message: "bad".into() };
        let before = subject(state(&seen(4, "web:1", true), aborted), None);
        assert_eq!((status_code(&before), wait_code(Target::Promoted, &before)), (None, None));
    }

    #[test]
    fn a_wait_ends_at_its_target_or_at_the_end_of_the_release() {
        for (target, code) in [
            (Target::Step(1), Some(0)),
            (Target::Step(2), Some(0)),
            (Target::Step(3), None),
            (Target::Promoted, None),
        ] {
            assert_eq!(wait_code(target, &at(STEP)), code, "{target:?}");
        }
        let aborted = at(Stage::Aborted { since: now(), message: "bad".into() });
        assert_eq!(wait_code(Target::Promoted, &aborted), Some(1));
        assert_eq!(wait_code(Target::Aborted, &aborted), Some(0));
        assert_eq!(wait_code(Target::Paused, &aborted), Some(1));
    }
}
