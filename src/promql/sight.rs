//! Which side of the pair a query sees. Canary pods carry other labels than stable ones, so a query
//! written for one Deployment may see stable only, and would find every canary good.

use super::{Query, Selector};
use crate::domain::{rewrite::LabelRewrite, selector::Labels};
use promql_parser::label::{MatchOp, Matcher};
use std::collections::BTreeMap;

/// Metrics of ingress-nginx carry the names of the stable side; the canary's have the label `canary` as well.
const NGINX_METRICS: &str = "nginx_ingress_controller_";
/// The label that they have.
const NGINX_CANARY: &str = "canary";

/// A label whose values tell the two sides of the pair apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// The label as Prometheus has it.
    pub label: String,
    /// Its value on the stable side.
    pub stable: String,
    /// Its value on the canary's.
    pub canary: String,
}

/// What a selector, or a whole query, sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// Series of the canary only.
    Canary,
    /// No series of the canary, but of stable.
    Stable,
    /// Both, without telling them apart.
    Both,
    /// Neither: it is about something else.
    Elsewhere,
}

/// The marks of a pair: rewritten pod labels, Services, and the hashes that Kubernetes gives pods.
#[must_use]
pub fn marks(
    rewrite: &LabelRewrite,
    pod_labels: &Labels,
    services: &BTreeMap<String, String>,
    hashes: Option<(&str, &str)>,
) -> Vec<Mark> {
    let mark = |label: &str, stable: &str, canary: &str| Mark {
        label: label.to_owned(),
        stable: stable.to_owned(),
        canary: canary.to_owned(),
    };
    let rewritten = pod_labels.iter().filter(|(key, _)| rewrite.keys.contains(*key));
    let of_pods = rewritten.flat_map(|(key, value)| {
        let (key, canary) = (sanitised(key), LabelRewrite::value(value));
        // Service discovery copies pod labels as they are; kube-state-metrics puts `label_` before them.
        [key.clone(), format!("label_{key}")].map(|label| mark(&label, value, &canary))
    });
    let of_services = services.iter().map(|(stable, canary)| mark("service", stable, canary));
    let of_hashes = hashes.into_iter().flat_map(|(stable, canary)| {
        // Argo's name for the same label; it is read as Kubernetes' own.
        ["pod_template_hash", "rollouts_pod_template_hash"].map(|label| mark(label, stable, canary))
    });
    of_pods.chain(of_services).chain(of_hashes).collect()
}

/// A label name as Prometheus writes it.
fn sanitised(label: &str) -> String {
    label.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

/// What all queries of one metric see together: one that sees the canary is enough.
#[must_use]
pub fn sight(queries: &[Query], marks: &[Mark]) -> Sight {
    let seen: Vec<Sight> =
        queries.iter().flat_map(|query| &query.selectors).map(|selector| sight_of(selector, marks)).collect();
    let first = [Sight::Canary, Sight::Both, Sight::Stable].into_iter().find(|sight| seen.contains(sight));
    first.unwrap_or(Sight::Elsewhere)
}

/// The matchers that keep queries from seeing the canary, each with what it should be.
#[must_use]
pub fn corrections(queries: &[Query], marks: &[Mark]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for selector in queries.iter().flat_map(|query| &query.selectors) {
        if is_nginx(selector) {
            let blind = selector.matchers.iter().filter(|matcher| matcher.name == NGINX_CANARY);
            found.extend(blind.map(|matcher| (matcher.to_string(), "canary!=\"\"".to_owned())));
            continue;
        }
        for matcher in &selector.matchers {
            let hiding = of_label(marks, matcher).find(|mark| hides(matcher, mark));
            found.extend(
                hiding.map(|mark| (matcher.to_string(), format!("{}={:?}", mark.label, mark.canary))),
            );
        }
    }
    found.sort();
    found.dedup();
    found
}

fn is_nginx(selector: &Selector) -> bool {
    selector.metric.starts_with(NGINX_METRICS)
}

fn of_label<'a>(marks: &'a [Mark], matcher: &'a Matcher) -> impl Iterator<Item = &'a Mark> {
    marks.iter().filter(|mark| mark.label == matcher.name)
}

/// A regular expression is taken for the user's own, better knowledge: it never hides the canary.
fn hides(matcher: &Matcher, mark: &Mark) -> bool {
    !matches!(matcher.op, MatchOp::Re(_)) && matcher.is_match(&mark.stable) && !matcher.is_match(&mark.canary)
}

fn sight_of(selector: &Selector, marks: &[Mark]) -> Sight {
    if is_nginx(selector) {
        let canary = selector.matchers.iter().find(|matcher| matcher.name == NGINX_CANARY);
        return match canary.map(|matcher| matcher.is_match("")) {
            Some(true) => Sight::Stable,
            Some(false) => Sight::Canary,
            None => Sight::Both,
        };
    }
    let mut sight = Sight::Both;
    for matcher in &selector.matchers {
        let mut marks = of_label(marks, matcher).peekable();
        if marks.peek().is_none() {
            continue;
        }
        let known: Vec<&Mark> = marks.collect();
        let canary = known.iter().any(|mark| matcher.is_match(&mark.canary));
        let stable = known.iter().any(|mark| matcher.is_match(&mark.stable));
        let hidden = known.iter().any(|mark| hides(matcher, mark)) && !canary;
        sight = match (canary, stable) {
            (false, false) => return Sight::Elsewhere,
            // One matcher that hides the canary is enough, whatever the others say.
            _ if hidden || sight == Sight::Stable => Sight::Stable,
            (true, false) => Sight::Canary,
            _ => sight,
        };
    }
    if sight == Sight::Both && mentions_canary(selector) { Sight::Canary } else { sight }
}

/// Labels that are not known here may tell the sides apart as well, such as `pod=~"web-canary-.*"`.
fn mentions_canary(selector: &Selector) -> bool {
    let positive = |matcher: &&Matcher| matches!(matcher.op, MatchOp::Equal | MatchOp::Re(_));
    selector.matchers.iter().filter(positive).any(|matcher| matcher.value.contains("canary"))
}

#[cfg(test)]
mod tests {
    use super::{super::parse, *};
    use std::collections::BTreeSet;

    fn pair() -> Vec<Mark> {
        let rewrite = LabelRewrite {
            of: "web".into(),
            keys: BTreeSet::from(["app".to_owned(), "app.kubernetes.io/name".to_owned()]),
        };
        let labels = ["app", "app.kubernetes.io/name", "tier"].map(|key| (key.to_owned(), "web".to_owned()));
        let services = BTreeMap::from([("web".to_owned(), "web-canary".to_owned())]);
        marks(&rewrite, &Labels::from(labels), &services, Some(("aaa", "bbb")))
    }

    fn seen(query: &str) -> Sight {
        sight(&[parse(query).unwrap()], &pair())
    }

    #[test]
    fn each_side_is_known_by_its_labels() {
        for (query, sight) in [
            ("a{app=\"web\"}", Sight::Stable),
            (
                "sum(rate(a{app_kubernetes_io_name=\"web\"}[1m])) / sum(rate(b{service=\"web\"}[1m]))",
                Sight::Stable,
            ),
            ("kube_pod_labels{label_app=\"web\"}", Sight::Stable),
            ("a{pod_template_hash=\"aaa\"}", Sight::Stable),
            ("a{service!=\"web-canary\"}", Sight::Stable),
            // The canary's pods never have this label's value.
            ("a{app=\"web\", pod_template_hash=\"bbb\"}", Sight::Stable),
            ("a{app=\"web-canary\"}", Sight::Canary),
            ("a{rollouts_pod_template_hash=\"bbb\"}", Sight::Canary),
            ("a{service=\"web-canary\"} / a{service=\"web\"}", Sight::Canary),
            ("a{pod=~\"web-canary-.*\"}", Sight::Canary),
            ("a{service=~\".*-canary\"}", Sight::Canary),
            ("a", Sight::Both),
            ("a{tier=\"web\"}", Sight::Both),
            ("a{app=~\"web\"}", Sight::Both),
            ("a{app=~\"web.*\"}", Sight::Both),
            ("a{service=\"database\"}", Sight::Elsewhere),
            ("vector(1)", Sight::Elsewhere),
        ] {
            assert_eq!(seen(query), sight, "{query}");
        }
    }

    #[test]
    fn series_of_ingress_nginx_are_told_apart_by_their_own_label() {
        assert_eq!(seen("nginx_ingress_controller_requests{service=\"web\", canary!=\"\"}"), Sight::Canary);
        assert_eq!(seen("nginx_ingress_controller_requests{service=\"web\", canary=\"\"}"), Sight::Stable);
        assert_eq!(seen("nginx_ingress_controller_requests{service=\"web\"}"), Sight::Both);
    }

    #[test]
    fn corrections_are_the_texts_to_write() {
        let query = parse("a{app=\"web\", code=\"500\"} / a{app=\"web\", service=\"web\"}").unwrap();
        let pairs = corrections(&[query], &pair());
        let texts: Vec<_> = pairs.iter().map(|(from, to)| format!("{from} → {to}")).collect();
        assert_eq!(texts, ["app=\"web\" → app=\"web-canary\"", "service=\"web\" → service=\"web-canary\""]);
    }
}
