//! The syntax tree.

use super::{
    functions::Function,
    operators::{BinaryOperator, Unary},
};

/// An expression.
#[derive(Debug, Clone)]
pub(super) enum Node {
    Nil,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
    /// `result`, a variable, a function, or `$env` for all of them.
    Name(String),
    /// `#`, `#index` or `#acc` within a closure.
    Pointer(Pointer),
    Unary {
        operator: Unary,
        text: &'static str,
        operand: Box<Node>,
    },
    Binary {
        operator: &'static BinaryOperator,
        left: Box<Node>,
        right: Box<Node>,
    },
    /// Without `then`, the value of the condition itself, as in `a ?: b`.
    Conditional {
        condition: Box<Node>,
        then: Option<Box<Node>>,
        otherwise: Box<Node>,
    },
    Member {
        of: Box<Node>,
        property: Box<Node>,
        optional: bool,
    },
    /// The extent to which an absent optional member makes the value nil.
    Chain(Box<Node>),
    Slice {
        of: Box<Node>,
        from: Option<Box<Node>>,
        to: Option<Box<Node>>,
    },
    /// A call of something that is not a known function.
    Call {
        callee: Box<Node>,
        args: Vec<Node>,
    },
    Function {
        function: &'static Function,
        args: Vec<Node>,
    },
    /// A function that evaluates its second argument for every item of its first.
    Loop {
        kind: Loop,
        name: String,
        list: Box<Node>,
        body: Box<Node>,
        initial: Option<Box<Node>>,
    },
    Let {
        name: String,
        value: Box<Node>,
        body: Box<Node>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pointer {
    Item,
    Index,
    Accumulator,
}

/// A function with a closure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::EnumString)]
#[strum(serialize_all = "camelCase")]
pub(super) enum Loop {
    All,
    None,
    Any,
    One,
    Filter,
    Map,
    Count,
    Find,
    FindIndex,
    FindLast,
    FindLastIndex,
    GroupBy,
    Reduce,
}
