//! Whole rollouts without disturbances, step by step: what users are promised of single features.

use crate::sim::{
    Spec,
    cluster::{Cluster, template},
    people::UserRequest,
    process::{Process, Said},
    spec,
};
use haldane::{
    decide::freeze,
    domain::{
        k8s::{
            label_rewrite::{CANARY_OF_LABEL, ROLE_LABEL},
            selector::Labels,
        },
        keys,
        request::Verb,
        state::Stage,
    },
    objects::manifest::Kind,
};
use jiff::SignedDuration;
use serde_json::json;
use std::collections::BTreeSet;

/// More passes than any story takes.
const PATIENCE: usize = 4_000;

/// A cluster, the controller, and a provider that answers `value`.
pub struct Story {
    pub cluster: Cluster,
    pub process: Process,
    spec: Spec,
    value: f64,
}

impl Story {
    pub fn new(replicas: i32, annotations: &[(&str, &str)]) -> Self {
        let annotations: Labels =
            annotations.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let cluster = Cluster::new(replicas, &annotations);
        let mut story = Self { cluster, process: Process::default(), spec: spec(&annotations), value: 1.0 };
        story.process.run(&mut story.cluster, &story.spec);
        story
    }

    /// A release of this version.
    pub fn apply(&mut self, version: &str) {
        let verdict = self.cluster.ask(&UserRequest::Apply(template(version)));
        assert!(verdict.is_allowed(), "{verdict:?}");
    }

    /// One look, everything that follows from it in the cluster, and time up to the next look.
    pub fn pass(&mut self) {
        let (version, now) = (self.cluster.version(), self.cluster.now);
        self.process.run(&mut self.cluster, &self.spec);
        self.cluster.work();
        if self.process.asked().is_some() {
            self.process.answer(&self.cluster, Said::Value(self.value));
            self.cluster.pass_time(1);
        } else if version == self.cluster.version() {
            let resync = now + SignedDuration::from_secs(60);
            let soonest = now + SignedDuration::from_millis(20);
            self.cluster.now = self.process.wake_at.map_or(resync, |at| at.min(resync)).max(soonest);
        } else {
            self.cluster.pass_time(1);
        }
    }

    /// Goes on until `there`, checking `always` after every pass.
    fn until_with(&mut self, what: &str, always: impl Fn(&Self), there: impl Fn(&Self) -> bool) {
        for _ in 0..PATIENCE {
            self.pass();
            always(self);
            if there(self) {
                return;
            }
        }
        panic!("never {what}: {:?}", self.cluster.state());
    }

    pub fn until(&mut self, what: &str, there: impl Fn(&Self) -> bool) {
        self.until_with(what, |_| {}, there);
    }

    fn is_at(&self, wanted: usize) -> bool {
        matches!(self.stage(), Some(Stage::Step { index, .. }) if index == wanted)
    }

    fn stage(&self) -> Option<Stage> {
        self.cluster.state().rollout.as_ref().map(|rollout| rollout.stage.clone())
    }

    fn canary_pods(&self) -> usize {
        self.cluster.sets.iter().filter(|set| set.owner != self.cluster.uid).map(|set| set.pods.len()).sum()
    }

    pub fn is_healthy(&self) -> bool {
        self.stage().is_none() && !self.cluster.is_held() && self.cluster.ours.is_empty()
    }

    fn weights(&self) -> Vec<u8> {
        self.cluster.weights.iter().map(|(_, weight)| *weight).collect()
    }
}

const HOURLY: &str = "{metrics: [{name: share, interval: 1h, failureLimit: 0, successCondition: 'result[0] > 0.9', \
    provider: {prometheus: {query: share}}}]}";

#[test]
fn a_day_at_full_weight_can_still_end_in_its_last_hour() {
    let soak = "{steps: [{setWeight: 100}, {pause: {duration: 24h}}], analysis: {}}";
    let mut story = Story::new(4, &[(keys::CANARY, soak), (keys::ANALYSIS, HOURLY)]);
    story.apply("b");
    story.until("soaking", |story| story.is_at(1));
    let began = story.cluster.now;
    assert_eq!((story.cluster.weight(), story.canary_pods()), (Some(100), 4), "the canary carries all");
    let late = began + SignedDuration::from_hours(22) + SignedDuration::from_mins(30);
    story.until("in its last hours", |story| story.cluster.now > late);
    assert!(story.is_at(1), "23 good hours do not end it early: {:?}", story.stage());
    story.value = 0.0;
    let stable_is_whole = |story: &Story| assert_eq!(story.cluster.ready(), 4, "stable is whole at any time");
    story.until_with("aborted", stable_is_whole, |story| {
        story.cluster.state().rollout.as_ref().unwrap().abort_message().is_some()
    });
    assert_eq!(story.cluster.weight(), Some(0), "the first write after the verdict takes the traffic back");
    assert!(story.cluster.now < began + SignedDuration::from_hours(24), "{}", story.cluster.now);
}

#[test]
fn a_pause_holds_every_change_until_resume_and_resume_skips_no_step() {
    let mut story = Story::new(3, &[(keys::CANARY, "{steps: [{setWeight: 10}, {pause: {}}]}")]);
    let ask = |story: &mut Story, asked: UserRequest| {
        let verdict = story.cluster.ask(&asked);
        assert!(verdict.is_allowed(), "{asked}: {verdict:?}");
    };
    for passes in [0, 1, 40] {
        ask(&mut story, UserRequest::NativePause);
        for version in ["b", "c"] {
            story.apply(version);
            (0..passes).for_each(|_| story.pass());
            assert!(story.weights().is_empty(), "it waits after {passes} passes: {:?}", story.weights());
        }
        ask(&mut story, UserRequest::NativeResume);
        story.until("at its pause", |story| story.is_at(1));
        (0..40).for_each(|_| story.pass());
        assert!(story.is_at(1), "{:?}", story.stage());
        assert_eq!(story.weights(), [10]);
        story.apply("a");
        story.until("healthy", Story::is_healthy);
        story.cluster.weights.clear();
    }
}

#[test]
fn a_template_within_the_rollback_window_needs_no_new_trial() {
    let plan = "{steps: [{setWeight: 10}, {pause: {duration: 1h}}], rollbackWindow: {revisions: 1}}";
    let mut story = Story::new(3, &[(keys::CANARY, plan)]);
    story.apply("b");
    story.until("healthy", Story::is_healthy);
    assert_eq!(story.weights(), [10, 100, 0], "the first time it is tried");
    let began = story.cluster.now;
    story.apply("a");
    story.until("back", Story::is_healthy);
    assert_eq!(story.weights()[3..], [100, 0], "no step on the way back");
    assert!(story.cluster.now < began + SignedDuration::from_mins(5));
    story.apply("c");
    story.until("healthy", Story::is_healthy);
    story.apply("b");
    story.until("on trial", |story| story.is_at(1));
    assert_eq!(story.weights()[5..], [10, 100, 0, 10], "two templates ago is outside the window");
}

#[test]
fn blue_green_switches_whole_and_goes_back_whole() {
    let plan = "{activeService: web, autoPromotionEnabled: false, scaleDownDelaySeconds: 600}";
    let mut story = Story::new(3, &[(keys::BLUE_GREEN, plan)]);
    story.apply("b");
    story.until("at its pause", |story| story.is_at(1));
    assert_eq!((story.cluster.weight(), story.canary_pods()), (Some(0), 3), "a preview of full size");
    let whole = |story: &Story| assert_eq!(story.cluster.ready(), 3, "the old version is whole");
    assert!(story.cluster.ask(&UserRequest::Order(Verb::Promote)).is_allowed());
    story.until_with("switched", whole, |story| story.stage() == Some(Stage::PromoteShift));
    let switched = story.cluster.now;
    let later = switched + SignedDuration::from_mins(8);
    story.until_with("some minutes later", whole, |story| story.cluster.now > later);
    assert_eq!((story.stage(), story.cluster.weight()), (Some(Stage::PromoteShift), Some(100)));
    assert!(story.cluster.ask(&UserRequest::Order(Verb::Abort)).is_allowed());
    story.until_with("back", whole, |story| matches!(story.stage(), Some(Stage::Aborted { .. })));
    assert_eq!(story.weights(), [100, 0]);
    assert!(story.cluster.ask(&UserRequest::Order(Verb::Retry)).is_allowed());
    story.until("at its pause", |story| story.is_at(1));
    assert!(story.cluster.ask(&UserRequest::Order(Verb::Promote)).is_allowed());
    story.until("healthy", Story::is_healthy);
    assert_eq!(story.weights(), [100, 0, 100, 0]);
}

#[test]
fn a_release_is_recorded_once_for_each_change_of_what_is_to_be() {
    let mut story = Story::new(1, &[(keys::CANARY, "{steps: [{setWeight: 20}, {setWeight: 50}]}")]);
    story.cluster.behaviour.startup.insert("b".to_owned(), Some(0));
    story.apply("b");
    let mut records = BTreeSet::from([story.cluster.record_version()]);
    while !(records.len() > 1 && story.is_healthy()) {
        story.pass();
        records.insert(story.cluster.record_version());
    }
    // The start, the three weights up to 100, the replacement of stable, weight 0, the removal, and the end.
    assert_eq!(records.len() - 1, 8, "that a weight is in force is recorded with what follows from it");
}

/// Without an Ingress.
fn without_ingress(replicas: i32, plan: &str) -> Story {
    let mut story = Story::new(replicas, &[(keys::CANARY, plan)]);
    story.cluster.routes.ingresses.clear();
    story.cluster.touch();
    story
}

#[test]
fn without_an_ingress_pods_are_the_split_and_an_abort_takes_them_away() {
    let plan = "{steps: [{setWeight: 20}, {pause: {}}, {setWeight: 80}, {pause: {}}]}";
    let mut story = without_ingress(4, plan);
    story.apply("b");
    let few = |story: &Story| {
        assert!(story.canary_pods() <= 1 && story.cluster.ready() == 4, "{} pods", story.canary_pods());
    };
    story.until_with("at the first pause", few, |story| story.is_at(1));
    assert_eq!(story.canary_pods(), 1, "1 of 5 is 20 %");
    assert!(story.cluster.ask(&UserRequest::Order(Verb::Promote)).is_allowed());
    story.until("at the second pause", |story| story.is_at(3));
    assert_eq!(story.canary_pods(), 4, "never more than stable");
    assert!(story.cluster.ask(&UserRequest::Order(Verb::Abort)).is_allowed());
    story.pass();
    assert_eq!(story.canary_pods(), 0, "pods get traffic, so an abort takes them away at once");
    story.until("aborted", |story| matches!(story.stage(), Some(Stage::Aborted { .. })));
    assert!(story.cluster.ask(&UserRequest::Order(Verb::Retry)).is_allowed());
    story.until("at the first pause", |story| story.is_at(1));
    assert!(story.cluster.ask(&UserRequest::Order(Verb::PromoteFull)).is_allowed());
    story.until("healthy", Story::is_healthy);
    assert_eq!(story.cluster.ready(), 4);
}

#[test]
fn without_an_ingress_a_canary_service_lives_as_long_as_its_canary() {
    let service = |story: &Story| {
        let of_kind = story.cluster.find(Kind::SERVICE, "web-canary");
        of_kind.map(|index| story.cluster.ours[index]["spec"]["selector"].clone())
    };
    let mut story = without_ingress(4, "{canaryService: web-canary, steps: [{setWeight: 20}, {pause: {}}]}");
    story.apply("b");
    story.until("at the pause", |story| story.is_at(1));
    let own = json!({"app": "web", CANARY_OF_LABEL: "web", ROLE_LABEL: "canary"});
    assert_eq!(service(&story), Some(own), "the user's selects both sides, this one the canary");
    assert!(story.cluster.ask(&UserRequest::Order(Verb::Abort)).is_allowed());
    story.until("without a canary", |story| story.cluster.ours.is_empty());
    assert!(matches!(story.stage(), Some(Stage::Aborted { .. })));
    assert!(story.cluster.ask(&UserRequest::Order(Verb::Retry)).is_allowed());
    story.until("at the pause", |story| story.is_at(1));
    assert!(service(&story).is_some());
    assert!(story.cluster.ask(&UserRequest::Order(Verb::Promote)).is_allowed());
    story.until("healthy", Story::is_healthy);
}

#[test]
fn without_an_ingress_a_plan_that_needs_one_does_not_start() {
    for plan in ["{steps: [{setCanaryScale: {replicas: 2}}]}", "{scaleDownDelaySeconds: 5}"] {
        let story = without_ingress(2, plan);
        let seen = story.cluster.seen();
        let why = freeze(story.spec.unwrap(), &seen.workload(), &seen.world).unwrap_err();
        assert!(why.contains("needs an Ingress"), "{why}");
    }
}

#[test]
fn a_label_that_is_lost_comes_back_while_the_annotations_opt_in() {
    let mut story = Story::new(2, &[(keys::CANARY, "{steps: [{setWeight: 50}, {pause: {duration: 1h}}]}")]);
    story.apply("b");
    story.until("paused", |story| story.is_at(1));
    let mut web = story.cluster.web.clone();
    web["metadata"]["labels"] = json!({});
    story.cluster.store_web(web);
    story.until("healthy", Story::is_healthy);
    assert!(story.cluster.is_watched());
}
