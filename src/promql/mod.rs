//! L1: what a PromQL query asks for: whether it is one, over which time, and which side of the pair it sees.

mod parts;
mod print;
mod series;
pub mod sight;
mod stable;
mod targets;

pub use parts::{Part, or_zero, parts};
pub use promql_parser::parser::value::ValueType;
pub use stable::{OnStable, on_stable};
pub use targets::{names_namespace, on_up, relaxed, targets, with_namespace};

use promql_parser::{
    label::Matcher,
    parser::{self, Expr, VectorSelector},
};
use std::{fmt, time::Duration};

/// Longest query that is looked at, in bytes.
const MAX_LENGTH: usize = 16 * 1024;

/// Most places in which a query may nest. Every node of its tree is on the stack once, and a stack that
/// overflows ends the process.
const MAX_NESTING: usize = 600;

/// Metric that stands for an instant vector without a name.
const NAME_LABEL: &str = "__name__";

/// What matters of a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// Every series selector, in reading order.
    pub selectors: Vec<Selector>,
    /// The longest range that it looks back over; zero for an instant query.
    pub window: Duration,
    /// It answers something even where no series exists: `… or vector(0)`, `absent(…)`.
    pub is_total: bool,
    /// The type of what it answers.
    pub returns: ValueType,
}

/// A series selector: `http_requests_total{app="web"}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selector {
    /// Name of the metric, empty when it is not given.
    pub metric: String,
    /// Its matchers. Each of several alternatives, `{a="1" or b="2"}`, is a selector of its own.
    pub matchers: Vec<Matcher>,
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let own = self.matchers.iter().filter(|matcher| matcher.name != NAME_LABEL);
        let matchers: Vec<String> = own.map(ToString::to_string).collect();
        f.write_str(&self.metric)?;
        if matchers.is_empty() { Ok(()) } else { write!(f, "{{{}}}", matchers.join(",")) }
    }
}

/// What is wrong with a query.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// No PromQL at all: whatever is asked will answer with an error.
    #[error("is not PromQL: {0}")]
    Syntax(String),
    /// Well-formed, but not what Prometheus is known to have: newer or other programs may have it.
    #[error("is an error to Prometheus: {0}; if the server reads more than PromQL, say dialect: MetricsQL")]
    Unknown(String),
    /// Too large to be looked at.
    #[error("is too long or too deeply nested to be checked")]
    Size,
}

/// Reads a query whose arguments are filled in.
///
/// # Errors
/// See [`Problem`].
pub fn parse(text: &str) -> Result<Query, Problem> {
    let expression = read(text)?;
    let returns = expression.value_type();
    let mut query = Query { selectors: Vec::new(), window: Duration::ZERO, is_total: false, returns };
    collect(&expression, Duration::ZERO, &mut query);
    Ok(query)
}

/// The distinct selectors of a query, without ranges and times, as text; none if it cannot be read.
#[must_use]
pub fn selectors(query: &str) -> Vec<String> {
    let Ok(tree) = read(query) else { return Vec::new() };
    print::selectors(&tree).into_iter().filter_map(|selector| print::print(&Expr::from(selector))).collect()
}

/// The tree of a query.
fn read(text: &str) -> Result<Expr, Problem> {
    if text.len() > MAX_LENGTH || nesting(text) > MAX_NESTING {
        return Err(Problem::Size);
    }
    parser::parse(text).map_err(|why| classify(text, why))
}

/// The parser knows the functions and types of one version of Prometheus; others have more.
fn classify(text: &str, why: String) -> Problem {
    if why.contains("unknown function")
        || why.contains("expected type")
        || why.contains("in call to function")
    {
        let is_bare = why.contains("expected type matrix in call to function");
        return Problem::Unknown(if is_bare {
            why + ", write a range, such as [1m], after the selector"
        } else {
            why
        });
    }
    Problem::Syntax(unbalanced(text).unwrap_or(why))
}

/// The bracket that has no partner: the parser itself says only that there is something wrong.
fn unbalanced(text: &str) -> Option<String> {
    let mut open = Vec::new();
    for (position, c) in code(text) {
        match c {
            '(' | '[' | '{' => open.push((position, c)),
            ')' | ']' | '}' => {
                let partner = open.pop().map(|(_, c)| c);
                if !matches!((partner, c), (Some('('), ')') | (Some('['), ']') | (Some('{'), '}')) {
                    return Some(format!("{c:?} at position {} closes nothing", position + 1));
                }
            }
            _ => {}
        }
    }
    open.pop().map(|(position, c)| format!("{c:?} at position {} is never closed", position + 1))
}

/// Characters outside of string literals, with their positions.
fn code(text: &str) -> impl Iterator<Item = (usize, char)> {
    let (mut quote, mut escaped) = (None, false);
    text.chars().enumerate().filter(move |(_, c)| match quote {
        Some(_) if escaped => {
            escaped = false;
            false
        }
        Some(open) => {
            escaped = *c == '\\' && open != '`';
            if *c == open {
                quote = None;
            }
            false
        }
        None => {
            if matches!(c, '"' | '\'' | '`') {
                quote = Some(*c);
            }
            quote.is_none()
        }
    })
}

/// An upper bound of the depth of the query's tree.
fn nesting(text: &str) -> usize {
    let symbols = code(text).filter(|(_, c)| "+-*/%^=<>!([@".contains(*c)).count();
    let words = text.split_whitespace().filter(|word| {
        ["and", "or", "unless", "atan2"].iter().any(|operator| word.eq_ignore_ascii_case(operator))
    });
    symbols + words.count()
}

/// `outer` is the range of the subqueries around an expression.
fn collect(expression: &Expr, outer: Duration, query: &mut Query) {
    match expression {
        Expr::Aggregate(aggregate) => {
            collect(&aggregate.expr, outer, query);
            aggregate.param.iter().for_each(|param| collect(param, outer, query));
        }
        Expr::Unary(unary) => collect(&unary.expr, outer, query),
        Expr::Binary(binary) => {
            collect(&binary.lhs, outer, query);
            collect(&binary.rhs, outer, query);
        }
        Expr::Paren(paren) => collect(&paren.expr, outer, query),
        Expr::Subquery(subquery) => collect(&subquery.expr, outer.saturating_add(subquery.range), query),
        Expr::Call(call) => {
            query.is_total |= matches!(call.func.name, "vector" | "absent" | "absent_over_time");
            call.args.args.iter().for_each(|argument| collect(argument, outer, query));
        }
        Expr::VectorSelector(selector) => select(selector, outer, query),
        Expr::MatrixSelector(matrix) => select(&matrix.vs, outer.saturating_add(matrix.range), query),
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) | Expr::Extension(_) => {}
    }
}

fn select(selector: &VectorSelector, window: Duration, query: &mut Query) {
    query.window = query.window.max(window);
    // Not a series, but a number that is filled in later.
    if selector.name.as_deref() != Some(sight::UNKNOWN) {
        query.selectors.extend(alternatives(selector));
    }
}

/// A selector for each alternative of `{a="1" or b="2"}`; mostly there is one.
fn alternatives(selector: &VectorSelector) -> Vec<Selector> {
    let of = |matchers: Vec<Matcher>| {
        let by_label = matchers.iter().find(|matcher| matcher.name == NAME_LABEL);
        let metric = selector.name.clone().or_else(|| by_label.map(|matcher| matcher.value.clone()));
        Selector { metric: metric.unwrap_or_default(), matchers }
    };
    let common = &selector.matchers.matchers;
    match selector.matchers.or_matchers.as_slice() {
        [] => vec![of(common.clone())],
        groups => groups.iter().map(|group| of(common.iter().chain(group).cloned().collect())).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn selectors_windows_and_fallbacks_are_found() {
        let text = "sum(rate(a{app=\"web\"}[5m])) / sum(max_over_time(rate(b[1m])[10m:1m])) unless c == 0 or vector(0)";
        let query = parse(text).unwrap();
        let metrics: Vec<_> = query.selectors.iter().map(|selector| selector.metric.as_str()).collect();
        assert_eq!(metrics, ["a", "b", "c"]);
        assert_eq!(query.window, Duration::from_mins(11));
        assert!(query.is_total && !parse("up").unwrap().is_total);
        assert_eq!(parse("{__name__=\"up\"}").unwrap().selectors[0].metric, "up");
        assert_eq!(parse(&format!("a > {}", sight::UNKNOWN)).unwrap().selectors.len(), 1);
    }

    #[test]
    fn what_no_prometheus_reads_is_distinguished_from_what_this_parser_does_not_know() {
        let problem = |text: &str| parse(text).unwrap_err();
        for (text, expected) in [
            ("sum(rate(a[5m])", "is not PromQL: '(' at position 4 is never closed"),
            ("sum(a))", "is not PromQL: ')' at position 7 closes nothing"),
            ("a ++ ) \"(\"", "is not PromQL: ')' at position 6 closes nothing"),
            ("SELECT 1", "is not PromQL: invalid promql query"),
        ] {
            assert_eq!(problem(text).to_string(), expected);
        }
        for text in ["histogram_share(1, a)", "rate(a)"] {
            assert!(matches!(problem(text), Problem::Unknown(_)), "{text}: {}", problem(text));
        }
    }

    #[test]
    fn deep_queries_are_not_followed() {
        let deep = |open: &str, close: &str, depth| format!("{}a{}", open.repeat(depth), close.repeat(depth));
        for (open, close) in
            [("(", ")"), ("-", ""), ("1 + ", ""), ("a unless ", ""), ("", " or a"), ("sum(", ")")]
        {
            assert!(parse(&deep(open, close, 290)).is_ok(), "{open}");
            assert_eq!(parse(&deep(open, close, 3_000)), Err(Problem::Size), "{open}");
        }
    }

    proptest! {
        #[test]
        fn no_text_does_harm(text in "[a-c0-9(){}\\[\\]\"'=~!+*/,. :@\\\\-]{0,60}|.{0,40}") {
            let _ = (parse(&text), parts(&text), or_zero(&text), targets(&text));
            let _ = on_stable(&text, &sight::tests::pair());
        }
    }
}
