//! The overlay for cert-manager. A stand-in does what cert-manager documents: it fills the Secret that a
//! Certificate names, and fills it anew in time.

use crate::harness::{
    Admissions, App, SOON, Space, audit,
    cluster::{get, kubectl, run, setting},
    eventually,
    haldane::{self, NAMESPACE, here},
};
use ::haldane::runtime::clock;
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
};

const CERTIFICATE: &str = "cert-manager.io/v1 Certificate";

/// Makes an authority, as the overlay's Certificate `haldane-authority` asks for.
const AUTHORITY: &str = "
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj /CN=haldane-authority \
  -addext basicConstraints=critical,CA:TRUE -keyout ca.key -out ca.crt 2>openssl.log";

/// Signs a certificate for `NAMES` with another key.
const LEAF: &str = "
openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj / -keyout tls.key -out tls.csr 2>openssl.log
openssl x509 -req -in tls.csr -CA ca.crt -CAkey ca.key -days 90 -out tls.crt 2>openssl.log \
  -extfile <(printf 'subjectAltName=critical,%s\nkeyUsage=digitalSignature\nextendedKeyUsage=serverAuth\n' 'NAMES')
kubectl -n NAMESPACE create secret generic SECRET --type=kubernetes.io/tls --dry-run=client -o yaml \
  --from-file=ca.crt --from-file=tls.crt --from-file=tls.key |
  kubectl apply --server-side --force-conflicts --field-manager=cert-manager-certificates-issuing -f -";

/// The kinds that the overlay has objects of.
fn kinds() -> String {
    let kind = |(kind, plural): (&str, &str)| {
        let schema = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
        let version =
            json!({"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}});
        json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": format!("{plural}.cert-manager.io")},
            "spec": {
                "group": "cert-manager.io", "scope": "Namespaced", "versions": [version],
                "names": {"kind": kind, "plural": plural},
            },
        })
    };
    let kinds = [("Issuer", "issuers"), ("Certificate", "certificates")].map(kind);
    json!({"apiVersion": "v1", "kind": "List", "items": kinds}).to_string()
}

/// Haldane as the overlay installs it, beside what stands in for cert-manager, until this is dropped.
struct Overlay {
    /// Where certificates are made.
    folder: PathBuf,
}

impl Overlay {
    #[track_caller]
    fn install(space: &Space) -> Self {
        let overlay = Self { folder: std::env::temp_dir().join(&space.namespace) };
        fs::create_dir(&overlay.folder).expect("a folder");
        run("kubectl", &["apply", "-f", "-"], &kinds()).ok();
        for kind in ["issuers", "certificates"] {
            let kind = format!("crd/{kind}.cert-manager.io");
            kubectl(&["wait", &kind, "--for=condition=Established", "--timeout=60s"]).ok();
        }
        // The way to the overlay is as long from a folder beside that of the installation.
        let installed = PathBuf::from(setting("HALDANE_INSTALL"));
        let text = fs::read_to_string(installed.join("kustomization.yaml")).expect("as `run` wrote it");
        let beside = installed.with_file_name("cert-manager");
        fs::create_dir_all(&beside).expect("a folder");
        let text = text.replace("/deploy\"", "/certs/cert-manager\"");
        fs::write(beside.join("kustomization.yaml"), text).expect("a file");
        kubectl(&["apply", "-k", &beside.display().to_string()]).ok();
        overlay.shell(AUTHORITY);
        overlay
    }

    /// Fills the Secret of the Certificate, again if it is there.
    #[track_caller]
    fn issue(&self) {
        let certificate = get(CERTIFICATE, NAMESPACE, "haldane-webhook").expect("the overlay has it");
        let spec = &certificate["spec"];
        let names = spec["dnsNames"].as_array().expect("names").iter();
        let names: Vec<_> = names.map(|name| format!("DNS:{}", name.as_str().unwrap_or_default())).collect();
        let secret = spec["secretName"].as_str().expect("a name");
        let script = LEAF.replace("NAMESPACE", NAMESPACE).replace("SECRET", secret);
        self.shell(&script.replace("NAMES", &names.join(",")));
    }

    #[track_caller]
    fn shell(&self, script: &str) {
        let script = format!("set -euo pipefail; cd '{}'\n{script}", self.folder.display());
        run("bash", &["-c", &script], "").ok();
    }
}

impl Drop for Overlay {
    fn drop(&mut self) {
        haldane::install();
        kubectl(&["delete", "crd", "issuers.cert-manager.io", "certificates.cert-manager.io"]);
        here(&["rollout", "status", "deployment/haldane", "--timeout=120s"]);
        // Without it, Haldane makes its own.
        here(&["delete", "secret", "haldane-tls"]);
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// What is served where trusted: the bundle of every webhook.
fn bundles() -> Vec<Value> {
    let kinds = ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"];
    let of = |kind: &str| get(&format!("admissionregistration.k8s.io/v1 {kind}"), "", "haldane");
    let webhooks = kinds.iter().filter_map(|kind| of(kind)?["webhooks"].as_array().cloned()).flatten();
    webhooks.map(|webhook| webhook["clientConfig"]["caBundle"].clone()).collect()
}

#[test]
fn the_overlay_for_cert_manager_serves_what_it_issues_and_never_writes_it() {
    haldane::is_complete();
    let space = Space::new("cert-manager");
    space.apply(&App::canary("enabled").sized(1).deployment().to_string()).ok();
    space.rolled_out("web");
    let overlay = Overlay::install(&space);
    haldane::rolled_out();
    let since = clock::now();

    // As on the first day: there is no Secret, new replicas wait for it, and those that have one serve on.
    here(&["delete", "secret", "haldane-tls"]).ok();
    here(&["rollout", "restart", "deployment/haldane"]).ok();
    eventually("a new replica that waits for its certificate", SOON, || {
        let log = here(&["logs", "-l", "app.kubernetes.io/name=haldane", "--tail=-1"]).out;
        let is_told = log.contains("no usable certificate; waiting for one to be provided");
        if is_told { Ok(()) } else { Err(log) }
    });
    assert!(get("v1 Secret", NAMESPACE, "haldane-tls").is_none(), "it is not Haldane's to make");
    overlay.issue();
    haldane::rolled_out();
    eventually("decisions in a row", SOON, || space.is_decided_about("web"));

    // A renewal, under steady requests.
    let admissions = Admissions::start(&space, "web", true);
    admissions.pass_again(20);
    overlay.issue();
    eventually("the renewed certificate to be served", SOON, || match admissions.rotations() {
        (2, 1) => Ok(()),
        other => Err(format!("{other:?} certificates and bundles")),
    });
    admissions.pass_again(20);
    admissions.assert_nothing_failed("a renewal by cert-manager");
    let authority = fs::read_to_string(Path::new(&overlay.folder).join("ca.crt")).expect("the authority");
    let wanted = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, authority);
    assert!(bundles().iter().all(|bundle| *bundle == wanted), "every webhook trusts it: {:?}", bundles());

    let asked = audit::since(since);
    let written = asked.iter().filter(|request| request.has_written());
    let written: Vec<_> = written.filter(|request| request.rights()[0].resource == "secrets").collect();
    assert!(written.is_empty(), "Haldane has written the Secret: {written:#?}");
    let may = kubectl(&[
        "auth",
        "can-i",
        "update",
        "secret/haldane-tls",
        "-n",
        NAMESPACE,
        "--as=system:serviceaccount:haldane-system:haldane",
    ]);
    assert_eq!(may.out.trim(), "no", "and it may not: {may:?}");
}
