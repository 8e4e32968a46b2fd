use super::next;
use crate::{
    analysis::Answer,
    config::template,
    decide::{
        Event, Input, Measurements, Plan, decide,
        fixtures::{now, seen, state},
    },
    domain::{
        metric::{AnalysisPhase, TemplateRef},
        observed::Observed,
        state::{Rollout, RolloutState, Share, Stage},
        strategy::{AnalysisRef, AnalysisStep, BackgroundAnalysis, NamedTemplate, Step},
        value::{MetricValue, Reading},
    },
    objects::manifest::{Kind, Manifest, Owner},
};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use std::{collections::BTreeMap, sync::Arc};

/// A release that pauses for 10 minutes at weight 50 since `now`, and whose metrics are in Prometheus.
struct Release {
    state: RolloutState,
    seen: Observed,
}

fn after(seconds: i64) -> Timestamp {
    now() + SignedDuration::from_secs(seconds)
}

fn plan(state: RolloutState, seen: &Observed, measurements: &Measurements, now: Timestamp) -> Plan {
    let owner = Owner { name: "web".into(), namespace: "shop".into(), uid: "u".into() };
    let next = &Err("its plan is frozen".to_owned());
    decide(state, &Input { seen, owner: &owner, next, wait: None, measurements, now })
}

/// Its Ingress has these annotations.
fn release(annotations: &serde_json::Value, change: impl FnOnce(&mut Rollout)) -> Release {
    let mut seen = seen(4, "b", true);
    let backend = json!({"service": {"name": "web", "port": {"number": 80}}});
    let path = json!({"path": "/", "pathType": "Prefix", "backend": backend});
    let rules = json!([{"host": "shop.example", "http": {"paths": [path]}}]);
    for object in [
        json!({"kind": "Service", "metadata": {"name": "web"}, "spec": {"selector": {"app": "web"}}}),
        json!({"kind": "Ingress", "metadata": {"name": "web", "annotations": annotations}, "spec": {"rules": rules}}),
    ] {
        Arc::make_mut(&mut seen.world).add(object).unwrap();
    }
    let mut state = state(&seen, Stage::Step { index: 3, entered_at: now(), inconclusive: None });
    let rollout = state.rollout.as_mut().unwrap();
    let reference = TemplateRef { name: "errors".into(), cluster_scope: false };
    let provider =
        json!({"prometheus": {"address": "http://prometheus", "query": "errors{app=\"web-canary\"}"}});
    let metric = json!({"name": "errors", "interval": "1h", "provider": provider});
    let template = template::parse("errors", &json!({"metrics": [metric]}).to_string(), "spec").unwrap();
    let analysis = AnalysisRef { templates: vec![reference.clone()], ..AnalysisRef::default() };
    rollout.spec.templates = vec![NamedTemplate { reference, template }];
    rollout.spec.strategy.background = Some(BackgroundAnalysis { analysis, starting_step: 0 });
    rollout.spec.strategy.steps[3] = Step::Pause("10m".parse().ok());
    change(rollout);
    // What is asked for is there; a route is made without traffic first.
    let mut last = plan(state.clone(), &seen, &Measurements::default(), now());
    for _ in 0..2 {
        for Manifest { kind, name, mut body } in last.apply {
            if kind == Kind::DEPLOYMENT {
                body["status"] = json!({"availableReplicas": 2, "updatedReplicas": 2});
            }
            seen.ours
                .retain(|known| known["kind"] != body["kind"] || known["metadata"]["name"] != name.as_str());
            seen.ours.push(body);
        }
        last = plan(state.clone(), &seen, &Measurements::default(), now());
    }
    Release { state: last.state, seen }
}

impl Release {
    fn plain() -> Self {
        release(&json!({}), |_| {})
    }

    /// A look so many seconds after the weight was in force.
    fn at(&mut self, seconds: i64, measurements: &Measurements) -> Plan {
        let plan = plan(self.state.clone(), &self.seen, measurements, after(seconds));
        self.state = plan.state.clone();
        plan
    }

    fn rollout(&self) -> &Rollout {
        self.state.rollout.as_ref().unwrap()
    }

    /// What is asked about the share at that time: the queries.
    fn asked(&mut self, seconds: i64) -> Option<String> {
        let plan = self.at(seconds, &Measurements::default());
        let asked = plan.measure.iter().find(|due| due.run.contains("-share-"))?;
        Some(asked.metric.provider.config["query"].to_string())
    }

    /// What is asked is answered a second later; the Events of that.
    fn answered(&mut self, seconds: i64, outcome: Result<[f64; 2], &str>) -> Vec<Event> {
        assert!(self.asked(seconds).is_some(), "asked at {seconds} s: {:?}", self.rollout().share);
        let run = self.rollout().share.as_ref().unwrap().run.as_ref().unwrap().name.clone();
        let at = after(seconds + 1);
        let named = |[canary, others]: [f64; 2]| {
            let values = [
                ("canaryLeast", canary),
                ("canaryMost", canary),
                ("othersLeast", others),
                ("othersMost", others),
                ("seconds", 0.1),
                ("clusters", 1.0),
            ];
            let value = |(name, value): (&str, f64)| (name.to_owned(), MetricValue::Float(value));
            Reading::from(MetricValue::Map(values.map(value).into()))
        };
        let answer = Answer {
            metric: "share".to_owned(),
            started_at: at,
            finished_at: at,
            outcome: outcome.map(named).map_err(str::to_owned),
            asked: None,
            no_data: None,
            metadata: BTreeMap::new(),
        };
        let answers = BTreeMap::from([(run, vec![answer])]);
        let measurements = Measurements { answers, ..Measurements::default() };
        self.at(seconds + 1, &measurements).events
    }

    /// Jane's.
    fn order(&mut self, verb: &str) {
        let template = self.seen.template_hash();
        let request = json!({"id": verb, "verb": verb, "by": "jane", "template": template, "at": now()});
        let annotations = self.seen.deployment.metadata.annotations.as_mut().unwrap();
        annotations.insert("haldane.dev/request".to_owned(), request.to_string());
    }

    fn is_at(&self, index: usize) -> bool {
        self.rollout().step_index() == Some(index)
    }
}

fn reasons(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.reason).collect()
}

#[test]
fn the_share_is_asked_about_ever_longer_times_after_the_weight_is_in_force() {
    let mut release = Release::plain();
    assert_eq!(release.asked(65), None, "the first minute after settling");
    let asked = release.asked(66).unwrap();
    assert!(asked.contains("[30s]"), "half a minute is left out: {asked}");
    assert!(asked.contains("shop-(web-canary)-"), "{asked}");
    let again = release.asked(67).unwrap();
    assert_eq!(asked, again, "until it is answered");
    let mut release = Release::plain();
    let mut times = Vec::new();
    for seconds in 6..590 {
        if release.asked(seconds).is_some() {
            release.answered(seconds, Ok([100.0, 100.0]));
            times.push(seconds);
        }
    }
    assert_eq!(times, [66, 126, 246, 486]);
    assert!(release.is_at(3));
}

#[test]
fn a_share_that_is_astray_holds_the_step_until_it_follows() {
    let mut release = Release::plain();
    let events = release.answered(66, Ok([0.0, 400.0]));
    assert_eq!(reasons(&events), [] as [&str; 0], "one answer may be wrong");
    let waits = super::super::waits::waits(&release.state).unwrap();
    insta::assert_snapshot!(waits.message, @"the canary's share of the requests to be weight 50: it got 0 of 400 requests in 30 s, where about 200 were asked for; usual causes: an older Ingress, or a canary Ingress of somebody else, has the same host and path; the ingress controller has not taken over the canary's Ingress, as its log says; pods of the canary are ready at times only");
    assert_eq!(release.asked(95), None, "about another time than the first");
    let events = release.answered(96, Ok([1.0, 399.0]));
    assert_eq!(reasons(&events), ["WeightNotFollowed"]);
    assert_eq!(release.answered(126, Ok([0.0, 50.0])).len(), 0, "said once, and few are enough");
    release.at(601, &Measurements::default());
    assert!(release.is_at(3), "although its time is over");
    let events = release.answered(602, Ok([200.0, 210.0]));
    assert_eq!(reasons(&events)[0], "RolloutResumed");
    for (seconds, is_over) in [(603, false), (1202, false), (1203, true)] {
        release.at(seconds, &Measurements::default());
        assert_eq!(!release.is_at(3), is_over, "its ten minutes begin again: {seconds} s");
    }
}

#[test]
fn a_good_verdict_about_another_share_does_not_end_the_step() {
    for phase in ["Successful", "Running"] {
        let mut release = release(&json!({}), |rollout| {
            let analysis = rollout.spec.strategy.background.as_ref().unwrap().analysis.clone();
            rollout.spec.strategy.steps[3] = Step::Analysis(AnalysisStep { analysis, at_least: None });
        });
        release.at(6, &Measurements::default());
        release.answered(66, Ok([0.0, 400.0]));
        release.answered(96, Ok([0.0, 400.0]));
        let runs = &mut release.state.rollout.as_mut().unwrap().runs;
        let run = &mut runs.iter_mut().find(|record| record.step == Some(3)).unwrap().run;
        if phase == "Successful" {
            (run.phase, run.completed_at) = (AnalysisPhase::Successful, Some(after(100)));
        }
        release.at(101, &Measurements::default());
        assert!(release.is_at(3));
        release.answered(126, Ok([200.0, 210.0]));
        release.at(128, &Measurements::default());
        let runs = release.rollout().runs.iter().filter(|record| record.step == Some(3));
        let phases: Vec<_> = runs.map(|record| record.run.phase).collect();
        assert_eq!(
            phases,
            [AnalysisPhase::Successful, AnalysisPhase::Running],
            "a second one, after {phase}"
        );
        assert!(release.is_at(3), "{:?}", release.rollout().stage);
    }
}

#[test]
fn what_is_not_sure_holds_nothing() {
    let unknown = [f64::NAN, f64::NAN];
    for nothing in [Ok([0.0, 0.0]), Ok([0.0, 99.0]), Ok(unknown), Err("connection refused")] {
        let mut release = Release::plain();
        release.answered(66, nothing);
        release.at(601, &Measurements::default());
        assert!(!release.is_at(3), "{nothing:?}");
    }
}

#[test]
fn a_provider_that_does_not_answer_changes_nothing() {
    let mut release = Release::plain();
    release.answered(66, Ok([0.0, 400.0]));
    release.answered(96, Err("connection refused"));
    assert!(release.rollout().astray().is_some_and(|astray| !astray.confirmed));
    assert_eq!(reasons(&release.answered(126, Ok([0.0, 400.0]))), ["WeightNotFollowed"]);
}

#[test]
fn a_share_that_is_astray_for_the_deadline_aborts_the_release_unless_the_plan_says_otherwise() {
    for aborts in [true, false] {
        let mut release =
            release(&json!({}), |rollout| rollout.spec.strategy.progress_deadline_abort = aborts);
        release.answered(66, Ok([0.0, 400.0]));
        release.answered(96, Ok([0.0, 400.0]));
        release.at(666, &Measurements::default());
        assert!(release.is_at(3));
        release.at(667, &Measurements::default());
        let aborted = release.rollout().abort_message();
        let why =
            "the canary's share of the requests has not been weight 50 for 600s: it got 0 of 400 requests";
        assert_eq!(aborted.is_some_and(|message| message.contains(why)), aborts, "{aborted:?}");
        let asks = release.rollout().runs_under_way().any(|run| run.contains("-share-"));
        assert_eq!(asks, !aborts, "an ended release asks nothing");
    }
}

#[test]
fn time_in_which_a_person_has_paused_the_release_does_not_count() {
    let mut release = Release::plain();
    release.answered(66, Ok([0.0, 400.0]));
    release.answered(96, Ok([0.0, 400.0]));
    release.order("pause");
    release.at(600, &Measurements::default());
    release.at(5000, &Measurements::default());
    assert_eq!(release.rollout().abort_message(), None);
    release.order("resume");
    for (seconds, aborts) in [(5001, false), (5600, false), (5601, true)] {
        release.at(seconds, &Measurements::default());
        assert_eq!(release.rollout().abort_message().is_some(), aborts, "{seconds} s");
    }
}

#[test]
fn nothing_is_asked_where_more_than_the_weight_decides_or_nobody_can_be_asked() {
    let sticky = json!({"nginx/affinity": "cookie"});
    let testers =
        json!({"annotationPrefix": "nginx", "additionalAnnotations": {"canary-by-cookie": "testers"}});
    let mut releases = vec![
        ("sticky sessions", release(&sticky, |_| {})),
        (
            "testers by cookie",
            release(&json!({}), |rollout| {
                rollout.spec.strategy.settings.insert("nginx".to_owned(), testers);
            }),
        ),
        ("turned off", release(&json!({}), |rollout| rollout.spec.strategy.unobserved = true)),
        ("no analysis", release(&json!({}), |rollout| rollout.spec.strategy.background = None)),
        (
            "pods are the split",
            release(&json!({}), |rollout| {
                rollout.spec.strategy.router = Some("replicas".to_owned());
            }),
        ),
    ];
    for (why, release) in &mut releases {
        assert_eq!(release.asked(66), None, "{why}");
    }
}

#[test]
fn a_person_may_go_on_and_is_not_asked_again_about_this_weight() {
    let mut release = release(&json!({}), |rollout| {
        rollout.spec.strategy.steps.push(Step::Pause("10m".parse().ok()));
    });
    release.answered(66, Ok([0.0, 400.0]));
    release.answered(96, Ok([0.0, 400.0]));
    release.order("promote");
    release.at(100, &Measurements::default());
    assert!(release.is_at(4), "{:?}", release.rollout().stage);
    assert_eq!(release.asked(200), None);
    release.at(700, &Measurements::default());
    assert!(release.is_at(5), "its time is over: {:?}", release.rollout().stage);
}

#[test]
fn a_share_that_has_been_right_for_a_day_is_not_asked_about_again() {
    let since = after(0);
    let right_until = |seconds| Share {
        traffic: since,
        questions: 9,
        asked_at: after(seconds),
        seconds: 300,
        run: None,
        astray: None,
        accepted: false,
    };
    assert_eq!(next(Some(&right_until(1000)), since), Some(after(2000)));
    assert_eq!(next(Some(&right_until(24 * 60 * 60)), since), None);
}
