//! Rollouts that an earlier version of Haldane has recorded go on. `records.jsonl` holds a record of each stage, as
//! version 0.1.0 wrote them for a Deployment with four replicas, and is never rewritten.

use crate::{sim::people::UserRequest, stories::Story};
use haldane::{
    decide::state_validation,
    domain::{
        keys,
        request::Verb,
        state::{Outcome, Phase, RolloutState},
    },
};
use jiff::SignedDuration;
use std::sync::Arc;

const RECORDS: &str = include_str!("records.jsonl");

fn read(line: &str) -> RolloutState {
    let state = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    state_validation::check(&state).unwrap_or_else(|finding| panic!("{finding}: {line}"));
    state
}

#[test]
fn a_record_of_an_earlier_version_is_read_whole() {
    for line in RECORDS.lines() {
        let state = read(line);
        assert_eq!(read(&serde_json::to_string(&state).unwrap()), state);
        let rollout = state.rollout.as_ref().unwrap();
        let has_header = line.contains(r#""routes":true,"header":0"#);
        assert_eq!(!rollout.traffic.headers.is_empty(), has_header, "{line}");
    }
}

#[test]
fn a_rollout_that_an_earlier_version_has_recorded_goes_on() {
    for line in RECORDS.lines() {
        let state = read(line);
        let mut story = Story::new(4, &[(keys::CANARY, "{steps: [{setWeight: 20}, {pause: {}}]}")]);
        if line.contains(r#""router":"replicas""#) {
            story.cluster.routes.ingresses.clear();
        }
        story.apply("b");
        story.cluster.now += SignedDuration::from_hours(2);
        let version = story.cluster.bump();
        story.cluster.record = Some((Arc::new(state), version, story.cluster.uid.clone()));
        let rests = |story: &Story| {
            story.is_healthy() || matches!(story.cluster.state().phase(), Phase::Paused | Phase::Degraded)
        };
        story.until("at rest", rests);
        if story.cluster.state().phase() == Phase::Degraded {
            assert!(story.cluster.ask(&UserRequest::Order(Verb::Retry)).is_allowed());
        }
        if !story.is_healthy() {
            story.until("under way", |story| story.cluster.state().phase() != Phase::Degraded);
            assert!(story.cluster.ask(&UserRequest::Order(Verb::PromoteFull)).is_allowed());
            story.until("promoted", Story::is_healthy);
        }
        let state = story.cluster.state();
        assert_eq!(state.history.last().map(|ended| ended.outcome), Some(Outcome::Promoted), "{line}");
    }
}
