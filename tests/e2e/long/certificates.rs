//! The webhook's certificate is rotated, lost, damaged and brought, and API servers go on trusting it.

use crate::harness::{
    Admissions, App, Load, SOON, Space,
    cluster::{get, run},
    document, eventually, faults,
    haldane::{self, NAMESPACE, here},
};
use ::haldane::runtime::{certs::expiry, clock};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

/// Lives under which whole rotations take a minute.
const SHORT: &[&str] =
    &["HALDANE_AUTHORITY_LIFETIME=40s", "HALDANE_CERTIFICATE_LIFETIME=16s", "HALDANE_AUTHORITY_OVERLAP=3s"];
/// Long enough for two authorities.
const ROTATION: Duration = Duration::from_mins(2);

/// An idle Deployment whose changes the webhook decides about.
fn space() -> Space {
    haldane::is_complete();
    let space = Space::new("certificates");
    space.apply(&App::canary("enabled").sized(1).deployment().to_string()).ok();
    space.rolled_out("web");
    space
}

/// A key of the Secret, still in base64.
fn stored(key: &str) -> Value {
    get("v1 Secret", NAMESPACE, "haldane-tls").map(|secret| secret["data"][key].clone()).unwrap_or_default()
}

fn patch_secret(patch: &str) {
    here(&["patch", "secret", "haldane-tls", "--patch", patch]).ok();
}

/// Waits until a key of the Secret is neither absent nor `before`.
fn is_replaced(key: &str, before: &Value) {
    eventually(&format!("another {key} in the Secret"), SOON, || {
        let now = stored(key);
        if now.is_string() && now != *before { Ok(()) } else { Err(now.to_string()) }
    });
}

#[test]
fn rotation_loss_and_damage_fail_no_request() {
    let space = space();
    let admissions = Admissions::start(&space, "web", true);
    let short = haldane::set(SHORT);
    eventually("two rotations of the authority", ROTATION, || {
        admissions.assert_nothing_failed("so far");
        let (certificates, bundles) = admissions.rotations();
        // Each authority comes, signs, and leaves the bundle when it has expired.
        if certificates >= 6 && bundles >= 4 { Ok(()) } else { Err(format!("{certificates} and {bundles}")) }
    });
    short.take_back();
    eventually("a certificate with a long life", SOON, || {
        let left = seconds_left();
        if left.is_some_and(|left| left > 80 * 24 * 3600) { Ok(()) } else { Err(format!("{left:?} s left")) }
    });
    admissions.assert_nothing_failed("rotations with lives of seconds, and two rolling updates of Haldane");

    let before = stored("tls.crt");
    here(&["delete", "secret", "haldane-tls"]).ok();
    eventually("the Secret as it was", SOON, || {
        let now = stored("tls.crt");
        if now == before { Ok(()) } else { Err(now.to_string()) }
    });
    for (key, text) in [("tls.crt", "bm8gUEVN"), ("tls.key", "bm8gUEVN"), ("ca.key", "bm8gUEVN")] {
        patch_secret(&format!(r#"{{"data": {{"{key}": "{text}"}}}}"#));
        is_replaced(key, &text.into());
    }
    admissions.pass_again(20);
    admissions.assert_nothing_failed("a lost and a damaged Secret");

    // Nobody knows any more whom to trust: the one case that may cost requests, and heals by itself.
    patch_secret(r#"{"data": {"ca.crt": "bm8gUEVN"}}"#);
    is_replaced("ca.crt", &"bm8gUEVN".into());
    works_again(&space);
}

/// A machine that was asleep: nothing ran on it, and its clock went on.
#[test]
fn replicas_that_slept_past_their_certificate_wake_up_with_another() {
    let space = space();
    let short = haldane::set(SHORT);
    let left = |wanted: fn(i64) -> bool| {
        let left = seconds_left();
        if left.is_some_and(wanted) { Ok(()) } else { Err(format!("{left:?} s left")) }
    };
    eventually("a certificate with a short life", SOON, || left(|left| left < 60));
    // It would end what does not answer.
    let kubelet = faults::kill("kubelet");
    let asleep = haldane::hang_all();
    eventually("the certificate to expire", SOON, || left(|left| left < 0));
    let before = stored("tls.crt");
    assert!(space.try_plan("web").refused().contains(r#"failed calling webhook "mutate.haldane.dev""#));
    drop((asleep, kubelet));
    is_replaced("tls.crt", &before);
    haldane::is_complete();
    works_again(&space);
    let admissions = Admissions::start(&space, "web", true);
    admissions.pass_again(20);
    admissions.assert_nothing_failed("both replicas slept past their certificate");
    short.take_back();
}

/// Seconds that the certificate in the Secret has left.
fn seconds_left() -> Option<i64> {
    let chain = STANDARD.decode(stored("tls.crt").as_str()?).ok()?;
    let end = expiry(std::str::from_utf8(&chain).ok()?).ok()?;
    Some(end.duration_since(clock::now()).as_secs())
}

/// Waits until the webhook decides again.
fn works_again(space: &Space) {
    eventually("decisions in a row", SOON, || space.is_decided_about("web"));
}

/// Replaces the Secret by the files of a folder, as the documentation says.
fn bring(folder: &Path, script: &str) {
    let script = format!("set -euo pipefail; cd '{}'\n{script}", folder.display());
    run("bash", &["-c", &script], "").ok();
}

/// A folder to make certificates in, and how the documentation makes them.
fn openssl(space: &Space) -> (PathBuf, String) {
    let folder = std::env::temp_dir().join(&space.namespace);
    fs::create_dir(&folder).expect("a folder");
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("certs/openssl.cnf");
    fs::copy(config, folder.join("openssl.cnf")).expect("a copy");
    (folder, document::commands("certs/README.md", "## By hand").concat())
}

#[test]
fn an_expired_certificate_stops_changes_and_nothing_else() {
    haldane::is_complete();
    let space = Space::new("expired");
    space.deploy(&App::canary("steps: [{setWeight: 20}, {pause: {}}]"));
    space.answers("v1");
    let load = Load::start(&space, 50);
    space.set_env("web", &["VERSION=v2"]).ok();
    space.pauses_at("web", "20");

    // Nobody renewed the one that was brought.
    let (folder, by_hand) = openssl(&space);
    bring(&folder, &by_hand.replace("-days 365", "-days 0"));
    eventually("refusals that say what is wrong", SOON, || {
        let asked = space.set_env("web", &["VERSION=v3", "--dry-run=server"]);
        if asked.err.contains("certificate has expired") { Ok(()) } else { Err(asked.err) }
    });
    space.kubectl(&["scale", "deployment/web", "--replicas=3"]).ok();
    let unmanaged = App { name: "unmanaged".to_owned(), ..App::plain().sized(1) };
    space.apply(&unmanaged.deployment().to_string()).ok();
    space.rolled_out("unmanaged");
    assert_eq!(space.weight("web").as_deref(), Some("20"), "it is where it was");

    here(&["delete", "secret", "haldane-tls"]).ok();
    works_again(&space);
    space.order("web", "promote").ok();
    space.is_healthy("web", 2 * SOON);
    load.stop().assert_nothing_failed("clients while the certificate had expired");
    let _ = fs::remove_dir_all(folder);
}

#[test]
fn a_brought_certificate_serves_and_a_wrong_one_is_told_and_taken_away() {
    let space = space();
    let (folder, by_hand) = openssl(&space);
    bring(&folder, &by_hand);
    let brought = stored("tls.crt");
    assert_eq!(stored("ca.key"), Value::Null, "Haldane's own authority is gone");
    works_again(&space);
    let admissions = Admissions::start(&space, "web", true);
    admissions.pass_again(20);
    admissions.assert_nothing_failed("a certificate made with openssl");
    assert_eq!(admissions.rotations(), (1, 1), "one certificate, and one bundle that trusts it");
    assert_eq!(stored("tls.crt"), brought, "and it stays as it is");
    drop(admissions);

    // For another name: API servers do not accept it, and say so; nobody else is concerned.
    bring(&folder, &by_hand.replace("-extensions serving", "-extensions authority"));
    let refused = eventually("refusals that name the certificate", SOON, || {
        let asked = space.set_env("web", &["VERSION=v2", "--dry-run=server"]);
        if asked.code != 0 && asked.err.contains("x509") { Ok(asked.err) } else { Err(asked.err) }
    });
    assert!(refused.contains(r#"failed calling webhook "mutate.haldane.dev""#), "{refused}");
    let unmanaged = App { name: "unmanaged".to_owned(), ..App::plain() };
    space.apply(&unmanaged.deployment().to_string()).ok();
    space.kubectl(&["scale", "deployment/web", "--replicas=2"]).ok();

    here(&["delete", "secret", "haldane-tls"]).ok();
    works_again(&space);
    assert!(stored("ca.key").is_string(), "Haldane's own again");
    let _ = fs::remove_dir_all(folder);
}
