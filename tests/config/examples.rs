//! Every manifest under `examples/`: what it asks for can be read, and names only what it brings along.

use super::defaults;
use haldane::{
    analysis::condition,
    config::{annotations::is_opted_in, declared_plan::read_annotations, dry_start::dry_starts, template},
    domain::{k8s::selector::Labels, keys},
};
use serde_json::Value;
use std::{collections::BTreeMap, fs, path::Path};

/// Documents of all YAML files of a folder and those below it, with their file.
fn documents(folder: &Path, found: &mut Vec<(String, Value)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            documents(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            let text = fs::read_to_string(&path).unwrap();
            let all: Vec<Value> =
                serde_saphyr::from_multiple(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            found.extend(all.into_iter().map(|document| (path.display().to_string(), document)));
        }
    }
}

fn all() -> Vec<(String, Value)> {
    let mut found = Vec::new();
    documents(&Path::new(env!("CARGO_MANIFEST_DIR")).join("examples"), &mut found);
    found
}

fn map(object: &Value, pointer: &str) -> Labels {
    serde_json::from_value(object.pointer(pointer).cloned().unwrap_or_default()).unwrap_or_default()
}

#[test]
fn every_annotation_of_the_examples_can_be_read() {
    let (mut plans, mut lookups) = (Vec::new(), BTreeMap::new());
    for (file, document) in all() {
        if map(&document, "/metadata/labels").contains_key(keys::TEMPLATE_LABEL) {
            let name = document["metadata"]["name"].as_str().unwrap().to_owned();
            let text = document["data"].as_object().unwrap().values().next().unwrap().as_str().unwrap();
            let read = template::parse(&name, text, "data");
            assert!(read.is_ok(), "{file}: {read:?}");
            let reference = haldane::domain::strategy::TemplateRef { name, cluster_scope: false };
            lookups.insert(reference, read);
        }
        let annotations = map(&document, "/metadata/annotations");
        if is_opted_in(&annotations) {
            plans.push((file, annotations));
        }
    }
    assert!(!plans.is_empty() && !lookups.is_empty(), "the examples are about canaries");
    for (file, annotations) in plans {
        let declared =
            read_annotations(&annotations, &defaults()).unwrap_or_else(|found| panic!("{file}: {found:?}"));
        let spec = declared.complete(&lookups).unwrap_or_else(|found| panic!("{file}: {found:?}"));
        for metric in dry_starts(&spec).iter().flat_map(|dry_start| &dry_start.metrics) {
            let unread: Vec<_> = metric.queries.iter().filter(|(_, query)| query.is_err()).collect();
            assert!(unread.is_empty(), "{file}: {unread:?}");
            for condition in
                [&metric.spec.success_condition, &metric.spec.failure_condition].into_iter().flatten()
            {
                assert_eq!(condition::check_for(condition, &metric.result), Ok(()), "{file}: {condition}");
            }
        }
    }
}

/// The walk-through's recording rule is shown with the Prometheus of the test cluster, whose configuration must
/// contain it.
#[test]
fn the_test_clusters_prometheus_records_what_the_example_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |file: &str| fs::read_to_string(root.join(file)).unwrap();
    let manifest = read("tests/cluster/manifests/prometheus.yaml");
    let documents: Vec<Value> = serde_saphyr::from_multiple(&manifest).unwrap();
    let told = documents.iter().find_map(|document| document["data"]["rules.yml"].as_str()).unwrap();
    let rules = |text: &str| serde_saphyr::from_str::<Value>(text).unwrap();
    let example = rules(&read("examples/w1-success-rate-latency/recording-rules.yaml"));
    assert_eq!(rules(told), example);
}
