//! What users are promised while writes of Haldane's are not accepted.

use crate::{
    sim::{
        cluster::Cluster,
        people::UserRequest,
        writes::Verb::{self as Write, Create, Delete, Update},
    },
    stories::Story,
};
use haldane::domain::{
    keys,
    request::Verb,
    state::{Phase, Stage},
};
use jiff::SignedDuration;

const STEPS: &str = "{abortScaleDownDelaySeconds: 1, steps: [{setWeight: 50}, {pause: {}}]}";

/// At weight 50, and then these writes are refused.
fn halfway(refusing: &[(&'static str, Write)]) -> Story {
    let mut story = Story::new(4, &[(keys::CANARY, STEPS)]);
    story.apply("b");
    story.until("halfway", |story| story.cluster.weight() == Some(50) && phase(story) == Phase::Paused);
    story.cluster.refusing.extend(refusing);
    story.process.events();
    story
}

fn phase(story: &Story) -> Phase {
    story.cluster.state().phase()
}

fn order(story: &mut Story, verb: Verb) {
    assert!(story.cluster.ask(&UserRequest::Order(verb)).is_allowed());
}

/// Size of the canary Deployment, if there is one.
fn size(story: &Story) -> Option<i64> {
    story.cluster.canary()?["spec"]["replicas"].as_i64()
}

/// Messages of the Events with this reason since this was asked last.
fn events(story: &Story, reason: &str) -> Vec<String> {
    let published = story.process.events();
    published.into_iter().filter(|event| event.reason == reason).map(|event| event.message).collect()
}

fn refused(story: &Story) -> Option<String> {
    story.cluster.state().refused.as_ref().map(ToString::to_string)
}

#[test]
fn an_abort_goes_the_first_way_that_is_accepted() {
    let (fixed, kept) = ([("Ingress", Update)], [("Ingress", Update), ("Ingress", Delete)]);
    let stays = [kept.as_slice(), &[("Deployment", Update)]].concat();
    let ways: [(&[_], Option<u8>, Option<i64>); 4] = [
        (&[], Some(0), Some(2)),
        (&fixed, None, Some(2)),
        (&kept, Some(50), Some(0)),
        (&stays, Some(50), None),
    ];
    let record: [&[_]; 2] = [&[], &[("ConfigMap", Update)]];
    let cases = ways.iter().flat_map(|way| record.map(|record| (way, record)));
    for (((denied, weight, pods), record), fails) in cases.flat_map(|case| [(case, false), (case, true)]) {
        let mut story = halfway(&[]);
        let Cluster { refusing, failing, .. } = &mut story.cluster;
        let denies = if fails { failing } else { refusing };
        denies.extend(denied.iter().chain(record));
        order(&mut story, Verb::Abort);
        story.pass();
        let case = format!("{denied:?} and {record:?}, which fail: {fails}");
        assert_eq!((story.cluster.weight(), size(&story)), (*weight, *pods), "{case}");
        (story.cluster.refusing, story.cluster.failing) = Default::default();
        story.until("aborted", |story| phase(story) == Phase::Degraded && story.cluster.ours.is_empty());
        assert_eq!(refused(&story), None);
    }
}

#[test]
fn what_takes_the_traffic_stays_and_no_weight_is_claimed_until_the_route_can_go() {
    let mut story = halfway(&[("Ingress", Update), ("Ingress", Delete)]);
    order(&mut story, Verb::Abort);
    for _ in 0..200 {
        story.pass();
        assert_eq!((size(&story), phase(&story)), (Some(0), Phase::Aborting));
        let state = story.cluster.state();
        assert_eq!(state.rollout.as_ref().unwrap().traffic.at_most().percent(), 50);
    }
    let text = "Ingress is refused: Update is forbidden";
    assert_eq!(refused(&story).as_deref(), Some(text));
    let told = story.process.events();
    let of = |reason: &str| told.iter().filter(|event| event.reason == reason).count();
    assert_eq!((of("WriteRefused"), of("RolloutAborted"), of("TrafficWeightUpdated")), (1, 1, 0));
    // A retry brings no pods behind a route that still has a weight.
    order(&mut story, Verb::Retry);
    story.pass();
    assert_eq!((size(&story), story.cluster.weight()), (Some(0), Some(50)));
    story.cluster.refusing.clear();
    story.until("halfway again", |story| phase(story) == Phase::Paused && size(story) == Some(2));
    assert_eq!(events(&story, "TrafficWeightUpdated")[0], "Traffic weight updated from 50 to 0");
}

#[test]
fn the_deadline_ends_a_release_whose_objects_are_refused() {
    for verb in [None, Some(Verb::PromoteFull)] {
        let mut story = Story::new(4, &[(keys::CANARY, STEPS)]);
        story.cluster.refusing.insert(("Ingress", Create));
        story.apply("b");
        story.until("refused", |story| story.cluster.state().refused.is_some());
        if let Some(verb) = verb {
            order(&mut story, verb);
        }
        let began = story.cluster.now;
        story.until("aborted", |story| phase(story) == Phase::Degraded);
        assert!(story.cluster.now >= began + SignedDuration::from_secs(590), "{}", story.cluster.now);
        let why = "made no progress for 600s: Ingress is refused: Create is forbidden";
        let state = story.cluster.state();
        let message = state.rollout.as_ref().unwrap().abort_message().unwrap();
        assert!(message.contains(why), "{message}");
        assert_eq!(events(&story, "TrafficWeightUpdated"), [""; 0], "no weight was ever there");
        assert_eq!(refused(&story), None, "nothing is wanted any more");
    }
}

#[test]
fn a_promotion_that_may_not_release_the_deployment_goes_back_after_the_deadline() {
    let mut story = halfway(&[("Deployment of the user", Update)]);
    order(&mut story, Verb::Promote);
    story.until("to be released", |story| {
        story.cluster.state().rollout.as_ref().unwrap().stage == Stage::PromoteRoll
    });
    story.until("back", |story| phase(story) == Phase::Aborting);
    assert_eq!((story.cluster.weight(), story.cluster.ready()), (Some(0), 4), "stable is whole");
}
