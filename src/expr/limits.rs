//! The limits in a condition: the numbers that `result` itself is compared with.

use super::{
    operators::{Binary, Unary},
    parser,
    syntax::Node,
    token,
};

/// The limits in the order of the text; none if it is not a condition.
#[must_use]
pub fn limits(text: &str) -> Vec<f64> {
    let mut found = Vec::new();
    if let Ok(node) = token::tokens(text).and_then(parser::parse) {
        collect(&node, &mut found);
    }
    found
}

fn collect(node: &Node, found: &mut Vec<f64>) {
    match node {
        Node::Unary { operand, .. } => collect(operand, found),
        Node::Loop { body, .. } | Node::Let { body, .. } => collect(body, found),
        Node::Conditional { then, otherwise, .. } => {
            if let Some(then) = then {
                collect(then, found);
            }
            collect(otherwise, found);
        }
        Node::Binary { operator, left, right } => match operator.kind {
            Binary::Or | Binary::And => {
                collect(left, found);
                collect(right, found);
            }
            Binary::Equal | Binary::Less | Binary::More | Binary::LessOrEqual | Binary::MoreOrEqual => {
                let other = if is_result(left) { right } else { left };
                found.extend(number(other).filter(|_| is_result(left) || is_result(right)));
            }
            _ => {}
        },
        _ => {}
    }
}

/// `result`, a member or an item of it, or one of these as a number.
fn is_result(node: &Node) -> bool {
    match node {
        Node::Name(name) => name == "result",
        Node::Pointer(_) => true,
        Node::Member { of, .. } => is_result(of),
        Node::Chain(inner) => is_result(inner),
        Node::Function { function, args } => {
            matches!(function.name, "asFloat" | "asInt" | "float" | "int") && args.iter().all(is_result)
        }
        _ => false,
    }
}

#[expect(clippy::cast_precision_loss, reason = "a line in a chart")]
fn number(node: &Node) -> Option<f64> {
    match node {
        Node::Int(value) => Some(*value as f64),
        Node::Float(value) => Some(*value),
        Node::Unary { operator: Unary::Minus, operand, .. } => number(operand).map(|value| -value),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_result_itself_is_compared_with_is_a_limit() {
        for (text, expected) in [
            ("result[0] < 0.05", vec![0.05]),
            ("len(result) == 0 || result[0] >= 0.95", vec![0.95]),
            ("0.1 >= asFloat(result.errors) and result.errors > -1", vec![0.1, -1.0]),
            ("all(result, # < 2)", vec![2.0]),
            ("let n = sum(result) in n * 60 > 10", vec![]),
            ("result.canary <= result.stable * 1.2", vec![]),
            ("result[0] <", vec![]),
        ] {
            assert_eq!(limits(text), expected, "{text}");
        }
    }
}
