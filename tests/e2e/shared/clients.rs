//! What people and tools change a Deployment with: docs/kubectl.md, row by row, with the real clients.

use crate::harness::{
    App, SOON, Space,
    cluster::{run, setting},
    eventually,
};
use serde_json::{Value, json};
use std::{fs, path::PathBuf};

const PAUSE: &str = "steps: [{setWeight: 20}, {pause: {}}]";

/// The application; no claim about lost requests is made here, so weights need not settle.
fn app() -> App {
    App::canary(PAUSE).annotated("haldane.dev/settle", "1s").sized(1)
}

fn deployment(space: &Space) -> Value {
    space.the("apps/v1 Deployment", "web")
}

fn held(space: &Space) -> Value {
    deployment(space)["metadata"]["annotations"]["haldane.dev/held"].clone()
}

/// A folder of files for one test.
fn folder(space: &Space, files: &[(&str, String)]) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("{}-{}", space.namespace, space.next_number()));
    for (name, text) in files {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, text).expect("a file");
    }
    folder
}

/// An overlay that says which tag the image has, as `kustomize edit set image` writes it.
fn overlay(space: &Space, manifest: &str, tag: &str) -> PathBuf {
    let image = setting("HALDANE_SAMPLE_IMAGE");
    let name = image.rsplit_once(':').map_or(image.as_str(), |(name, _)| name);
    let files = [
        ("base/web.json", manifest.to_owned()),
        ("base/kustomization.yaml", "resources: [web.json]\n".to_owned()),
        (
            "overlay/kustomization.yaml",
            format!("resources: [../base]\nimages: [{{name: {name}, newTag: {tag}}}]\n"),
        ),
    ];
    folder(space, &files).join("overlay")
}

/// Every client's change is held in the request that makes it: no pod of the Deployment is replaced.
#[test]
fn every_way_to_change_the_template_is_held() {
    let space = Space::new("clients");
    space.deploy(&app());
    let pods = space.pods("app=web");
    let manifest = |version: &str| app().with("VERSION", version).deployment().to_string();
    let file = |version: &str| {
        let folder = folder(&space, &[("web.json", manifest(version))]);
        folder.join("web.json").display().to_string()
    };
    let is_held = |what: &str, version: &str, change: &dyn Fn()| {
        let before = held(&space);
        change();
        let deployment = deployment(&space);
        assert_ne!(held(&space), before, "{what}: {deployment:#}");
        assert_eq!(deployment["spec"]["paused"], true, "{what}");
        assert!(deployment["spec"]["template"].to_string().contains(version), "{what}: {deployment:#}");
        assert_eq!(space.pods("app=web"), pods, "{what} replaced a pod");
    };
    let kubectl = |args: &[&str]| {
        space.kubectl(args).ok();
    };
    is_held("apply", "apply-1", &|| {
        space.apply(&manifest("apply-1")).ok();
    });
    let overlay = |tag: &str| overlay(&space, &manifest("v1"), tag).display().to_string();
    is_held("apply -k", "kustomize-1", &|| {
        let overlay = overlay("kustomize-1");
        kubectl(&["apply", "-k", &overlay]);
        let diff = space.kubectl(&["diff", "-k", &overlay]);
        assert_eq!(diff.code, 0, "nothing has drifted: {diff:?}");
    });
    is_held("kustomize | apply", "kustomize-2", &|| {
        let built = run("kubectl", &["kustomize", &overlay("kustomize-2")], "").ok();
        space.apply(&built.out).ok();
    });
    is_held("replace", "replace-1", &|| kubectl(&["replace", "-f", &file("replace-1")]));
    // As Flux's kustomize-controller applies.
    let flux = ["--server-side", "--force-conflicts", "--field-manager=kustomize-controller"];
    is_held("apply --server-side", "flux-1", &|| {
        space.apply_with(&flux, &manifest("flux-1")).ok();
    });
    let env = "/spec/template/spec/containers/0/env/0/value";
    for (kind, version, patch) in [
        ("json", "json-1", json!([{"op": "replace", "path": env, "value": "json-1"}])),
        ("merge", "merge-1", json!({"spec": {"template": {"metadata": {"annotations": {"v": "merge-1"}}}}})),
        (
            "strategic",
            "strategic-1",
            json!({"spec": {"template": {"spec": {"containers": [
                {"name": "app", "env": [{"name": "VERSION", "value": "strategic-1"}]},
            ]}}}}),
        ),
    ] {
        let patch = patch.to_string();
        let args = ["patch", "deployment", "web", "--type", kind, "--patch", &patch];
        is_held(&format!("patch --type {kind}"), version, &|| kubectl(&args));
    }
    is_held("edit", "edit-1", &|| {
        let editor = "KUBE_EDITOR=sed -i s/strategic-1/edit-1/";
        run("env", &[editor, "kubectl", "-n", &space.namespace, "edit", "deployment", "web"], "").ok();
    });
    is_held("set image", "localhost/nothing:1", &|| {
        kubectl(&["set", "image", "deployment/web", "app=localhost/nothing:1"]);
    });
    is_held("set resources", "7m", &|| {
        kubectl(&["set", "resources", "deployment/web", "--requests=cpu=7m"]);
    });
    is_held("set env", "set-env-1", &|| {
        space.set_env("web", &["VERSION=set-env-1"]).ok();
    });
}

#[test]
fn what_kubectl_refuses_itself_and_what_goes_on_as_usual() {
    let space = Space::new("verbs");
    space.deploy(&app());
    // Idle: `rollout restart` replaces pods natively, for the code is the same.
    let pods = space.pods("app=web");
    space.kubectl(&["rollout", "restart", "deployment/web"]).ok();
    space.rolled_out("web");
    assert_ne!(space.pods("app=web"), pods, "restarted");
    space.reaches("web", SOON, &[("phase", "Healthy")]);
    // Idle and paused by a person: the change waits for them.
    space.kubectl(&["rollout", "pause", "deployment/web"]).ok();
    space.set_env("web", &["VERSION=v2"]).ok();
    space.reaches("web", SOON, &[("phase", "Paused"), ("weight", "0")]);
    space.kubectl(&["rollout", "resume", "deployment/web"]).ok();
    space.pauses_at("web", "20");
    // Held: kubectl refuses some by itself.
    let refused = |verb: &str| space.kubectl(&["rollout", verb, "deployment/web"]).refused();
    let (undo, restart, pause) = (refused("undo"), refused("restart"), refused("pause"));
    assert!(undo.contains("you cannot rollback a paused deployment"), "{undo}");
    assert!(restart.contains("can't restart paused deployment"), "{restart}");
    assert!(pause.contains("is already paused"), "{pause}");
    let history = space.kubectl(&["rollout", "history", "deployment/web"]).ok();
    assert!(history.out.contains("\n2 ") && !history.out.contains("\n3 "), "without the trial: {history:?}");
    // The rest goes on.
    space.kubectl(&["autoscale", "deployment/web", "--min=1", "--max=3", "--cpu=80%"]).ok();
    space.kubectl(&["label", "deployment", "web", "team=shop"]).ok();
    space.kubectl(&["annotate", "deployment", "web", "note=said"]).ok();
    assert_eq!(space.summary("web")["weight"], "20");
    space.kubectl(&["delete", "hpa", "web"]).ok();
    space.order("web", "promote-full").ok();
    space.is_healthy("web", 2 * SOON);
    // Idle: `rollout undo` brings an older template, which is a release like any other.
    space.kubectl(&["rollout", "undo", "deployment/web"]).ok();
    space.pauses_at("web", "20");
    space.set_env("web", &["VERSION=v2"]).ok();
    space.is_healthy("web", SOON);
    // Idle: pods outlive a Deployment that is deleted without them, and go to the next of its name.
    let pods = space.pods("app=web");
    let manifest = deployment(&space);
    space.kubectl(&["delete", "deployment", "web", "--cascade=orphan"]).ok();
    eventually("the record to go with the Deployment", SOON, || {
        let ours = space.ours();
        if ours.is_empty() { Ok(()) } else { Err(format!("{ours:?}")) }
    });
    assert_eq!(space.pods("app=web"), pods, "pods stay");
    let fresh = app().changed("/spec/template", manifest["spec"]["template"].clone());
    space.apply(&fresh.deployment().to_string()).ok();
    space.rolled_out("web");
    assert_eq!(space.pods("app=web"), pods, "adopted");
}

/// A chart of the application.
fn chart(space: &Space) -> PathBuf {
    let mut deployment = app().deployment();
    deployment["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"] =
        "{{ .Values.version }}".into();
    folder(
        space,
        &[
            ("Chart.yaml", "apiVersion: v2\nname: web\nversion: 1.0.0\n".to_owned()),
            ("values.yaml", "version: v1\n".to_owned()),
            ("templates/deployment.json", deployment.to_string()),
            ("templates/service.json", app().service().to_string()),
            ("templates/ingress.json", app().ingress(space).to_string()),
        ],
    )
}

#[test]
fn helm_installs_upgrades_and_rolls_back() {
    let space = Space::new("helm");
    let chart = chart(&space).display().to_string();
    let helm = |args: &[&str]| run("helm", &[args, &["--namespace", &space.namespace]].concat(), "");
    helm(&["install", "web", &chart, "--wait", "--timeout=240s"]).ok();
    space.rolled_out("web");
    let pods = space.pods("app=web");

    // It takes a paused Deployment for ready, so it does not wait for the canary.
    helm(&["upgrade", "web", &chart, "--set=version=v2", "--wait", "--timeout=240s"]).ok();
    let status = space.kubectl(&["rollout", "status", "deployment/web", "--watch=false"]).ok();
    assert!(!status.out.contains("successfully rolled out"), "{status:?}");
    space.pauses_at("web", "20");

    // In the middle of a canary, a rollback is the stable template again.
    helm(&["rollback", "web", "1", "--wait", "--timeout=240s"]).ok();
    space.is_healthy("web", SOON);
    space.rolled_out("web");
    assert_eq!(space.pods("app=web"), pods, "no pod was replaced");

    helm(&["upgrade", "web", &chart, "--set=version=v3"]).ok();
    space.pauses_at("web", "20");
    space.order("web", "promote-full").ok();
    space.is_healthy("web", 2 * SOON);
    // Afterwards it is a release of the older template, and takes its canary.
    helm(&["rollback", "web", "1"]).ok();
    space.pauses_at("web", "20");
    helm(&["uninstall", "web"]).ok();
    eventually("everything of the canary to go with the release", SOON, || {
        let ours = space.ours();
        if ours.is_empty() { Ok(()) } else { Err(format!("{ours:?}")) }
    });
}
