//! The routings in `docs/notifications.md` are read by the parser, and allowed where the page says so.

use super::root;
use haldane::{
    domain::k8s::selector::Labels,
    notify::{CONFIG_MAP, EXAMPLE, Routing},
};
use regex::Regex;
use serde_json::Value;
use std::fs;

/// The texts of the YAML blocks of the page.
fn blocks() -> Vec<String> {
    let page = fs::read_to_string(root().join("docs/notifications.md")).unwrap();
    let block = Regex::new(r"(?s)```yaml\n(.*?)```").unwrap();
    block.captures_iter(&page).map(|found| found[1].to_owned()).collect()
}

fn read(routing: &str) -> Routing {
    let data = Labels::from([("routing".to_owned(), routing.to_owned())]);
    Routing::read(&data).unwrap_or_else(|findings| panic!("{findings:#?}: {routing}"))
}

#[test]
fn every_routing_of_the_page_is_read() {
    let [object, destinations] = blocks().try_into().unwrap();
    let object: Value = serde_saphyr::from_str(&object).unwrap();
    assert_eq!(object["metadata"]["name"], CONFIG_MAP);
    let first = read(object["data"]["routing"].as_str().unwrap());
    assert_eq!(first.destinations.len(), 1);
    let formats: Vec<&str> = [read(&destinations), read(EXAMPLE), first]
        .iter()
        .flat_map(|one| &one.destinations)
        .map(|one| one.format.into())
        .collect();
    assert!(["slack", "teams", "cloudEvents"].iter().all(|format| formats.contains(format)), "{formats:?}");
}
