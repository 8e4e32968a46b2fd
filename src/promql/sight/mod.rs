//! Which side of the pair a query sees. Canary pods carry other labels than stable ones, so a query
//! written for one Deployment may see stable only, or nobody, and would find every canary good.

mod mark;
#[cfg(test)]
pub(super) mod tests;

pub use mark::{Mark, Side, UNKNOWN, Value, marks};

use super::{
    Query, Selector,
    series::{Exporter, is_positive},
};
pub(super) use mark::Admits;
use promql_parser::label::{MatchOp, Matcher};

/// What a selector, or a whole metric, sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// Series of the canary only.
    Canary,
    /// Both sides, without distinguishing them, as far as is known.
    Both,
    /// Series of stable only.
    Stable,
    /// No series of either side.
    Neither,
}

/// What all queries of one metric see together: one selector that sees the canary is enough.
#[must_use]
pub fn sight(queries: &[Query], marks: &[Mark]) -> Sight {
    let seen: Vec<Sight> =
        queries.iter().flat_map(|query| &query.selectors).map(|selector| sight_of(selector, marks)).collect();
    let first = [Sight::Canary, Sight::Both, Sight::Stable].into_iter().find(|sight| seen.contains(sight));
    first.unwrap_or(Sight::Neither)
}

/// What one selector sees. A label that is not known here decides nothing.
#[must_use]
pub fn sight_of(selector: &Selector, marks: &[Mark]) -> Sight {
    let exporter = Exporter::of(selector);
    let mut seen = Admits::BOTH;
    for matcher in &selector.matchers {
        let admits = admitted(&on_label(&selector.matchers, &matcher.name), exporter, marks);
        seen.stable &= admits.stable;
        seen.canary &= admits.canary;
    }
    match (seen.canary, seen.stable) {
        (true, false) => Sight::Canary,
        (true, true) if selector.matchers.iter().any(|matcher| names_canary(matcher, exporter, marks)) => {
            Sight::Canary
        }
        (true, true) => Sight::Both,
        (false, true) => Sight::Stable,
        (false, false) => Sight::Neither,
    }
}

/// All matchers on one label: a series must have one value for all of them.
pub(super) fn on_label<'a>(matchers: &'a [Matcher], label: &str) -> Vec<&'a Matcher> {
    matchers.iter().filter(|matcher| matcher.name == label).collect()
}

/// The sides of which matchers on one label admit a series.
pub(super) fn admitted(matchers: &[&Matcher], exporter: Exporter, marks: &[Mark]) -> Admits {
    let known: Vec<&Matcher> =
        matchers.iter().copied().filter(|matcher| !matcher.value.contains(UNKNOWN)).collect();
    let Some(first) = known.first() else { return Admits::BOTH };
    if let Exporter::Router(series) = exporter
        && series.services.contains(&first.name.as_str())
    {
        return by_service_of_stable(&known, marks);
    }
    let marks: Vec<&Mark> = of_label(&first.name, exporter, marks).collect();
    let admits = marks.iter().map(|mark| mark.admitted_by(&known));
    let any = admits.fold(Admits::NEITHER, |any, one| Admits {
        stable: any.stable || one.stable,
        canary: any.canary || one.canary,
    });
    let is_open = marks.iter().all(|mark| mark.is_open);
    if is_open && any == Admits::NEITHER { Admits::BOTH } else { any }
}

/// Where a router names stable's Service for both sides; whatever scrapes it may add its own.
fn by_service_of_stable(matchers: &[&Matcher], marks: &[Mark]) -> Admits {
    let mut split = marks.iter().filter(|mark| mark.label == "service");
    let is_wrong = split.any(|mark| mark.admitted_by(matchers) == Admits::CANARY);
    if is_wrong { Admits::NEITHER } else { Admits::BOTH }
}

/// The marks of a label, if it describes the pair.
pub(super) fn of_label<'a>(
    label: &'a str,
    exporter: Exporter,
    marks: &'a [Mark],
) -> impl Iterator<Item = &'a Mark> {
    let describes = exporter.describes(label);
    marks.iter().filter(move |mark| {
        let of_router = matches!(mark.canary, Value::Upstream { .. });
        describes && mark.label == label && (!of_router || matches!(exporter, Exporter::Router(_)))
    })
}

/// A label that is not known here has a value with the name of the canary's Service or Deployment in it, as proxies
/// form them: `envoy_cluster_name="shop/web-canary/80"`.
pub(super) fn names_canary(matcher: &Matcher, exporter: Exporter, marks: &[Mark]) -> bool {
    is_positive(matcher)
        && !marks.iter().any(|mark| mark.label == matcher.name && exporter.describes(&mark.label))
        && canary_names(marks).any(|(name, _)| matcher.value.contains(name))
}

/// Names that only the canary's objects have, each with stable's.
pub(super) fn canary_names(marks: &[Mark]) -> impl Iterator<Item = (&str, &str)> {
    marks.iter().filter(|mark| ["service", "deployment"].contains(&mark.label.as_str())).filter_map(|mark| {
        match (&mark.canary, &mark.stable) {
            (Value::Word(canary), Value::Word(stable)) if canary != stable => Some((&**canary, &**stable)),
            _ => None,
        }
    })
}

/// A matcher that keeps a query from seeing the canary, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Correction {
    /// The matcher as it is written.
    pub written: String,
    /// One that sees the canary.
    pub wanted: String,
    /// One for those whose application sets the label itself, to the same value on both sides.
    pub open: Option<String>,
}

/// The matchers that keep queries from seeing the canary.
#[must_use]
pub fn corrections(queries: &[Query], marks: &[Mark]) -> Vec<Correction> {
    let mut found = Vec::new();
    for selector in queries.iter().flat_map(|query| &query.selectors) {
        let exporter = Exporter::of(selector);
        let hiding = selector.matchers.iter().filter(|m| !admitted(&[*m], exporter, marks).canary);
        found.extend(hiding.filter_map(|matcher| correction(matcher, exporter, marks)));
    }
    found.sort();
    found.dedup();
    found
}

fn correction(matcher: &Matcher, exporter: Exporter, marks: &[Mark]) -> Option<Correction> {
    let label = &matcher.name;
    let written = matcher.to_string();
    if let Exporter::Router(series) = exporter
        && label != series.side
    {
        let hit = marks.iter().find(|m| m.label == "service" && m.canary.is_admitted_by(matcher))?;
        let Value::Word(stable) = &hit.stable else { return None };
        let wanted = format!("{label}={stable:?},{}!=\"\"", series.side);
        return Some(Correction { written, wanted, open: None });
    }
    let known: Vec<&Mark> = of_label(label, exporter, marks).collect();
    let meant = known.iter().find(|mark| mark.stable.is_admitted_by(matcher)).or(known.first())?;
    let wanted = wanted(meant);
    let open = match (&meant.canary, &matcher.op) {
        (Value::Word(word), MatchOp::Equal) if may_be_own(label) => {
            Some(format!("{label}=~{:?}", format!("{}|{word}", matcher.value)))
        }
        _ => None,
    };
    Some(Correction { written, wanted, open })
}

/// A matcher that a mark's canary has.
fn wanted(Mark { label, canary, .. }: &Mark) -> String {
    match canary {
        Value::Word(_) if label.ends_with("pod_template_hash") => {
            format!("{label}=\"{{{{args.canary-hash}}}}\" with podTemplateHashValue: Canary")
        }
        Value::Word(word) => format!("{label}={word:?}"),
        Value::Pods { deployment, .. } => format!("{label}=~\"{deployment}-.*\""),
        Value::Host { service, namespace } => {
            let namespace = namespace.as_deref().unwrap_or("NAMESPACE");
            format!("{label}=\"{service}.{namespace}.svc.cluster.local\"")
        }
        Value::Upstream { .. } => format!("{label}!=\"\""),
    }
}

/// A matcher that sees the canary only, where any distinguishes the sides.
#[must_use]
pub fn example(marks: &[Mark]) -> Option<String> {
    marks.iter().find(|mark| !mark.is_open && mark.stable != mark.canary).map(wanted)
}

/// Whether applications are known to set this label themselves.
fn may_be_own(label: &str) -> bool {
    !label.ends_with("pod_template_hash")
        && !label.ends_with("replicaset")
        && !super::series::is_of_destination(label)
}
