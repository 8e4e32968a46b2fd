//! The contract of every table: keys are unique, words are filled, examples can be read.

use super::{canary, defaults, read};
use haldane::{
    config::{
        annotations::{INTERNAL_KEYS, KEYS},
        blue_green,
        declared_plan::read_annotations,
        settings::{REFUSED, SETTINGS},
        steps::{self, REFUSED_STEPS, STEPS},
    },
    document::{fields, yaml},
    domain::{k8s::selector::Labels, keys, request::Verb},
    policy::RULES,
    providers::PROVIDERS,
    routers::{self, ROUTERS},
};
use std::{collections::BTreeSet, fmt::Display, path::Path, str::FromStr};

fn assert_unique<T: Ord + Display>(keys: impl IntoIterator<Item = T>) {
    let mut seen = BTreeSet::new();
    for key in keys {
        let text = key.to_string();
        assert!(seen.insert(key), "{text} is registered twice");
    }
}

fn assert_sentence(owner: &str, doc: &str) {
    assert!(doc.len() > 20 && doc.ends_with('.'), "{owner}: {doc:?} is not a sentence");
    assert!(!doc.contains('\n'), "{owner}: one line");
}

#[test]
fn annotations() {
    assert_unique(KEYS.iter().map(|key| key.name).chain(INTERNAL_KEYS));
    for key in KEYS {
        assert!(key.name.starts_with(keys::PREFIX), "{}", key.name);
        assert_sentence(key.name, key.doc);
        let mut annotations = Labels::from([(key.name.to_owned(), key.example.to_owned())]);
        if key.name != keys::BLUE_GREEN {
            annotations.entry(keys::CANARY.to_owned()).or_insert_with(|| "enabled".to_owned());
        }
        let declared = read_annotations(&annotations, &defaults());
        assert!(declared.is_ok(), "{}: {:?}: {declared:?}", key.name, key.example);
        if key.name == keys::DO {
            assert!(Verb::from_str(key.example).is_ok(), "{}", key.example);
        }
    }
}

#[test]
fn steps() {
    assert_unique(STEPS.iter().map(|step| step.key));
    for step in STEPS {
        assert_sentence(step.key, step.doc);
        assert!(step.example.starts_with(step.key), "{}: {:?}", step.key, step.example);
        // Whether a router can do it is another question.
        let step_alone = yaml::parse(&format!("{{{}}}", step.example)).unwrap();
        let read = fields::read(&step_alone, "step", |node| steps::step(node, 100));
        assert!(read.is_ok(), "{}: {read:?}", step.key);
    }
    for (key, why) in REFUSED_STEPS {
        let findings = canary(&format!("{{steps: [{{{key}: {{}}}}]}}")).expect_err(key);
        assert_eq!(findings[0].problem, format!("is not supported: {why}"), "{key}");
    }
}

#[test]
fn settings() {
    assert_unique(SETTINGS.iter().map(|setting| setting.key).chain(REFUSED.iter().map(|(key, _)| *key)));
    for setting in SETTINGS {
        assert_sentence(setting.key, setting.doc);
        let plan = canary(&format!("{{{}}}", setting.example));
        assert!(setting.example.contains(setting.key), "{}: {:?}", setting.key, setting.example);
        assert!(plan.is_ok(), "{}: {plan:?}", setting.key);
    }
    for (key, why) in REFUSED {
        let findings = canary(&format!("{{{key}: 1}}")).expect_err(key);
        assert_eq!(findings[0].problem, format!("is not supported: {why}"), "{key}");
    }
}

#[test]
fn blue_green_settings() {
    let all = blue_green::SETTINGS.iter().map(|setting| setting.key);
    assert_unique(all.chain(blue_green::REFUSED.iter().map(|(key, _)| *key)));
    for setting in blue_green::SETTINGS {
        assert_sentence(setting.key, setting.doc);
        let text = format!("{{{}}}", setting.example);
        assert!(setting.example.contains(setting.key), "{}: {:?}", setting.key, setting.example);
        // Analyses name templates, which are looked up later.
        let plan = read(&[(keys::BLUE_GREEN, &text)]);
        assert!(plan.is_ok(), "{}: {plan:?}", setting.key);
    }
    for (key, why) in blue_green::REFUSED {
        let text = format!("{{activeService: web, {key}: 1}}");
        let findings = read(&[(keys::BLUE_GREEN, &text)]).expect_err(key);
        assert_eq!(findings[0].problem, format!("is not supported: {why}"), "{key}");
    }
}

#[test]
fn providers() {
    assert_unique(PROVIDERS.iter().map(|provider| provider.key()));
    for provider in PROVIDERS {
        let key = provider.key();
        assert!(provider.doc().len() > 20, "{key}: {:?}", provider.doc());
        let config = yaml::parse(provider.example()).unwrap();
        let read = fields::read(&config, "config", |node| provider.check(node));
        assert!(read.is_ok(), "{key}: {read:?}");
        let nothing = fields::read(&serde_json::json!({}), "config", |node| provider.check(node));
        let findings = nothing.expect_err(key);
        assert!(findings.iter().all(|finding| finding.path.starts_with("config")), "{key}: {findings:?}");
    }
}

#[test]
fn policy_rules() {
    assert_unique(RULES.iter().map(|rule| rule.id));
    for rule in RULES {
        assert_sentence(rule.id, rule.doc);
        assert!(rule.id.chars().all(|c| c.is_ascii_lowercase() || c == '-'), "{}", rule.id);
        let settings = yaml::parse(rule.example).unwrap();
        let read = fields::read(&settings, rule.id, rule.read);
        assert!(read.is_ok(), "{}: {read:?}", rule.id);
        let unknown = fields::read(&serde_json::json!({"nonsense": {}}), rule.id, rule.read);
        assert!(unknown.is_err(), "{} takes unknown settings", rule.id);
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/policy");
    let files =
        std::fs::read_dir(folder).unwrap().map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap());
    assert_eq!(
        files.filter(|text| text.contains("static RULE: Rule")).count(),
        RULES.len(),
        "a rule is not registered"
    );
}

#[test]
fn routers() {
    assert_unique(ROUTERS.iter().map(|router| router.key()));
    for router in ROUTERS {
        assert_sentence(router.key(), router.doc());
        assert_unique(router.fields().iter().map(|field| field.key));
        router.fields().iter().for_each(|field| assert_sentence(field.key, field.doc));
    }
    for router in routers::nameable() {
        let plan = canary(&format!("{{trafficRouting: {{{}: {{}}}}}}", router.key()));
        assert!(plan.is_ok(), "{}: {plan:?}", router.key());
    }
}

#[test]
fn every_key_of_the_code_is_documented_or_internal() {
    let known: BTreeSet<&str> = KEYS.iter().map(|key| key.name).chain(INTERNAL_KEYS).collect();
    for key in [
        keys::CANARY,
        keys::BLUE_GREEN,
        keys::ANALYSIS,
        keys::SETTLE,
        keys::DO,
        keys::RESTART,
        keys::REQUEST,
        keys::HELD,
        keys::EXEMPT,
    ] {
        assert!(known.contains(key), "{key}");
    }
    // Internal keys come with every update of a managed Deployment.
    let internal = INTERNAL_KEYS.map(|key| (key, "x"));
    assert!(read(&[&internal[..], &[(keys::CANARY, "enabled")]].concat()).is_ok());
}
