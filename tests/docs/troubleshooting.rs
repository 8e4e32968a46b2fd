//! `docs/troubleshooting.md`, written from the tables of what people meet.

use crate::{files, root};
use haldane::{
    admit::troubles::REQUESTS,
    decide::{WaitReason, troubles::EVENTS},
    domain::troubles::{REFUSALS, Trouble},
};
use regex::Regex;
use std::{collections::BTreeSet, fmt::Write, fs};
use strum::IntoEnumIterator;

const PAGE: &str = "docs/troubleshooting.md";

const HEAD: &str = "# Troubleshooting

A release that does not go on says why in three places, with the same words:

```sh
kubectl describe deployment web   # condition haldane.dev/Release, and Events
kubectl get configmap haldane-web --output=jsonpath='{.data.message}'
kubectl canary get web            # with the plugin
```

The tables say what each reason means and what to do. A message itself names the object, the value and mostly the fix.

## What a release waits for

";

const EVENTS_HEAD: &str = "
## Events

Warnings on the Deployment, in the order in which a release meets them. [All Events](rollout.md#events).

";

const REFUSED_HEAD: &str = "
## WriteRefused

Something refuses an object that a release needs. The Event, `message` in the ConfigMap `haldane-NAME` and the abort's message
quote the answer, after the kind and name of the object. `kubectl apply` of a release shows the same answers, if the refusal is in
force by then: Haldane tries the objects in a dry run, refuses the release if a policy or a validation does not accept one, and
warns about quotas and webhooks that may accept it later.

";

const REFUSED_TAIL: &str = "
Haldane tries again at least every half minute and goes on when the object is accepted. A release that cannot go on is aborted
after `progressDeadlineSeconds` of the Deployment. An abort needs none of the refused objects: if the Ingress can neither be
changed nor deleted, the canary is scaled to 0, and NGINX sends all requests to stable. `weight` in the ConfigMap stays at the last
observed weight until the route is changed or deleted.

## Refused requests

What `kubectl` prints when a request is refused starts with the path and the value at fault. These need more than a corrected value:

";

fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// Advice is plain text, because messages end with it; on the page what is typed looks so.
fn marked(text: &str) -> String {
    let typed = Regex::new(
        r"(app\.kubernetes\.io/managed-by: haldane|haldane\.dev/[a-z-]+(=[a-z-]+)?|haldane-(NAME|operator)|kubectl canary \w+ NAME|progressDeadlineSeconds|failurePolicy|Ignore|WaitsFor[A-Z]\w+|(deploy|webhook-config)/)",
    );
    typed.unwrap().replace_all(text, "`$1`").into_owned()
}

fn table<'a>(first: &str, rows: impl IntoIterator<Item = &'a Trouble>) -> String {
    let mut text = format!("| {first} | it means | what to do |\n| --- | --- | --- |\n");
    for Trouble { says, means, advice } in rows {
        let says: Vec<_> = says.iter().map(|words| format!("`{}`", words.trim())).collect();
        writeln!(text, "| {} | {means} | {}. |", says.join(", "), marked(&sentence(advice))).unwrap();
    }
    text
}

fn page() -> String {
    let waits: Vec<Trouble> = WaitReason::iter().filter_map(WaitReason::trouble).collect();
    [
        HEAD,
        &table("reason of the condition", &waits),
        EVENTS_HEAD,
        &table("Event", &EVENTS),
        REFUSED_HEAD,
        &table("the answer contains", REFUSALS),
        REFUSED_TAIL,
        &table("the refusal contains", &REQUESTS),
    ]
    .concat()
}

#[test]
fn the_page_of_troubles_is_fresh() {
    let path = root().join(PAGE);
    let text = page();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &text).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(written == text, "{PAGE} is not what the code says; run `make docs`");
}

#[test]
fn every_warning_among_the_events_is_explained() {
    let warning = Regex::new(r#"Event::warning\(\s*"(\w+)""#).unwrap();
    let mut reasons = BTreeSet::new();
    for file in files(".rs").iter().filter(|file| file.starts_with(root().join("src"))) {
        let code = fs::read_to_string(file).unwrap();
        reasons.extend(warning.captures_iter(&code).map(|found| found[1].to_owned()));
    }
    let explained: BTreeSet<_> =
        EVENTS.iter().flat_map(|row| row.says).map(|says| (*says).to_owned()).collect();
    let missing: Vec<_> = reasons.difference(&explained).collect();
    assert!(reasons.len() > 8 && missing.is_empty(), "without a row: {missing:?}");
}

/// A row about words that nothing says any more would mislead.
#[test]
fn refusals_that_are_explained_are_in_the_code() {
    let sources: String = files(".rs")
        .iter()
        .filter(|file| file.starts_with(root().join("src")) && !file.ends_with("troubles.rs"))
        .map(|file| fs::read_to_string(file).unwrap())
        .collect();
    let gone: Vec<_> =
        REQUESTS.iter().flat_map(|row| row.says).filter(|words| !sources.contains(**words)).collect();
    assert!(gone.is_empty(), "nothing says {gone:?}");
}
