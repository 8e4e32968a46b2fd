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
        assert_eq!(component["hashes"][0]["alg"], "SHA-256", "{} has no checksum", component["purl"]);
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
fn the_bill_of_materials_names_everything_that_is_linked() {
    let named: BTreeSet<String> = components()
        .iter()
        .map(|component| {
            format!("{} v{}", component["name"].as_str().unwrap(), component["version"].as_str().unwrap())
        })
        .collect();
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
