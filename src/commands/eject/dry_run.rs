//! What `haldane eject` would do, in words.

use super::{Left, Subject};
use crate::{cluster::records::state_name, commands::cli::EjectArgs, domain::keys};

/// A line for each rollout, Namespace and Deployment that would change, and for each that could not be read.
pub(super) fn lines(subjects: &[Subject], namespaces: &[&str], args: &EjectArgs, left: &Left) -> Vec<String> {
    let ends = subjects.iter().filter(|subject| subject.is_busy()).map(|subject| ending(subject, args));
    let namespaces = namespaces.iter().map(|name| {
        format!(
            "Namespace {name} would no longer opt in its Deployments: label {} and annotations {}… removed",
            keys::CANARY,
            keys::PREFIX
        )
    });
    let plain = subjects.iter().map(|subject| {
        format!(
            "{} would be a plain Deployment: {} and ConfigMap {} removed",
            subject.name(),
            keys_of(subject),
            state_name(&subject.owner.name)
        )
    });
    let left = left.iter().map(|(name, why)| format!("{name} would not be ejected: {why}"));
    let mut lines: Vec<String> = ends.chain(namespaces).chain(plain).chain(left).collect();
    if lines.is_empty() {
        lines.push("no Deployment and no Namespace is opted in, so nothing would change".to_owned());
    }
    lines
}

fn ending(subject: &Subject, args: &EjectArgs) -> String {
    let name = subject.described();
    if !args.finish && !args.revert {
        return format!(
            "{name} has a rollout under way: add --revert or --finish, without one of them eject changes nothing"
        );
    }
    if subject.finishes(args.finish) {
        format!("the rollout of {name} would be promoted without its remaining steps and analyses")
    } else {
        format!("the rollout of {name} would be rolled back to the version that served before")
    }
}

fn keys_of(subject: &Subject) -> String {
    let metadata = &subject.seen.deployment.metadata;
    let found = [("label", &metadata.labels), ("annotation", &metadata.annotations)];
    let keys = found.iter().flat_map(|(kind, map)| {
        let keys = map.iter().flat_map(|map| map.keys());
        keys.filter(|key| key.starts_with(keys::PREFIX)).map(move |key| format!("{kind} {key}"))
    });
    let keys: Vec<String> = keys.collect();
    if keys.is_empty() { "no keys".to_owned() } else { keys.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        commands::{
            cli::{Cli, Command},
            eject::Obstacle,
        },
        domain::observed::Observed,
        objects::manifest::Owner,
    };
    use clap::Parser;
    use serde_json::{Value, json};

    /// A Deployment of this name, with a rollout at this stage.
    fn subject(name: &str, stage: Option<Value>) -> Subject {
        let at = "2026-01-01T00:00:00Z";
        let record = stage.map_or(json!({"version": 1, "revision": 2}), |stage| {
            let strategy = json!({
                "steps": [{"setWeight": 20}, {"pause": null}], "progressDeadlineAbort": true,
                "nginx": {"annotationPrefix": "nginx"}, "settle": "6s",
            });
            json!({"version": 1, "revision": 3, "rollout": {
                "revision": 3, "hash": "b", "spec": {"strategy": strategy}, "startedAt": at, "attempt": 1,
                "rewrite": {"of": "web", "keys": ["app"]}, "baselineReplicas": 4, "canaryReplicas": 1,
                "traffic": {"weight": 20, "routes": true, "askedAt": at}, "stage": stage,
            }})
        });
        let deployment = json!({
            "metadata": {
                "name": name,
                "labels": {"haldane.dev/managed": "true", "team": "shop"},
                "annotations": {"haldane.dev/canary": "enabled"},
            },
            "spec": {"selector": {}, "template": {}},
        });
        Subject {
            owner: Owner { name: name.to_owned(), namespace: "shop".to_owned(), uid: "u".to_owned() },
            seen: Observed { deployment: serde_json::from_value(deployment).unwrap(), ..Observed::default() },
            state: serde_json::from_value(record).unwrap(),
        }
    }

    fn said(flags: &[&str], subjects: &[Subject], namespaces: &[&str], left: &Left) -> String {
        let line = [&["haldane", "eject", "--dry-run"], flags].concat();
        let Command::Eject(args) = Cli::try_parse_from(line).unwrap().command else { panic!("{flags:?}") };
        assert!(args.dry_run);
        lines(subjects, namespaces, &args, left).join("\n")
    }

    #[test]
    fn a_dry_run_lists_every_change_by_its_object() {
        let at = "2026-01-01T00:00:00Z";
        let paused = json!({"name": "step", "index": 1, "enteredAt": at});
        let aborted = json!({"name": "aborted", "since": at, "message": "RolloutAborted: bad"});
        let subjects = [subject("api", None), subject("web", Some(paused)), subject("old", Some(aborted))];
        let left = Left::from([("shop/odd".to_owned(), Obstacle::NoStable)]);
        let finished = said(&["--finish"], &subjects, &["shop"], &left);
        insta::assert_snapshot!("finish", finished);
        let reverted = said(&["--revert"], &subjects, &[], &Left::new());
        assert!(reverted.contains("the rollout of shop/web (Paused) would be rolled back"), "{reverted}");
        let undecided = said(&[], &subjects, &[], &Left::new());
        assert!(
            undecided.contains("shop/web (Paused) has a rollout under way: add --revert or"),
            "{undecided}"
        );
        assert_eq!(
            said(&[], &[], &[], &Left::new()),
            "no Deployment and no Namespace is opted in, so nothing would change"
        );
    }
}
