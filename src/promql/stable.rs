//! The same question about stable: a query whose canary's marks are replaced by stable's, to try before a canary
//! has traffic whether it can see anybody at all.

use super::{
    alternatives, print, read,
    series::{Exporter, is_positive},
    sight::{Admits, Mark, Value, admitted, canary_names, names_canary, of_label, on_label},
};
use promql_parser::{
    label::{MatchOp, Matcher},
    parser::{
        Expr, VectorSelector,
        token::{T_EQL, T_EQL_REGEX, T_NEQ, T_NEQ_REGEX, TokenId},
    },
};

/// A query about stable instead of the canary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnStable {
    /// The query.
    pub query: String,
    /// Its distinct selectors without ranges and times, each for a `count(…)`.
    pub selectors: Vec<String>,
}

/// `query`, asked about stable; `None` if it cannot be read, or not be written again.
#[must_use]
pub fn on_stable(query: &str, marks: &[Mark]) -> Option<OnStable> {
    let mut tree = read(query).ok()?;
    let mut failed = false;
    print::each_selector(&mut tree, &mut |selector| failed |= swap(selector, marks).is_none());
    if failed {
        return None;
    }
    let texts = print::selectors(&tree).into_iter().map(|selector| print::print(&Expr::from(selector)));
    Some(OnStable { query: print::print(&tree)?, selectors: texts.collect::<Option<_>>()? })
}

/// Replaces the canary's marks in a selector.
fn swap(selector: &mut VectorSelector, marks: &[Mark]) -> Option<()> {
    // Which series these are is the same for all matchers of an alternative.
    let exporters: Vec<Exporter> = alternatives(selector).iter().map(Exporter::of).collect();
    let groups = std::iter::once(&mut selector.matchers.matchers).filter(|group| !group.is_empty());
    let groups = groups.chain(&mut selector.matchers.or_matchers);
    for (group, exporter) in groups.zip(exporters) {
        let whole = group.clone();
        for matcher in group {
            *matcher = swapped(matcher, &on_label(&whole, &matcher.name), exporter, marks)?;
        }
    }
    Some(())
}

/// What a matcher on the canary is on stable. `all` are the matchers on its label.
fn swapped(matcher: &Matcher, all: &[&Matcher], exporter: Exporter, marks: &[Mark]) -> Option<Matcher> {
    if names_canary(matcher, exporter, marks) {
        return rewritten(matcher, &canary_names(marks).collect::<Vec<_>>());
    }
    let hit: Vec<&Mark> = of_label(&matcher.name, exporter, marks)
        .filter(|mark| mark.admitted_by(&[matcher]) == Admits::CANARY)
        .collect();
    if admitted(all, exporter, marks) != Admits::CANARY || hit.is_empty() {
        return Some(matcher.clone());
    }
    let is_positive = is_positive(matcher);
    let names: Vec<(String, String)> = hit.iter().flat_map(|mark| names(mark, is_positive)).collect();
    let names: Vec<(&str, &str)> = names.iter().map(|(from, to)| (&**from, &**to)).collect();
    let swaps_sides = |candidate: &Matcher| {
        hit.iter().all(|mark| mark.admitted_by(&[candidate]) == Admits { stable: true, canary: false })
    };
    let is_expression = matches!(matcher.op, MatchOp::Re(_) | MatchOp::NotRe(_));
    match rewritten(matcher, &names).filter(|candidate| is_expression && swaps_sides(candidate)) {
        Some(swapped) => Some(swapped),
        None => of_values(&matcher.name, &hit, is_positive),
    }
}

/// A matcher with names in its value replaced.
fn rewritten(matcher: &Matcher, names: &[(&str, &str)]) -> Option<Matcher> {
    let value = names.iter().fold(matcher.value.clone(), |value, (from, to)| value.replace(from, to));
    new_matcher(token(&matcher.op), &matcher.name, value)
}

/// Texts that stand for the one side in an expression, each with the other side's. What admits the canary's names
/// admits stable's afterwards; what shuts stable's out shuts the canary's out.
fn names(mark: &Mark, is_positive: bool) -> Vec<(String, String)> {
    let pairs = match (&mark.canary, &mark.stable) {
        (Value::Word(canary), Value::Word(stable)) => vec![(canary.clone(), stable.clone())],
        (Value::Host { service: canary, .. }, Value::Host { service: stable, .. }) => {
            vec![(canary.clone(), stable.clone())]
        }
        (Value::Pods { deployment: canary, .. }, stable @ Value::Pods { deployment, .. }) => {
            let own = stable.pod_prefix().unwrap_or_else(|| deployment.clone());
            let own = own.trim_end_matches('-').to_owned();
            let whole = mark.canary.pod_prefix().map(|prefix| prefix.trim_end_matches('-').to_owned());
            whole.into_iter().chain([canary.clone()]).map(|from| (from, own.clone())).collect()
        }
        _ => Vec::new(),
    };
    let usable = pairs.into_iter().filter(|(canary, stable)| !canary.is_empty() && !stable.is_empty());
    if is_positive { usable.collect() } else { usable.map(|(canary, stable)| (stable, canary)).collect() }
}

/// A matcher that admits stable's values, or shuts out the canary's.
fn of_values(label: &str, marks: &[&Mark], is_positive: bool) -> Option<Matcher> {
    if marks.iter().any(|mark| mark.stable == Value::Word(String::new())) {
        return new_matcher(T_EQL, label, String::new());
    }
    let values = marks.iter().map(|mark| if is_positive { &mark.stable } else { &mark.canary });
    let mut patterns: Vec<String> = values.map(pattern).collect();
    patterns.sort();
    patterns.dedup();
    match (marks, is_positive) {
        ([Mark { stable: Value::Word(word), .. }], true) => new_matcher(T_EQL, label, word.clone()),
        ([Mark { canary: Value::Word(word), .. }], false) => new_matcher(T_NEQ, label, word.clone()),
        (_, true) => new_matcher(T_EQL_REGEX, label, patterns.join("|")),
        (_, false) => new_matcher(T_NEQ_REGEX, label, patterns.join("|")),
    }
}

/// A regular expression for all values of a side.
fn pattern(value: &Value) -> String {
    match value {
        Value::Word(word) => escaped(word),
        Value::Pods { deployment, .. } => match value.pod_prefix() {
            Some(prefix) => format!("{}[^-]+", escaped(&prefix)),
            None => format!("{}-[^-]+-[^-]+", escaped(deployment)),
        },
        Value::Host { service, namespace } => {
            let namespace = namespace.as_deref().map_or_else(|| "[^.:]+".to_owned(), escaped);
            format!("{}([.]{namespace}([.]svc([.].+)?)?)?(:.+)?", escaped(service))
        }
        Value::Upstream { service, .. } => format!(".+-{}-[^-]+", escaped(service)),
    }
}

/// A name in a regular expression: of its characters only the dot means something there.
fn escaped(name: &str) -> String {
    name.replace('.', "[.]")
}

fn token(op: &MatchOp) -> TokenId {
    match op {
        MatchOp::Equal => T_EQL,
        MatchOp::NotEqual => T_NEQ,
        MatchOp::Re(_) => T_EQL_REGEX,
        MatchOp::NotRe(_) => T_NEQ_REGEX,
    }
}

fn new_matcher(token: TokenId, label: &str, value: String) -> Option<Matcher> {
    Matcher::new_matcher(token, label.to_owned(), value).ok()
}

#[cfg(test)]
mod tests {
    use crate::promql::{on_stable, parse, sight, sight::tests::pair};
    use proptest::prelude::*;

    #[test]
    fn the_canarys_marks_become_stables() {
        for (query, expected) in [
            ("a{service=\"web-canary\",code!~\"5..\"}", "a{code!~\"5..\",service=\"web\"}"),
            (
                "a{service!=\"web\",service!=\"web-admin\"}",
                "a{service!=\"web-admin-canary\",service!=\"web-canary\"}",
            ),
            ("a{app!=\"web\"}", "a{app!=\"web-canary\"}"),
            ("a{service=~\"web-canary|checkout\"}", "a{service=~\"web|checkout\"}"),
            ("a{service=~\".*-canary\"}", "a{service=~\"web|web-admin\"}"),
            ("a{app!~\"web\"}", "a{app!~\"web-canary\"}"),
            ("a{app!~\"w.b\"}", "a{app!=\"web-canary\"}"),
            ("a{pod=~\"web-canary-.*\"}", "a{pod=~\"web-6b9f7d5c8-.*\"}"),
            ("a{pod=\"web-canary-7c4d8b6f9z-abc12\"}", "a{pod=~\"web-6b9f7d5c8-[^-]+\"}"),
            ("a{pod=~\"web-.*-7c4d8b6f9z-.*\"}", "a{pod=~\"web-6b9f7d5c8-[^-]+\"}"),
            ("a{pod!~\"web-[a-z0-9]+-[a-z0-9]+\"}", "a{pod!~\"web-canary-7c4d8b6f9z-[^-]+\"}"),
            ("a{pod_template_hash=\"7c4d8b6f9z\"}", "a{pod_template_hash=\"6b9f7d5c8\"}"),
            ("a{track=\"new\"}", "a{track=\"\"}"),
            ("a{envoy_cluster_name=\"shop/web-canary/80\"}", "a{envoy_cluster_name=\"shop/web/80\"}"),
            (
                "istio_requests_total{destination_service=~\"web-canary[.]shop[.]svc.*\"}",
                "istio_requests_total{destination_service=~\"web[.]shop[.]svc.*\"}",
            ),
            (
                "istio_requests_total{destination_service=\"web-canary.shop.svc.cluster.local\"}",
                "istio_requests_total{destination_service=~\"web([.]shop([.]svc([.].+)?)?)?(:.+)?\"}",
            ),
            (
                "response_total{deployment=\"client\",direction=\"outbound\",dst_service=\"web-canary\"}",
                "response_total{deployment=\"client\",direction=\"outbound\",dst_service=\"web\"}",
            ),
            (
                "nginx_ingress_controller_requests{canary!=\"\",service=\"web\"}",
                "nginx_ingress_controller_requests{canary=\"\",service=\"web\"}",
            ),
            (
                "nginx_ingress_controller_requests{canary=~\"shop-web-canary-.*\"}",
                "nginx_ingress_controller_requests{canary=\"\"}",
            ),
            // What sees stable already, or anybody, stays.
            ("a{service=\"web\"}", "a{service=\"web\"}"),
            ("a{service=~\"web.*\",code=\"500\"}", "a{code=\"500\",service=~\"web.*\"}"),
            ("a{app=\"web-canary\" or tier=\"x\"}", "a{app=\"web\" or tier=\"x\"}"),
            ("vector(1)", "vector(1)"),
        ] {
            let asked = on_stable(query, &pair()).unwrap_or_else(|| panic!("{query}"));
            assert_eq!(asked.query, expected, "{query}");
            let parsed = [parse(query).unwrap()];
            if sight::sight(&parsed, &pair()) == sight::Sight::Canary && !query.contains("envoy") {
                let seen = sight::sight(&[parse(&asked.query).unwrap()], &pair());
                assert_ne!(seen, sight::Sight::Canary, "{query} → {}", asked.query);
            }
        }
    }

    proptest! {
        /// Whatever sees the canary only sees stable only afterwards.
        #[test]
        fn who_saw_the_canary_sees_stable(
            label in prop_oneof!["app", "service", "deployment", "pod", "replicaset", "pod_template_hash", "destination_service"],
            op in prop_oneof!["=", "!=", "=~", "!~"],
            value in "(web|canary|-|7c4d8b6f9z|6b9f7d5c8|\\.\\*|\\[a-z0-9-\\]\\+|\\||[.]shop|x7k2p){1,6}",
        ) {
            let query = format!("a{{{label}{op}\"{value}\"}}");
            let Ok(parsed) = parse(&query) else { return Ok(()) };
            if sight::sight(&[parsed], &pair()) == sight::Sight::Canary {
                let asked = on_stable(&query, &pair()).unwrap().query;
                let seen = sight::sight(&[parse(&asked).unwrap()], &pair());
                prop_assert_eq!(seen, sight::Sight::Stable, "{} → {}", query, asked);
            }
        }
    }

    #[test]
    fn selectors_are_reported_once_without_ranges_and_times() {
        let query = "sum(rate(a{service=\"web-canary\",code!~\"5..\"}[1m] offset 5m)) by (x) / sum(rate(a{service=\"web-canary\"}[1m])) by (x) \
                     unless max_over_time(a{service=\"web-canary\"}[10m:1m]) == 0";
        let asked = on_stable(query, &pair()).unwrap();
        assert_eq!(asked.selectors, ["a{code!~\"5..\",service=\"web\"}", "a{service=\"web\"}"]);
        assert!(
            asked.query.starts_with("sum by (x) (rate(a{code!~\"5..\",service=\"web\"}[1m] offset 5m)) / ")
        );
        assert_eq!(on_stable("sum(", &pair()), None);
    }
}
