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
        decide::fixtures::{now, seen, state},
        domain::{
            k8s::selector::Labels,
            state::{RolloutState, Stage},
        },
        objects::manifest::Owner,
    };
    use clap::Parser;

    /// A Deployment of this name, with a rollout at this stage.
    fn subject(name: &str, stage: Option<Stage>) -> Subject {
        let mut seen = seen(4, "web:2", false);
        let metadata = &mut seen.deployment.metadata;
        let map = |entries: &[(&str, &str)]| -> Labels {
            entries.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        metadata.labels = Some(map(&[("haldane.dev/managed", "true"), ("team", "shop")]));
        metadata.annotations = Some(map(&[("haldane.dev/canary", "enabled")]));
        Subject {
            owner: Owner { name: name.to_owned(), namespace: "shop".to_owned(), uid: "u".to_owned() },
            state: stage.map_or_else(RolloutState::default, |stage| state(&seen, stage)),
            seen,
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
        let paused = Stage::Step { index: 1, entered_at: now(), inconclusive: None };
        let aborted = Stage::Aborted { since: now(), message: "RolloutAborted: bad".to_owned() };
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
