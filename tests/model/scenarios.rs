//! Schedules that once broke a promise, each in its shortest form and under its name.

use crate::sim::{
    Spec,
    cluster::{Cluster, template},
    people::UserRequest,
    process::{self, Process, Request, Said, Step},
    watches::Watch,
    writes::Write,
};
use crate::stories;
use haldane::{
    domain::{
        k8s::selector::Labels,
        keys,
        metric::AnalysisPhase,
        request::Verb,
        state::{Outcome, Phase, Stage},
    },
    routers::nginx,
};

const METRICS: &str = r#"
metrics:
  - name: share
    interval: 10s
    count: 3
    failureLimit: 1
    failureCondition: "result[0] < 0.5"
    provider: {prometheus: {query: "share"}}
"#;

/// A cluster with one controller.
struct Story {
    cluster: Cluster,
    process: Process,
    spec: Spec,
}

/// Whether a request is the one that is waited for.
type Is = fn(&Write) -> bool;

impl Story {
    /// Version `a` serves with 4 pods.
    fn with(canary: &str) -> Self {
        let annotations = Labels::from([
            (keys::CANARY.to_owned(), canary.to_owned()),
            (keys::ANALYSIS.to_owned(), METRICS.to_owned()),
        ]);
        let cluster = Cluster::new(4, &annotations);
        let spec = process::wanted(&cluster);
        let mut story = Self { cluster, process: Process::default(), spec };
        story.pass(2);
        story
    }

    /// Seconds in which everybody does what there is to do.
    fn pass(&mut self, seconds: i64) {
        for _ in 0..seconds {
            self.process.run(&mut self.cluster, &self.spec);
            rehearse(&mut self.process, &self.cluster);
            self.cluster.work();
            self.cluster.pass_time(1);
        }
    }

    fn ask(&mut self, request: &UserRequest) {
        let verdict = self.cluster.ask(request);
        assert!(verdict.is_allowed(), "{request}: {verdict:?}");
    }

    fn apply(&mut self, version: &str) {
        self.ask(&UserRequest::Apply(template(version)));
    }

    /// A pass of `process` up to the first request that `is` it, which is not sent.
    fn until(&mut self, process: &mut Process, is: Is) -> Request {
        for _ in 0..40 {
            match process.step(&self.cluster, &self.spec) {
                Step::Writes(write) if is(&write) => return process.request(),
                Step::Writes(write) => {
                    assert!(self.cluster.write(&process.request()).is_ok());
                    process.written(&write, &self.cluster);
                }
                Step::Failed => panic!("the pass failed"),
                Step::Restless(why) => panic!("{why}"),
                Step::Read => {}
                Step::Done => rehearse(process, &self.cluster),
            }
        }
        panic!("no such request in {:?}", self.cluster.state());
    }

    fn phase(&self) -> Phase {
        self.cluster.state().phase()
    }
}

/// Stable has series, as a rehearsal asks; what else is measured, the scenarios say.
fn rehearse(process: &mut Process, cluster: &Cluster) {
    while process.asked().is_some_and(|(run, ..)| run.contains("-rehearsal-")) {
        process.answer(cluster, Said::Value(1.0));
    }
}

const IS_STATE: Is = |write| matches!(write, Write::State(_));
const IS_INGRESS: Is = |write| matches!(write, Write::Apply(manifest) if manifest.kind == nginx::INGRESS);

#[test]
fn an_answer_counts_once_when_the_answer_to_its_record_is_lost() {
    let mut story = Story::with("{steps: [{analysis: {}}, {pause: {}}]}");
    story.apply("b");
    story.pass(8);
    story.process.answer(&story.cluster, Said::Value(0.1));
    let mut process = std::mem::take(&mut story.process);
    let request = story.until(&mut process, IS_STATE);
    assert!(story.cluster.write(&request).is_ok());
    process.refused();
    story.process = process;
    story.pass(2);
    let state = story.cluster.state();
    let run = &state.rollout.as_ref().unwrap().runs[0].run;
    assert_eq!((run.results[0].failed, run.phase), (1, AnalysisPhase::Running));
}

#[test]
fn a_weight_that_arrives_after_its_abort_is_refused() {
    // No header routes: at weight 0 the Ingress looks the same before the weight and after the abort.
    let mut story = Story::with("{steps: [{setWeight: 50}, {pause: {}}]}");
    story.apply("b");
    story.pass(3);
    let mut process = Process::default();
    let late = story.until(&mut process, IS_INGRESS);
    story.ask(&UserRequest::Order(Verb::Abort));
    story.pass(2);
    assert_eq!(story.phase(), Phase::Aborting);
    assert!(story.cluster.write(&late).is_err());
    assert_eq!(story.cluster.weight(), Some(0));
}

#[test]
fn an_abort_that_loses_a_race_for_its_route_goes_no_other_way() {
    let mut story = Story::with("{steps: [{setWeight: 50}, {pause: {}}]}");
    story.apply("b");
    story.pass(20);
    story.ask(&UserRequest::Order(Verb::Abort));
    let mut process = std::mem::take(&mut story.process);
    let request = story.until(&mut process, IS_INGRESS);
    // Somebody else changes the Ingress.
    let (version, index) = (story.cluster.bump(), story.cluster.find(nginx::INGRESS, "web-canary").unwrap());
    story.cluster.ours[index]["metadata"]["resourceVersion"] = version.to_string().into();
    process.denied(story.cluster.write(&request).unwrap_err());
    let writes = process.run(&mut story.cluster, &story.spec);
    assert!(!writes.iter().any(|write| matches!(write, Write::Apply(_) | Write::Delete(..))), "{writes:?}");
    story.process = process;
    story.pass(1);
    assert_eq!(story.cluster.weight(), Some(0));
    assert_eq!(story.cluster.canary().unwrap()["spec"]["replicas"], 2);
}

#[test]
fn a_replica_that_was_overtaken_between_its_reads_writes_nothing() {
    let mut story = Story::with("{steps: [{setWeight: 50}, {pause: {}}]}");
    story.apply("b");
    story.pass(20);
    // The Ingress is gone, and a replica has read the record of the pause.
    story.cluster.delete(nginx::INGRESS, "web-canary");
    let mut old = Process::default();
    assert_eq!(old.step(&story.cluster, &story.spec), Step::Read);
    assert_eq!(old.step(&story.cluster, &story.spec), Step::Read);
    story.ask(&UserRequest::Order(Verb::Abort));
    story.pass(1);
    let state = story.until(&mut old, IS_STATE);
    assert!(story.cluster.write(&state).is_err());
    assert_eq!(story.cluster.weight(), None);
}

#[test]
fn a_canary_without_a_record_is_taken_back_weight_first() {
    let mut story = Story::with("{steps: [{setWeight: 50}]}");
    story.apply("b");
    for _ in 0..60 {
        if story.phase() == Phase::Promoting {
            break;
        }
        story.pass(1);
        story.process.answer(&story.cluster, Said::Value(1.0));
    }
    while story.phase() == Phase::Promoting && story.cluster.is_held() {
        story.pass(1);
    }
    // Stable rolls behind a canary with all traffic, and nobody remembers why.
    story.cluster.record = None;
    story.cluster.bump();
    story.pass(2);
    assert_eq!(story.cluster.weight(), Some(0));
    assert!(story.cluster.canary().is_some());
    story.pass(30);
    assert!(story.cluster.ours.is_empty(), "{:?}", story.cluster.ours);
    assert_eq!((story.phase(), story.cluster.is_paused()), (Phase::Healthy, false));
}

#[test]
fn an_abort_outlives_its_record() {
    let mut story = Story::with("{steps: [{setWeight: 50}, {pause: {}}]}");
    story.apply("b");
    story.pass(20);
    story.ask(&UserRequest::Order(Verb::Abort));
    story.pass(60);
    assert_eq!(story.phase(), Phase::Degraded);
    story.cluster.record = None;
    story.cluster.bump();
    story.pass(60);
    assert_eq!(story.phase(), Phase::Degraded);
    story.ask(&UserRequest::Order(Verb::Retry));
    story.pass(20);
    assert_eq!(story.phase(), Phase::Paused);
}

#[test]
fn a_canary_that_cannot_carry_its_weight_is_not_promoted() {
    let mut story = Story::with("{steps: [{setWeight: 50}, {pause: {}}]}");
    story.cluster.behaviour.startup.insert("b".to_owned(), None);
    story.apply("b");
    story.pass(3);
    story.ask(&UserRequest::Order(Verb::PromoteFull));
    story.pass(700);
    assert_eq!(story.phase(), Phase::Degraded);
    assert_eq!(story.cluster.ready(), 4);
}

#[test]
fn a_canary_that_died_while_no_watch_said_so_gets_no_more_traffic() {
    let steps = "setCanaryScale: {replicas: 4}}, {setWeight: 20}, {pause: {}}, {setWeight: 80}, {pause: {}}";
    // Without an analysis: it would hold the weight for want of evidence.
    let mut story = stories::Story::new(4, &[(keys::CANARY, &format!("{{steps: [{{{steps}]}}"))]);
    story.apply("b");
    story.until("paused", |story| story.cluster.state().phase() == Phase::Paused);
    assert_eq!(story.cluster.weight(), Some(20));
    story.cluster.still = Watch::all().filter(|watch| *watch != Watch::Deployment).collect();
    let uid = story.cluster.uid.clone();
    for set in story.cluster.sets.iter_mut().filter(|set| set.owner != uid) {
        set.pods.iter_mut().for_each(|pod| pod.ready_at = None);
    }
    story.cluster.work();
    assert!(story.cluster.ask(&UserRequest::Order(Verb::Promote)).is_allowed());
    for _ in 0..40 {
        story.pass();
    }
    assert!(story.cluster.weight().unwrap_or(0) <= 20, "{:?}", story.cluster.weight());
}

#[test]
fn a_bad_background_analysis_stops_a_promotion_until_stable_rolls() {
    let mut story = Story::with("{steps: [{setWeight: 50}], analysis: {}}");
    story.apply("b");
    // One bad answer before the canary has traffic, and one good one afterwards: enough to be promoted.
    let mut said = [0.1, 1.0].into_iter();
    for _ in 0..60 {
        if story.cluster.state().rollout.as_ref().is_some_and(|rollout| rollout.stage == Stage::PromoteScale)
        {
            break;
        }
        story.pass(1);
        if story.process.asked().is_some()
            && let Some(value) = said.next()
        {
            story.process.answer(&story.cluster, Said::Value(value));
        }
    }
    // The canary does not grow meanwhile.
    for _ in 0..3 {
        story.process.answer(&story.cluster, Said::Value(0.1));
        story.cluster.pass_time(11);
        story.process.run(&mut story.cluster, &story.spec);
    }
    let state = story.cluster.state();
    assert!(state.rollout.as_ref().unwrap().abort_message().is_some(), "{:?}", state.rollout);
}

#[test]
fn promote_ends_the_analysis_that_it_skips() {
    let mut story = Story::with("{steps: [{analysis: {}}, {pause: {}}]}");
    story.apply("b");
    story.pass(8);
    story.ask(&UserRequest::Order(Verb::Promote));
    story.pass(1);
    for _ in 0..3 {
        story.process.answer(&story.cluster, Said::Value(0.1));
        story.pass(11);
    }
    assert_eq!(story.phase(), Phase::Paused);
}

#[test]
fn a_route_that_the_user_removed_does_not_survive_an_abort() {
    let mut story = Story::with("{steps: [{setWeight: 50}, {pause: {}}]}");
    story.cluster.routes.ingresses.push(("inner", "in.example"));
    story.cluster.touch();
    story.apply("b");
    story.pass(20);
    assert_eq!(story.cluster.weight(), Some(50));
    // One class is left, so the remaining Ingress has another name.
    story.cluster.routes.ingresses.pop();
    story.cluster.touch();
    story.ask(&UserRequest::Order(Verb::Abort));
    story.pass(2);
    assert_eq!(story.cluster.weight().unwrap_or(0), 0);
}

#[test]
fn a_deployment_made_anew_has_no_past() {
    let mut story = Story::with("{steps: [{setWeight: 50}, {pause: {}}]}");
    story.apply("b");
    story.pass(20);
    story.ask(&UserRequest::Order(Verb::Abort));
    story.pass(20);
    // With version b, which was aborted, and before the garbage collector has been here.
    story.cluster.recreate();
    story.process.run(&mut story.cluster, &story.spec);
    story.pass(10);
    assert_eq!((story.phase(), story.cluster.is_paused()), (Phase::Healthy, false));
    assert_eq!(story.cluster.ready(), 4);
    assert!(story.cluster.state().history.iter().all(|entry| entry.outcome != Outcome::Aborted));
}
