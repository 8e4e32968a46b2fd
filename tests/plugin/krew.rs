//! The package for krew: what `deploy/krew/package` makes is a manifest as krew reads it.

use serde_json::Value;
use std::{fs, process::Command};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

#[test]
fn the_package_is_a_manifest_that_krew_accepts() {
    let folder = format!("{}/krew", env!("CARGO_TARGET_TMPDIR"));
    let binary = format!("{ROOT}/LICENSE");
    let url = "https://releases.example.com/v1/";
    let made = Command::new(format!("{ROOT}/deploy/krew/package"))
        .args([url, &folder, &binary, &binary])
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let text = fs::read_to_string(format!("{folder}/canary.yaml")).unwrap();
    assert!(!text.contains("${"), "a placeholder is left: {text}");
    let manifest: Value = serde_saphyr::from_str(&text).unwrap();
    assert_eq!(manifest["apiVersion"], "krew.googlecontainertools.github.com/v1alpha2");
    assert_eq!((&manifest["kind"], &manifest["metadata"]["name"]), (&"Plugin".into(), &"canary".into()));
    let spec = &manifest["spec"];
    assert_eq!(spec["version"], format!("v{}", env!("CARGO_PKG_VERSION")));
    let short = spec["shortDescription"].as_str().unwrap();
    assert!(short.len() <= 50 && !short.ends_with('.'), "as krew's naming guide asks: {short}");
    for platform in spec["platforms"].as_array().unwrap() {
        let labels = &platform["selector"]["matchLabels"];
        let archive = format!(
            "kubectl-canary_{}_{}.tar.gz",
            labels["os"].as_str().unwrap(),
            labels["arch"].as_str().unwrap()
        );
        assert_eq!(platform["uri"], format!("https://releases.example.com/v1/{archive}"));
        assert_eq!(platform["bin"], "kubectl-canary");
        let sum = Command::new("sha256sum").arg(format!("{folder}/{archive}")).output().unwrap();
        let sum = String::from_utf8(sum.stdout).unwrap();
        assert_eq!(platform["sha256"].as_str(), sum.split_whitespace().next(), "{archive}");
        let listed = Command::new("tar").args(["-tzf", &format!("{folder}/{archive}")]).output().unwrap();
        let listed = String::from_utf8(listed.stdout).unwrap();
        for file in platform["files"].as_array().unwrap() {
            let from = file["from"].as_str().unwrap();
            assert!(listed.lines().any(|line| line == from), "{archive} has no {from}: {listed}");
        }
    }
}
