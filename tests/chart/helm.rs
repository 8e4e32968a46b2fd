//! The chart says what the manifests say, because it reads them, and each value changes what it names.

use crate::{documents, folder, output, root, run, text};
use clap::CommandFactory;
use haldane::commands::cli::Cli;
use insta::assert_snapshot;
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    fs,
};

const CHART: &str = "deploy/chart";

/// Objects by kind and name.
type Objects = BTreeMap<String, Value>;

fn objects(yaml: &str) -> Objects {
    let documents = documents(yaml);
    let count = documents.len();
    let named = documents.into_iter().map(|object| {
        let name = object["metadata"]["name"].as_str().unwrap();
        (format!("{} {name}", object["kind"].as_str().unwrap()), object)
    });
    let objects: Objects = named.collect();
    assert_eq!(objects.len(), count, "two objects have one name");
    objects
}

/// What `helm template` makes of a chart. A Helm that is built here claims to know an old Kubernetes.
fn rendered(chart: &str, namespace: &str, values: &[&str]) -> Objects {
    let fixed = ["template", "haldane", chart, "--kube-version=1.36", "--namespace", namespace];
    let values = values.iter().flat_map(|value| ["--set-json", value]);
    objects(&output("helm", &fixed.into_iter().chain(values).collect::<Vec<_>>()))
}

fn with(values: &[&str]) -> Objects {
    rendered(CHART, "haldane-system", values)
}

#[test]
fn chart_and_kustomize_apply_the_same_objects() {
    let mut kustomized = objects(&output("kubectl", &["kustomize", "deploy"]));
    assert!(kustomized.len() > 20, "{:?}", kustomized.keys());
    assert_eq!(with(&["createNamespace=true"]), kustomized);
    kustomized.remove("Namespace haldane-system").unwrap();
    assert_eq!(with(&[]), kustomized, "the namespace is made by helm --create-namespace");
}

/// Objects that differ, and the fields in which they do.
fn changes(before: &Objects, after: &Objects) -> String {
    let mut lines = String::new();
    for name in before.keys().chain(after.keys()).collect::<BTreeSet<_>>() {
        match (before.get(name), after.get(name)) {
            (Some(_), None) => writeln!(lines, "  - {name}").unwrap(),
            (None, Some(_)) => writeln!(lines, "  + {name}").unwrap(),
            (before, after) => {
                let differences = json_patch::diff(before.unwrap(), after.unwrap());
                for operation in differences.iter().map(|operation| serde_json::to_value(operation).unwrap())
                {
                    let [path, value] = ["path", "value"].map(|key| operation[key].to_string());
                    writeln!(lines, "  {name} {} {value}", path.trim_matches('"')).unwrap();
                }
            }
        }
    }
    lines
}

#[test]
fn each_value_changes_what_it_says_and_nothing_else() {
    let digest = format!(r#"image.digest="sha256:{}""#, "0".repeat(64));
    let values = [
        r#"image.repository="registry.example.com/haldane""#,
        r#"image.tag="1.0.0""#,
        &digest,
        r#"image.pullPolicy="Always""#,
        r#"imagePullSecrets=[{"name": "registry"}]"#,
        "replicas=3",
        "replicas=1",
        r#"resources={"requests": {"cpu": "1"}}"#,
        r#"priorityClassName="system-cluster-critical""#,
        r#"nodeSelector={"pool": "system"}"#,
        r#"tolerations=[{"key": "system"}]"#,
        r#"affinity={"nodeAffinity": {}}"#,
        r#"settings={"HALDANE_SETTLE": "3s", "HALDANE_LOG": "debug"}"#,
        r#"webhook.failurePolicy="Ignore""#,
        r#"webhook.excludedNamespaces=["monitoring"]"#,
        "certificate.provided=true",
        "profiles.enabled=false",
        "podDisruptionBudget.enabled=false",
        "networkPolicy.enabled=false",
        "flowSchemas.enabled=false",
        r#"networkPolicy.webhookFrom=[{"ipBlock": {"cidr": "10.0.0.1/32"}}]"#,
        "serviceMonitor.enabled=true",
        "alerts.enabled=true",
        "dashboard.enabled=true",
        "createNamespace=true",
    ];
    let before = with(&[]);
    let mut told = String::new();
    for value in values {
        let changes = changes(&before, &with(&[value]));
        assert!(!changes.is_empty(), "{value} changes nothing");
        writeln!(told, "{value}\n{changes}").unwrap();
    }
    assert_snapshot!("values", told.trim_end());
    let known = documents(&text("deploy/chart/values.yaml")).remove(0);
    for key in known.as_object().unwrap().keys() {
        assert!(values.iter().any(|value| value.starts_with(key.as_str())), "{key} is not tried");
    }
}

#[test]
fn a_wrong_value_is_refused_by_its_name() {
    for (value, named) in [
        ("replica=3", "'replica' not allowed"),
        ("replicas=0", "at '/replicas'"),
        (r#"image.digest="1.0.0""#, "at '/image/digest'"),
        (r#"settings.HALDANE_SETLE="3s""#, "'HALDANE_SETLE' not allowed"),
        // The Role and the webhook configurations have these names.
        (r#"settings.HALDANE_LEASE_NAME="other""#, "'HALDANE_LEASE_NAME' not allowed"),
        (r#"webhook.failurePolicy="Warn""#, "at '/webhook/failurePolicy'"),
    ] {
        let refused =
            run("helm", &["template", "haldane", CHART, "--kube-version=1.36", "--set-json", value]);
        let message = String::from_utf8(refused.stderr).unwrap();
        assert!(!refused.status.success() && message.contains(named), "{value}: {message}");
    }
}

#[test]
fn settings_are_those_of_the_process_that_the_manifests_leave_open() {
    const FIXED: [&str; 6] = [
        "HALDANE_ADMIN_ADDRESS",
        "HALDANE_BRING_CERTIFICATE",
        "HALDANE_LEASE_NAME",
        "HALDANE_SECRET_NAME",
        "HALDANE_SERVICE_NAME",
        "HALDANE_WEBHOOK_ADDRESS",
    ];
    let command = Cli::command();
    let flags = command.find_subcommand("run").unwrap().get_arguments();
    let mut open: BTreeSet<String> = flags
        .filter_map(|flag| flag.get_env()?.to_str().map(str::to_owned))
        .filter(|name| name.starts_with("HALDANE_"))
        .collect();
    for name in FIXED {
        assert!(open.remove(name), "{name}");
    }
    let schema: Value = serde_json::from_str(&text("deploy/chart/values.schema.json")).unwrap();
    let settings = &schema["properties"]["settings"]["properties"];
    let known: BTreeSet<String> = settings.as_object().unwrap().keys().cloned().collect();
    assert_eq!(known, open);
}

#[test]
fn another_namespace_is_named_everywhere() {
    let objects = rendered(CHART, "release", &["createNamespace=true"]);
    let all = serde_json::to_string(&objects).unwrap();
    assert!(!all.contains("haldane-system"));
    let policy = &objects["ValidatingAdmissionPolicy haldane-own-account"]["spec"]["matchConditions"][0];
    assert_eq!(policy["expression"], "request.userInfo.username == 'system:serviceaccount:release:haldane'");
    let webhook = &objects["MutatingWebhookConfiguration haldane"]["webhooks"][0];
    assert_eq!(webhook["clientConfig"]["service"]["namespace"], "release");
}

#[test]
fn helm_finds_nothing_to_criticise() {
    let report = output("helm", &["lint", "--strict", CHART]);
    assert!(report.contains("0 chart(s) failed"), "{report}");
}

/// An upgrade writes what has changed in the chart. So what Haldane writes itself must not be in it, and nothing may
/// come out differently each time.
#[test]
fn an_upgrade_cannot_touch_what_haldane_writes() {
    let everything = ["serviceMonitor.enabled=true", "alerts.enabled=true", "dashboard.enabled=true"];
    let objects = with(&everything);
    assert!(objects.values().all(|object| object["kind"] != "Secret"), "{:?}", objects.keys());
    for kind in ["Mutating", "Validating"] {
        let webhooks = objects[&format!("{kind}WebhookConfiguration haldane")]["webhooks"].clone();
        for webhook in webhooks.as_array().unwrap() {
            assert_eq!(webhook["clientConfig"].get("caBundle"), None, "{}", webhook["name"]);
        }
    }
    assert_eq!(objects, with(&everything));
    for entry in fs::read_dir(root().join(CHART).join("templates")).unwrap() {
        let template = fs::read_to_string(entry.unwrap().path()).unwrap();
        for varying in ["lookup ", "rand", "genCA", "genSigned", "genSelfSigned", "uuidv4", "now"] {
            let call = regex::Regex::new(&format!(r"\{{\{{[^}}]*\b{varying}\b")).unwrap();
            assert!(!call.is_match(&template), "{varying}: {template}");
        }
    }
}

/// The links to the manifests become files, so a published chart needs no clone.
#[test]
fn a_packaged_chart_says_the_same() {
    let folder = folder("package");
    let target = folder.to_str().unwrap();
    output("helm", &["package", CHART, "--version=1.2.3", "--app-version=1.2.3", "--destination", target]);
    let package = folder.join("haldane-1.2.3.tgz");
    let packaged = rendered(package.to_str().unwrap(), "haldane-system", &[]);
    assert_eq!(packaged, with(&[r#"image.tag="1.2.3""#]));
}
