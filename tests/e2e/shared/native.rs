//! kubectl's own verbs, and Haldane's where kubectl has none.

use crate::harness::{App, Load, SOON, Space, eventually, haldane::metrics_of, space::weight_of};
use std::{
    thread,
    time::{Duration, Instant},
};

const STEPS: &str = "steps: [{setWeight: 20}, {pause: {}}, {setWeight: 50}, {pause: {duration: 2s}}]";
const INGRESS: &str = "networking.k8s.io/v1 Ingress";

/// Environment, outcomes of ended rollouts, oldest first.
fn outcomes(space: &Space) -> Vec<String> {
    let history = space.state("web")["history"].as_array().cloned().unwrap_or_default();
    history.iter().map(|entry| entry["outcome"].as_str().unwrap_or_default().to_owned()).collect()
}

#[test]
fn rollout_status_waits_for_the_promotion_and_resume_continues() {
    let space = Space::new("status");
    space.deploy(&App::canary(STEPS));
    space.set_env("web", &["VERSION=v2"]).ok();
    let status = thread::scope(|scope| {
        let status =
            scope.spawn(|| space.kubectl(&["rollout", "status", "deployment/web", "--timeout=300s"]).ok());
        space.pauses_at("web", "20");
        assert!(!status.is_finished(), "rollout status waits");
        space.kubectl(&["rollout", "resume", "deployment/web"]).ok();
        eventually("the promotion to begin", SOON, || {
            let summary = space.summary("web");
            assert!(
                summary["phase"] == "Promoting" || !status.is_finished(),
                "rollout status ended at {summary}"
            );
            if summary["phase"] == "Promoting" { Ok(()) } else { Err(summary.to_string()) }
        });
        status.join().expect("it ends")
    });
    assert!(status.out.contains("successfully rolled out"), "{status:?}");
    let env = &space.the("apps/v1 Deployment", "web")["spec"]["template"]["spec"]["containers"][0]["env"];
    assert_eq!(env[0]["value"], "v2");
    space.is_healthy("web", SOON);
    assert_eq!(outcomes(&space), ["Promoted"]);
}

#[test]
fn an_aborted_release_is_not_resumed() {
    let space = Space::new("resume");
    space.deploy(&App::canary(STEPS));
    space.set_env("web", &["VERSION=v2"]).ok();
    space.pauses_at("web", "20");
    space.order("web", "abort").ok();
    space.reaches("web", SOON, &[("phase", "Degraded"), ("weight", "0")]);
    let resume = space.kubectl(&["rollout", "resume", "deployment/web"]).refused();
    let advice = "cannot resume: revision 2 was aborted; try it again with haldane.dev/do=retry, or apply another pod template";
    assert!(resume.contains(advice), "{resume}");
    let status = space.kubectl(&["rollout", "status", "deployment/web", "--timeout=60s"]);
    assert_eq!(status.code, 1, "{status:?}");
    assert!(status.err.contains("exceeded its progress deadline"), "{status:?}");
    assert_eq!(outcomes(&space), ["Aborted"]);

    // The stable template again: a plain, healthy Deployment, and no pod is replaced.
    let before = space.pods("app=web");
    space.set_env("web", &["VERSION=v1"]).ok();
    // At once: what was said of the abort is not about this change.
    space.rolled_out("web");
    space.is_healthy("web", SOON);
    assert_eq!(space.pods("app=web"), before);
}

#[test]
fn the_stable_template_again_rolls_back_without_a_restart() {
    let space = Space::new("rollback");
    let v1 = App::canary(STEPS);
    space.deploy(&v1);
    space.answers("v1");
    let before = space.pods("app=web");
    let load = Load::start(&space, 50);
    space.apply(&v1.clone().with("VERSION", "v2").manifest(&space)).ok();
    space.pauses_at("web", "20");
    space.apply(&v1.manifest(&space)).ok();
    space.is_healthy("web", SOON);
    space.rolled_out("web");
    load.stop().assert_nothing_failed("rollback");
    assert_eq!(space.pods("app=web"), before, "no pod of stable was replaced");
    assert_eq!(outcomes(&space), ["RolledBack"]);
    assert_eq!(space.the("apps/v1 Deployment", "web")["spec"]["paused"], serde_json::Value::Null);
}

#[test]
fn a_newer_template_takes_the_place_of_the_canary() {
    let space = Space::new("newer");
    space.deploy(&App::canary(STEPS));
    space.answers("v1");
    let ingresses = space.record(INGRESS);
    let load = Load::start(&space, 50);
    space.set_env("web", &["VERSION=v2"]).ok();
    space.pauses_at("web", "20");
    space.set_env("web", &["VERSION=v3"]).ok();
    space.reaches("web", SOON, &[("phase", "Paused"), ("weight", "20"), ("revision", "3")]);
    let sample = Load::with(&space, &["--rate", "100", "--duration", "3s"]).finish();
    assert_eq!(sample.answers("v2"), 0, "v2 is gone: {}", sample.split());
    assert!(sample.answers("v1") > 0 && sample.answers("v3") > 0, "stable is v1: {}", sample.split());
    space.order("web", "promote").ok();
    space.is_healthy("web", 2 * SOON);
    load.stop().assert_nothing_failed("a newer template");
    assert_eq!(outcomes(&space), ["Superseded", "Promoted"]);
    assert_eq!(ingresses.course("web-canary", weight_of), ["0", "20", "0", "20", "50", "100", "0"]);
}

#[test]
fn a_pause_by_order_holds_until_resume() {
    let space = Space::new("pause");
    space.deploy(&App::canary(
        "steps: [{setWeight: 20}, {pause: {duration: 4s}}, {setWeight: 50}, {pause: {}}]",
    ));
    space.set_env("web", &["VERSION=v2"]).ok();
    space.reaches("web", SOON, &[("weight", "20")]);
    space.order("web", "pause").ok();
    // The message tells it from the plan's own pause.
    let why = "waits for haldane.dev/do=resume, because a person has paused it";
    let wanted = [("phase", "Paused"), ("weight", "20"), ("actual-weight", "20"), ("message", why)];
    let summary = space.reaches("web", SOON, &wanted);
    // Longer than the weight settles and its pause lasts together.
    let since = Instant::now();
    while since.elapsed() < Duration::from_secs(13) {
        assert_eq!(space.summary("web"), summary, "held by a person");
        thread::sleep(Duration::from_millis(500));
    }
    space.order("web", "resume").ok();
    space.pauses_at("web", "50");
    let resume = space.order("web", "retry").refused();
    assert!(resume.contains("only an aborted revision can be retried"), "{resume}");
}

#[test]
fn what_does_not_change_the_template_passes() {
    let space = Space::new("passes");
    space.deploy(&App::canary(STEPS));
    space.set_env("web", &["VERSION=v2"]).ok();
    space.pauses_at("web", "20");
    eventually("the pause and the weight in the leader's metrics", SOON, || {
        let shown = metrics_of(&space, "web")?;
        let has = |metric: &str, end: &str| {
            shown
                .iter()
                .any(|line| line.starts_with(&format!("haldane_rollout_{metric}{{")) && line.ends_with(end))
        };
        let is_shown = has("phase", "phase=\"Paused\"} 1")
            && has("weight_observed", "} 20.0")
            && has("waits_for_person", "} 1.0");
        if is_shown { Ok(()) } else { Err(format!("{shown:#?}")) }
    });
    space.kubectl(&["scale", "deployment/web", "--replicas=6"]).ok();
    space.kubectl(&["label", "deployment", "web", "team=shop"]).ok();
    eventually("six pods of stable and two of the canary", SOON, || {
        let (stable, canary) = (space.pods("app=web").len(), space.pods("haldane.dev/role=canary").len());
        if (stable, canary) == (6, 2) { Ok(()) } else { Err(format!("{stable} and {canary}")) }
    });
    assert_eq!(space.summary("web")["weight"], "20");
    space.kubectl(&["delete", "deployment", "web"]).ok();
    eventually("everything of the canary to go with the Deployment", SOON, || {
        let ours = space.ours();
        if ours.is_empty() { Ok(()) } else { Err(format!("{ours:?}")) }
    });
    eventually("its metrics to go with it", SOON, || {
        let shown = metrics_of(&space, "web")?;
        if shown.is_empty() { Ok(()) } else { Err(format!("{shown:#?}")) }
    });
}

/// Its analysis does not end within this test.
const ENDLESS: &str = r#"metrics: [{name: up, initialDelay: 1h, successCondition: "len(result) == 0 || result[0] == 1",
    provider: {prometheus: {query: 'up{service="web-canary"}'}}}]"#;

#[test]
fn a_hold_is_not_taken_away_by_hand_and_a_restart_is_a_release_where_it_shall_be() {
    let space = Space::new("hold");
    let app = App::canary("steps: [{setWeight: 20}, {pause: {}}, {analysis: {}}]")
        .annotated("haldane.dev/analysis", ENDLESS)
        .annotated("haldane.dev/restart", "canary")
        .annotated("haldane.dev/settle", "1s");
    space.deploy(&app.sized(1));
    let pods = space.pods("app=web");
    space.kubectl(&["rollout", "restart", "deployment/web"]).ok();
    space.pauses_at("web", "20");
    let unpaused =
        space.kubectl(&["patch", "deployment", "web", "--patch", r#"{"spec": {"paused": false}}"#]);
    let told = unpaused.ok().err;
    assert!(told.contains("spec.paused stays true"), "{told}");
    assert_eq!(space.the("apps/v1 Deployment", "web")["spec"]["paused"], true);

    let on_trial = || space.state("web")["rollout"]["hash"].clone();
    let before = on_trial();
    let tried = space.set_env("web", &["VERSION=v2", "--dry-run=server"]).ok();
    assert!(tried.err.contains("the new template is held; its canary takes 3 steps"), "{tried:?}");
    assert_eq!(on_trial(), before, "a dry run replaces no canary");

    space.order("web", "promote").ok();
    space.reaches("web", SOON, &[("phase", "Progressing"), ("step", "3/3")]);
    let resume = space.kubectl(&["rollout", "resume", "deployment/web"]).refused();
    assert!(resume.contains("haldane.dev/do=promote skips that"), "{resume}");
    assert_eq!(space.pods("app=web"), pods, "stable is as it was");
}
