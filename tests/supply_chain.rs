//! What the binary is made of: every dependency comes from the registry that Cargo.lock pins, under a licence
//! that `deny.toml` allows, and the bill of materials names it.
// The lints allow it in test functions; their helpers are tests as well.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use regex::Regex;
use serde_json::Value;
use std::{collections::BTreeSet, fs, path::Path, process::Command};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn output(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).current_dir(root()).output().unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn components() -> Vec<Value> {
    let bill: Value = serde_json::from_str(&output("tests/sbom", &[])).unwrap();
    assert_eq!((&bill["bomFormat"], &bill["specVersion"]), (&"CycloneDX".into(), &"1.6".into()));
    bill["components"].as_array().unwrap().clone()
}

/// What `deny.toml` allows, which `cargo deny` reads too.
fn allowed_licences() -> BTreeSet<String> {
    let text = fs::read_to_string(root().join("deny.toml")).unwrap();
    let list = Regex::new(r"(?s)\nallow = \[(.*?)\n\]").unwrap().captures(&text).unwrap()[1].to_owned();
    Regex::new(r#"(?m)^\s*"([^"]+)""#)
        .unwrap()
        .captures_iter(&list)
        .map(|found| found[1].to_owned())
        .collect()
}

/// Each part that must hold has an alternative that is allowed. Parentheses hold alternatives only.
fn is_allowed(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let alternatives = |part: &str| part.split(" OR ").any(|licence| allowed.contains(licence.trim()));
    expression.replace(['(', ')'], "").split(" AND ").all(alternatives)
}

#[test]
fn every_dependency_has_an_allowed_licence_and_a_checksum() {
    let allowed = allowed_licences();
    assert!(allowed.contains("MIT") && allowed.len() > 3, "{allowed:?}");
    for component in components() {
        let licence = component["licenses"][0]["expression"].as_str().unwrap_or_default();
        assert!(is_allowed(licence, &allowed), "{} is under {licence:?}", component["purl"]);
        let of_page = component["purl"].as_str().unwrap().starts_with("pkg:npm/");
        let algorithm = if of_page { "SHA-512" } else { "SHA-256" };
        assert_eq!(component["hashes"][0]["alg"], algorithm, "{} has no checksum", component["purl"]);
    }
}

#[test]
fn the_registry_is_the_only_source() {
    let lock = fs::read_to_string(root().join("Cargo.lock")).unwrap();
    let sources: BTreeSet<_> = lock.lines().filter_map(|line| line.strip_prefix("source = ")).collect();
    assert_eq!(sources.len(), 1, "{sources:?}");
    assert!(sources.iter().all(|source| source.starts_with("\"registry+")), "{sources:?}");
}

#[test]
fn the_packages_of_the_dashboard_have_checksums_and_come_from_the_registry() {
    for lock in ["src/commands/canary/dashboard/web", "tests/e2e/dashboard"] {
        let lock: Value = serde_json::from_str(&text(&format!("{lock}/package-lock.json"))).unwrap();
        let packages = lock["packages"].as_object().unwrap().iter().filter(|(name, _)| !name.is_empty());
        let packages: Vec<_> = packages.collect();
        assert!(packages.len() > 2, "{packages:?}");
        for (name, package) in packages {
            assert!(package["integrity"].as_str().is_some_and(|sum| sum.starts_with("sha512-")), "{name}");
            let source = package["resolved"].as_str();
            assert!(
                source.is_none_or(|url| url.starts_with("https://registry.npmjs.org/")),
                "{name}: {source:?}"
            );
        }
    }
}

#[test]
fn the_bill_of_materials_names_everything_that_is_linked() {
    let named: BTreeSet<String> = components()
        .iter()
        .map(|component| {
            format!("{} v{}", component["name"].as_str().unwrap(), component["version"].as_str().unwrap())
        })
        .collect();
    assert!(named.iter().any(|component| component.starts_with("preact ")), "what the dashboard's page has");
    let tree = output("cargo", &["tree", "--locked", "--edges", "normal,build", "--prefix", "none"]);
    let linked: BTreeSet<String> = tree
        .lines()
        .map(|line| line.split(" (").next().unwrap().to_owned())
        .filter(|package| !package.starts_with("haldane "))
        .collect();
    assert!(linked.len() > 50, "{linked:?}");
    let missing: Vec<_> = linked.difference(&named).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// A file of the repository.
fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

fn workflow() -> Value {
    serde_saphyr::from_str(&text(".github/workflows/release.yaml")).unwrap()
}

/// The commands of a job, one after the other.
fn commands(workflow: &Value, job: &str) -> String {
    let steps = workflow["jobs"][job]["steps"].as_array().unwrap();
    steps.iter().filter_map(|step| step["run"].as_str()).collect::<Vec<_>>().join("\n")
}

#[test]
fn nothing_is_published_that_has_not_passed_the_tests() {
    let workflow = workflow();
    assert_eq!(workflow["permissions"], serde_json::json!({"contents": "read"}), "more by job only");
    assert_eq!(workflow["jobs"]["test"]["uses"], "./.github/workflows/ci.yml");
    let needs = workflow["jobs"]["publish"]["needs"].as_array().unwrap();
    assert!(needs.contains(&"test".into()) && needs.contains(&"version".into()), "{needs:?}");
    let publishes = |job: &Value| job["permissions"].to_string().contains("write");
    let jobs = workflow["jobs"].as_object().unwrap();
    let names: Vec<_> = jobs.iter().filter(|(_, job)| publishes(job)).map(|(name, _)| name).collect();
    assert_eq!(names, ["publish"]);
    let ci: Value = serde_saphyr::from_str(&text(".github/workflows/ci.yml")).unwrap();
    assert!(ci["on"].as_object().unwrap().contains_key("workflow_call"));
}

#[test]
fn a_release_has_an_image_a_chart_and_signatures() {
    let workflow = workflow();
    let publish = commands(&workflow, "publish");
    for wanted in [
        "--platform \"linux/$arch\"",
        "cosign sign --yes --recursive \"$REPOSITORY@$digest\"",
        "cosign attest --yes --type cyclonedx",
        "helm push",
        "dist/install.yaml",
        "cosign sign-blob --yes",
    ] {
        assert!(publish.contains(wanted), "{wanted}");
    }
    let binaries = workflow["jobs"]["binaries"]["strategy"]["matrix"]["include"].as_array().unwrap();
    let platforms: Vec<_> = binaries.iter().map(|binary| binary["platform"].as_str().unwrap()).collect();
    let wanted = ["linux_amd64", "linux_arm64", "darwin_amd64", "darwin_arm64", "windows_amd64"];
    assert_eq!(platforms, wanted);
    // What the tests use.
    let manifest = text("Cargo.toml");
    let rust = workflow["env"]["RUST"].as_str().unwrap();
    assert!(manifest.contains(&format!("\nrust-version = \"{rust}\"\n")), "{rust}");
    let steps = workflow["jobs"]["publish"]["steps"].as_array().unwrap();
    let helm = steps.iter().find(|step| step["uses"].as_str().is_some_and(|uses| uses.contains("helm")));
    let version = helm.unwrap()["with"]["version"].as_str().unwrap();
    assert!(
        text("tests/cluster/tools.conf").contains(&format!("helm.sh/helm/v3 | {version} |")),
        "{version}"
    );
}

/// The workflow writes the image's name into the manifests by replacing text, which must be there.
#[test]
fn what_a_release_replaces_is_in_the_manifests() {
    let publish = commands(&workflow(), "publish");
    for (replaced, file) in [
        ("newTag: dev", "deploy/kustomization.yaml"),
        ("runbook_url: docs/", "deploy/alerts/haldane.yaml"),
        ("  repository: haldane", "deploy/chart/values.yaml"),
    ] {
        assert!(publish.contains(replaced), "{replaced}");
        assert!(text(file).contains(replaced), "{replaced} is not in {file}");
    }
}
