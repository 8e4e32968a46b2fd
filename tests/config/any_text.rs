//! Any text in an annotation: it is read, or refused with findings that name their place.

use super::read;
use haldane::{
    config::annotations::KEYS,
    domain::{k8s::selector::Labels, keys},
};
use proptest::prelude::*;

/// YAML made of the words that plans are made of, right and wrong.
fn near_miss() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "steps",
        "setWeight",
        "pause",
        "duration",
        "analysis",
        "templates",
        "templateName",
        "args",
        "name",
        "value",
        "valueFrom",
        "metrics",
        "provider",
        "prometheus",
        "query",
        "count",
        "interval",
        "trafficRouting",
        "nginx",
        "stableService",
        "canary",
        "strategy",
        "startingStep",
        "successCondition",
    ]);
    let leaf = prop_oneof![
        any::<i64>().prop_map(|n| n.to_string()),
        Just("5m".to_owned()),
        Just("{}".to_owned()),
        Just("null".to_owned()),
        Just("'result[0] > 1'".to_owned()),
        "[ -~]{0,8}".prop_map(|text| serde_json::to_string(&text).unwrap()),
    ];
    leaf.prop_recursive(5, 40, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(", "))),
            prop::collection::btree_map(word.clone(), inner, 0..4).prop_map(|map| {
                let entries: Vec<_> = map.iter().map(|(key, value)| format!("{key}: {value}")).collect();
                format!("{{{}}}", entries.join(", "))
            }),
        ]
    })
}

fn check(annotations: &[(&str, &str)]) -> Result<(), TestCaseError> {
    let Err(findings) = read(annotations) else { return Ok(()) };
    prop_assert!(!findings.is_empty());
    for finding in findings {
        let at_home = annotations
            .iter()
            .any(|(key, _)| finding.path.starts_with(&format!("metadata.annotations[{key}]")));
        prop_assert!(at_home, "{:?}", finding.path);
        prop_assert!(!finding.problem.is_empty() && !finding.problem.contains('\n'), "{}", finding.problem);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_in_any_annotation(text in "\\PC{0,80}", key in 0..KEYS.len()) {
        check(&[(keys::CANARY, "enabled"), (KEYS[key].name, &text)])?;
    }

    #[test]
    fn any_yaml_that_looks_like_a_plan(plan in near_miss(), template in near_miss()) {
        check(&[(keys::CANARY, &plan), (keys::ANALYSIS, &template)])?;
    }

    #[test]
    fn any_unknown_key(suffix in "[a-z-]{1,20}", value in "\\PC{0,20}") {
        let key = format!("haldane.dev/{suffix}");
        prop_assume!(!KEYS.iter().any(|known| known.name == key));
        let annotations = Labels::from([(keys::CANARY.to_owned(), "enabled".to_owned()), (key, value)]);
        let pairs: Vec<(&str, &str)> = annotations.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        check(&pairs)?;
    }
}
