//! The parts of a query: where the whole answers nothing, one of them may be the reason.

use super::{Selector, alternatives, print, read};
use promql_parser::{
    label::Matcher,
    parser::{
        BinModifier, BinaryExpr, Expr, ParenExpr, VectorMatchCardinality, VectorSelector,
        token::{T_DIV, T_LOR, T_LUNLESS, T_MUL, TokenId, TokenType},
    },
};

/// Most parts that are reported.
const MAX_PARTS: usize = 4;

/// A part of a query that can be asked alone, and without which the whole answers nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The part, a query of its own.
    pub text: String,
    /// What it asks for and the others do not: its matchers, such as `code!~"5.."`, or its whole selectors if its
    /// metric is another; empty if there is nothing.
    pub selector_note: String,
}

/// The operands on which a query rests: numerator and denominator, both sides of a comparison or of `and`, what
/// precedes `unless`. Empty if it is one piece. Constants and repetitions are left out.
#[must_use]
pub fn parts(query: &str) -> Vec<Part> {
    let Ok(tree) = read(query) else { return Vec::new() };
    let mut leaves: Vec<&Expr> = Vec::new();
    for leaf in operands(&tree) {
        if !leaves.contains(&leaf) && !print::selectors(leaf).is_empty() {
            leaves.push(leaf);
        }
    }
    if leaves.iter().any(|leaf| **leaf == tree) {
        return Vec::new();
    }
    leaves.truncate(MAX_PARTS);
    let part = |leaf: &&Expr| {
        let others: Vec<&Expr> = leaves.iter().copied().filter(|other| other != leaf).collect();
        Some(Part { text: print::print(leaf)?, selector_note: note(leaf, &others) })
    };
    leaves.iter().filter_map(part).collect()
}

/// What a tree falls apart into at the operators without whose operands it answers nothing; itself, if it has none.
fn operands(tree: &Expr) -> Vec<&Expr> {
    let within = |inner| {
        let parts: Vec<&Expr> = operands(inner);
        if parts.len() > 1 { parts } else { vec![tree] }
    };
    match tree {
        Expr::Paren(paren) => operands(&paren.expr),
        Expr::Unary(unary) => operands(&unary.expr),
        Expr::Binary(binary) => match binary.op.id() {
            T_LOR => vec![tree],
            T_LUNLESS => operands(&binary.lhs),
            _ => operands(&binary.lhs).into_iter().chain(operands(&binary.rhs)).collect(),
        },
        Expr::Aggregate(aggregate) => within(&aggregate.expr),
        Expr::Call(call) => match call.args.args.as_slice() {
            // Rounding and the like; the other arguments are numbers.
            [first, rest @ ..] if rest.iter().all(|other| matches!(**other, Expr::NumberLiteral(_))) => {
                within(first)
            }
            [first, last] if matches!(**first, Expr::NumberLiteral(_)) => within(last),
            _ => vec![tree],
        },
        _ => vec![tree],
    }
}

fn note(leaf: &Expr, others: &[&Expr]) -> String {
    let selectors_of = |tree: &Expr| print::selectors(tree).iter().flat_map(alternatives).collect::<Vec<_>>();
    let elsewhere: Vec<Selector> = others.iter().flat_map(|other| selectors_of(other)).collect();
    let mut notes: Vec<String> = Vec::new();
    for selector in selectors_of(leaf) {
        let known = elsewhere.iter().filter(|other| other.metric == selector.metric);
        let known: Vec<&Matcher> = known.flat_map(|other| &other.matchers).collect();
        let own = selector.matchers.iter().filter(|matcher| !known.contains(matcher));
        if elsewhere.iter().any(|other| other.metric == selector.metric) {
            notes.extend(own.map(ToString::to_string));
        } else {
            notes.push(selector.to_string());
        }
    }
    notes.dedup();
    notes.join(",")
}

/// The query with every quotient whose numerator has more matchers than its denominator, `good / all`, written so
/// that it has a value even if nothing has those: `(good or 0 * all) / all`. `None` if it has no such quotient, or
/// one of a form for which that would not be the same.
#[must_use]
pub fn or_zero(query: &str) -> Option<String> {
    let mut tree = read(query).ok()?;
    fill(&mut tree).then(|| print::print(&tree)).flatten()
}

/// Whether anything was filled.
fn fill(tree: &mut Expr) -> bool {
    match tree {
        Expr::Paren(paren) => fill(&mut paren.expr),
        Expr::Unary(unary) => fill(&mut unary.expr),
        Expr::Aggregate(aggregate) => fill(&mut aggregate.expr),
        Expr::Subquery(subquery) => fill(&mut subquery.expr),
        Expr::Call(call) => {
            // Each, also after one that was filled.
            let filled: Vec<bool> = call.args.args.iter_mut().map(|argument| fill(argument)).collect();
            filled.contains(&true)
        }
        Expr::Binary(binary) if binary.op.id() == T_LOR => false,
        Expr::Binary(binary) => {
            let is_share =
                binary.op.id() == T_DIV && binary.modifier.is_none() && is_share(&binary.lhs, &binary.rhs);
            if is_share {
                let all = binary.rhs.clone();
                let zero = operation(T_MUL, Expr::from(0.0), *all);
                let good = std::mem::replace(&mut *binary.lhs, Expr::from(0.0));
                let filled = operation(T_LOR, good, zero);
                *binary.lhs = Expr::Paren(ParenExpr { expr: Box::new(filled) });
                return true;
            }
            let left = fill(&mut binary.lhs);
            fill(&mut binary.rhs) || left
        }
        _ => false,
    }
}

fn operation(op: TokenId, lhs: Expr, rhs: Expr) -> Expr {
    let many = BinModifier::default().with_card(VectorMatchCardinality::ManyToMany);
    let modifier = (op == T_LOR).then_some(many);
    Expr::Binary(BinaryExpr { op: TokenType::new(op), lhs: Box::new(lhs), rhs: Box::new(rhs), modifier })
}

/// Two sums over the same labels of one metric, of which the first has all matchers of the second, and more.
fn is_share(part: &Expr, whole: &Expr) -> bool {
    let (Expr::Aggregate(of_part), Expr::Aggregate(of_whole)) = (without_parens(part), without_parens(whole))
    else {
        return false;
    };
    let (selectors, all) = (print::selectors(part), print::selectors(whole));
    let ([selector], [every]) = (selectors.as_slice(), all.as_slice()) else { return false };
    let of = |selector: &VectorSelector| selector.matchers.matchers.clone();
    let plain = [selector, every].iter().all(|selector| selector.matchers.or_matchers.is_empty());
    let (of_selector, of_every) = (of(selector), of(every));
    plain
        && of_part.modifier == of_whole.modifier
        && selector.name == every.name
        && of_selector.len() > of_every.len()
        && of_every.iter().all(|matcher| of_selector.contains(matcher))
}

fn without_parens(tree: &Expr) -> &Expr {
    match tree {
        Expr::Paren(paren) => without_parens(&paren.expr),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(query: &str) -> Vec<String> {
        parts(query).into_iter().map(|part| format!("{} | {}", part.text, part.selector_note)).collect()
    }

    #[test]
    fn a_query_falls_apart_into_what_it_rests_on() {
        for (query, expected) in [
            (
                "sum(rate(a{service=\"w\",code!~\"5..\"}[1m])) / sum(rate(a{service=\"w\"}[1m])) unless sum(rate(a{service=\"w\"}[1m])) == 0",
                &[
                    "sum(rate(a{code!~\"5..\",service=\"w\"}[1m])) | code!~\"5..\"",
                    "sum(rate(a{service=\"w\"}[1m])) | ",
                ][..],
            ),
            ("1 - round(a{x=\"1\"} / (b or c), 0.01)", &["a{x=\"1\"} | a{x=\"1\"}", "b or c | b,c"]),
            ("100 * sum(a{app=\"x\"}) > 5 and on () b > 3", &["sum(a{app=\"x\"}) | a{app=\"x\"}", "b | b"]),
            ("sum(a{v=\"1\"} / a{v=\"2\"}) by (x)", &["a{v=\"1\"} | v=\"1\"", "a{v=\"2\"} | v=\"2\""]),
            ("a > 0.5", &["a | a"]),
            ("a / b / c / d / e", &["a | a", "b | b", "c | c", "d | d"]),
            // One piece.
            ("histogram_quantile(0.99, sum by (le) (rate(a[1m])))", &[]),
            ("sum(rate(a[1m])) or vector(0)", &[]),
            ("a", &[]),
            ("vector(1) / 2", &[]),
            ("sum(", &[]),
        ] {
            assert_eq!(described(query), expected, "{query}");
        }
    }

    #[test]
    fn a_share_of_nothing_is_zero() {
        for (query, filled) in [
            (
                "sum(rate(a{s=\"w\",code!~\"5..\"}[30s])) / sum(rate(a{s=\"w\"}[30s]))",
                Some(
                    "(sum(rate(a{code!~\"5..\",s=\"w\"}[30s])) or 0 * sum(rate(a{s=\"w\"}[30s]))) / sum(rate(a{s=\"w\"}[30s]))",
                ),
            ),
            (
                "100 * (1 - sum(a{c=\"1\"}) by (x) / sum(a) by (x)) unless sum(a) by (x) == 0",
                Some(
                    "100 * (1 - (sum by (x) (a{c=\"1\"}) or 0 * sum by (x) (a)) / sum by (x) (a)) unless sum by (x) (a) == 0",
                ),
            ),
            ("(sum(a{c=\"1\"}) or 0 * sum(a)) / sum(a)", None),
            ("sum(a{c=\"1\"}) / sum(a) or vector(0)", None),
            ("sum(a{c=\"1\"}) by (x) / sum(a)", None),
            ("sum(a{c=\"1\"}) / sum(b)", None),
            ("sum(a) / sum(a{c=\"1\"})", None),
            ("sum(a{v=\"1\"}) / sum(a{v=\"2\"})", None),
            ("a{c=\"1\"} / a", None),
            ("sum(rate(a{c=\"1\"}[1m]))", None),
        ] {
            assert_eq!(or_zero(query).as_deref(), filled, "{query}");
        }
    }
}
