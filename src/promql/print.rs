//! Trees as text again.

use promql_parser::parser::{self, Expr, VectorSelector};

/// The text of a tree; `None` if it would not be read as the same tree, as the printing of times before 1970 and of
/// a few labels is not.
pub(super) fn print(expression: &Expr) -> Option<String> {
    let text = expression.to_string();
    let read = parser::parse(&text).ok()?;
    (sorted(read) == sorted(expression.clone())).then_some(text)
}

/// A tree whose matchers are in the order in which they are printed.
fn sorted(mut expression: Expr) -> Expr {
    each_selector(&mut expression, &mut |selector| {
        selector.matchers.matchers.sort_by_cached_key(ToString::to_string);
    });
    expression
}

/// Calls `then` with every selector of a tree, in reading order.
pub(super) fn each_selector(expression: &mut Expr, then: &mut dyn FnMut(&mut VectorSelector)) {
    match expression {
        Expr::Aggregate(aggregate) => {
            if let Some(param) = &mut aggregate.param {
                each_selector(param, then);
            }
            each_selector(&mut aggregate.expr, then);
        }
        Expr::Unary(unary) => each_selector(&mut unary.expr, then),
        Expr::Binary(binary) => {
            each_selector(&mut binary.lhs, then);
            each_selector(&mut binary.rhs, then);
        }
        Expr::Paren(paren) => each_selector(&mut paren.expr, then),
        Expr::Subquery(subquery) => each_selector(&mut subquery.expr, then),
        Expr::Call(call) => call.args.args.iter_mut().for_each(|argument| each_selector(argument, then)),
        Expr::VectorSelector(selector) => then(selector),
        Expr::MatrixSelector(matrix) => then(&mut matrix.vs),
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) | Expr::Extension(_) => {}
    }
}

/// The distinct selectors of a tree without their ranges and times, in reading order.
pub(super) fn selectors(expression: &Expr) -> Vec<VectorSelector> {
    let mut found: Vec<VectorSelector> = Vec::new();
    each_selector(&mut expression.clone(), &mut |selector| {
        let bare = VectorSelector { offset: None, at: None, ..selector.clone() };
        if !found.contains(&bare) {
            found.push(bare);
        }
    });
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Queries of every kind of node.
    fn query() -> impl Strategy<Value = String> {
        let value = prop_oneof!["[a-z0-9-]{0,6}", "[a-z]{1,3}\\.\\*", Just("a\\\\.b\\\"c\\nd".to_owned())];
        let matcher = ("[a-d]{1,4}", prop_oneof!["=", "!=", "=~", "!~"], value)
            .prop_map(|(label, op, value)| format!("{label}{op}\"{value}\""));
        let alternatives = prop::collection::vec(matcher, 1..3);
        let selector = ("[a-z]{2}_x", alternatives, prop_oneof![",", " or "], prop::bool::ANY).prop_map(
            |(name, matchers, separator, bare)| {
                if bare { name } else { format!("{name}{{{}}}", matchers.join(&separator)) }
            },
        );
        let time = prop_oneof!["", " offset 5m", " offset -1h30m", " @ 1700000000.5", " @ end\\(\\)"];
        let instant = (selector.clone(), time).prop_map(|(selector, time)| selector + &time);
        let ranged = ("rate|increase|max_over_time", selector, "[1-9]m|90s|1h30m|1500ms")
            .prop_map(|(function, selector, range)| format!("{function}({selector}[{range}])"));
        prop_oneof![instant, ranged].prop_recursive(4, 24, 3, |inner| {
            let operator = "\\+|-|/|\\*|%|\\^|== bool|>|and|or|unless|/ on \\(a\\)|\\* ignoring \\(b\\)|/ on \\(a\\) group_left \\(c\\)";
            prop_oneof![
                (inner.clone(), operator, inner.clone()).prop_map(|(a, op, b)| format!("{a} {op} {b}")),
                inner.clone().prop_map(|a| format!("({a})")),
                inner.clone().prop_map(|a| format!("-{a}")),
                inner.clone().prop_map(|a| format!("sum by (le, app) ({a})")),
                inner.clone().prop_map(|a| format!("sum({a}) without (pod)")),
                inner.clone().prop_map(|a| format!("topk(3, {a})")),
                inner.clone().prop_map(|a| format!("histogram_quantile(0.99, {a})")),
                inner.clone().prop_map(|a| format!("max_over_time(({a})[10m:1m] offset 1m)")),
                inner.clone().prop_map(|a| format!("label_replace({a}, \"x\", \"$1\", \"y\", \"(.*)\")")),
                inner.clone().prop_map(|a| format!("{a} > 0.5 or vector(1e-3)")),
                inner.prop_map(|a| format!("clamp_max({a}, scalar(up))")),
            ]
        })
    }

    proptest! {
        /// What is printed reads back as the same tree, but for the order of matchers.
        #[test]
        fn what_is_printed_is_what_was_read(text in query()) {
            let Ok(tree) = parser::parse(&text) else { return Ok(()) };
            prop_assert!(print(&tree).is_some(), "{text}\n{tree}");
        }
    }

    #[test]
    fn what_would_be_read_otherwise_is_not_printed() {
        for text in ["up @ -5", "up{or=\"a\" or b=\"c\"}"] {
            assert_eq!(print(&parser::parse(text).unwrap()), None, "{text}");
        }
    }
}
