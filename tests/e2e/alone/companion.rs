//! What is shown of every router that puts a companion next to a user's route, which is never written.

use crate::harness::{App, Front, Load, SOON, Space, answers::plain, eventually};
use serde_json::Value;
use std::time::Duration;

const COMPANION: &str = "web-canary-web";

const STORY: &str = "
abortScaleDownDelaySeconds: 3
steps:
- setWeight: 20
- pause: {}
- setHeaderRoute: {name: testers, match: [{headerName: X-Canary, headerValue: {exact: always}}]}
- pause: {}
- setWeight: 60
- pause: {duration: 2s}";

/// A router, and what it makes companions of.
pub struct Router {
    /// Its name in `trafficRouting`.
    pub key: &'static str,
    /// Who serves its routes.
    pub front: Front,
    /// The weight of the canary in a companion, in percent.
    pub weight_of: fn(&Value) -> Option<u64>,
}

impl Router {
    /// A plan that stays at weight 50.
    pub fn half(&self) -> String {
        format!("{{trafficRouting: {{{}: {{}}}}, steps: [{{setWeight: 50}}, {{pause: {{}}}}]}}", self.key)
    }

    /// The name of the routes' kind.
    fn kind(&self) -> &'static str {
        self.front.kind().rsplit(' ').next().expect("a kind")
    }

    #[track_caller]
    fn has_weight(&self, space: &Space, weight: u64) {
        eventually(&format!("the companion to have weight {weight}"), SOON, || {
            let found = space.get(self.front.kind(), COMPANION).as_ref().and_then(self.weight_of);
            if found == Some(weight) { Ok(()) } else { Err(format!("{found:?}")) }
        });
    }

    /// A release and an abort in a new namespace, with what `objects` of the user route to `web`, and what is marked with
    /// `X-Debug: 1` to `debug`. Then `testers` says what those see who have the header of the canary.
    #[track_caller]
    pub fn loses_no_request(&self, objects: fn(&Space) -> Vec<Value>, testers: fn(&Space)) {
        let space = Space::behind(self.front, self.key);
        let debug = App { name: "debug".to_owned(), ..App::plain() }.with("VERSION", "debug").sized(1);
        space.deploy(&debug);
        space.deploy(&App::canary(&format!("\ntrafficRouting: {{{}: {{}}}}{STORY}", self.key)).sized(3));
        for object in objects(&space) {
            space.apply(&object.to_string()).ok();
        }
        space.answers("v1");
        space.all_answer("X-Debug: 1", "debug");
        let (routes, before) = (space.record(self.front.kind()), plain(&space.the(self.front.kind(), "web")));
        let load = Load::start(&space, 40);

        space.set_env("web", &["VERSION=v2"]).ok();
        space.pauses_at("web", "20");
        let sample = Load::with(&space, &["--rate", "100", "--duration", "10s"]).finish();
        sample.assert_nothing_failed("at weight 20");
        let share = sample.share("v2");
        assert!((17.0..=23.0).contains(&share), "at weight 20 the canary got {share:.1} %");
        assert_eq!(space.versions("X-Debug: 1"), ["debug"], "the rest of the user's route");
        space.order("web", "promote").ok();
        space.all_answer("X-Canary: always", "v2");
        testers(&space);
        space.reaches("web", SOON, &[("phase", "Paused"), ("step", "4/6")]);
        space.order("web", "promote").ok();
        space.is_healthy("web", 2 * SOON);

        space.set_env("web", &["VERSION=v3"]).ok();
        space.pauses_at("web", "20");
        space.order("web", "abort").ok();
        space.reaches("web", SOON, &[("phase", "Degraded"), ("weight", "0")]);
        space.only_the_record_is_left("web", Duration::from_secs(30));

        let report = load.stop();
        report.assert_nothing_failed("start, steps, promotion, abort by a companion");
        assert!(report.answers("v1") > 0 && report.answers("v2") > 0 && report.answers("v3") > 0);
        let weights = routes.course(COMPANION, self.weight_of);
        assert_eq!(weights, [0, 20, 60, 100, 0, 20, 0], "it comes and goes without traffic");
        let mut states: Vec<Value> = routes.of("web").iter().map(|seen| plain(&seen.object)).collect();
        states.dedup();
        assert_eq!(states, [before], "the user's route");
    }

    /// The user changes the route to the last of `changed` during a release, which `is_copied` finds in the companion; its
    /// pods, its route and its Deployment go.
    #[track_caller]
    pub fn follows(&self, changed: fn(&Space) -> Vec<Value>, is_copied: fn(&Value) -> bool) {
        let (space, kind) = (Space::behind(self.front, "follows"), self.front.kind());
        space.deploy(&App::canary(&self.half()).sized(2));
        space.set_env("web", &["VERSION=v2"]).ok();
        space.pauses_at("web", "50");

        let changed = changed(&space);
        for object in &changed {
            space.apply(&object.to_string()).ok();
        }
        eventually("the change in the companion", SOON, || {
            let companion = space.the(kind, COMPANION);
            if is_copied(&companion) { Ok(()) } else { Err(companion["spec"].to_string()) }
        });
        self.has_weight(&space, 50);

        space.kubectl(&["delete", "pod", "--selector=haldane.dev/role=canary", "--wait=false"]).ok();
        eventually("its traffic to be taken back", SOON, || {
            let said = space.events("PodsUnavailable");
            let is_said = said.iter().any(|said| said.starts_with("No pod of the canary is ready"));
            if is_said { Ok(()) } else { Err(format!("{said:?}")) }
        });
        self.has_weight(&space, 50);

        // Owned by the route, so that it goes also without Haldane.
        space.kubectl(&["delete", &self.kind().to_lowercase(), "web"]).ok();
        eventually("the companion to go with its route", SOON, || {
            let found = space.get(kind, COMPANION);
            found.map_or(Ok(()), |companion| Err(companion["metadata"].to_string()))
        });
        eventually("the rollout to say why it waits", SOON, || {
            let message = space.summary("web")["message"].to_string();
            let is_told = message.contains(&format!("no {} routes to", self.kind()));
            if is_told { Ok(()) } else { Err(message) }
        });
        space.apply(&changed[changed.len() - 1].to_string()).ok();
        self.has_weight(&space, 50);

        // A Deployment that is gone leaves none behind, although the route stays.
        space.kubectl(&["delete", "deployment", "web"]).ok();
        eventually("nothing to be left", SOON, || {
            let ours = space.ours();
            if ours.is_empty() { Ok(()) } else { Err(format!("{ours:?}")) }
        });
    }

    /// The Deployment is deleted and made again at once in the middle of a release, so that no watch may see it missing: its
    /// companion goes, although the route stays, and the next release has one again.
    #[track_caller]
    pub fn is_removed_with_its_deployment(&self) {
        let (space, kind) = (Space::behind(self.front, "again"), self.front.kind());
        let app = App::canary(&self.half()).annotated("haldane.dev/settle", "2s").sized(2);
        space.deploy(&app);
        space.set_env("web", &["VERSION=v2"]).ok();
        space.pauses_at("web", "50");
        self.has_weight(&space, 50);

        space.replace_by_force(&app.deployment().to_string()).ok();
        eventually("the companion of the Deployment before to go", Duration::from_secs(20), || {
            let found = space.get(kind, COMPANION);
            found.map_or(Ok(()), |companion| Err(companion.to_string()))
        });
        space.rolled_out("web");
        space.answers("v1");

        space.set_env("web", &["VERSION=v3"]).ok();
        space.pauses_at("web", "50");
        self.has_weight(&space, 50);
    }
}
