//! The syntax tree.

use super::functions::Function;

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
    /// Without `then` the condition's own value, as in `a ?: b`.
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
    /// How far an optional member, when absent, makes everything nil.
    Chain(Box<Node>),
    Slice {
        of: Box<Node>,
        from: Option<Box<Node>>,
        to: Option<Box<Node>>,
    },
    /// A call of something that is no known function.
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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unary {
    Not,
    Plus,
    Minus,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Binary {
    Or,
    And,
    Equal,
    NotEqual,
    Less,
    More,
    LessOrEqual,
    MoreOrEqual,
    In,
    Matches,
    Contains,
    StartsWith,
    EndsWith,
    Range,
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
    Power,
    Coalesce,
}

/// One spelling of a binary operator.
#[derive(Debug)]
pub(super) struct BinaryOperator {
    pub text: &'static str,
    pub kind: Binary,
    pub precedence: u16,
}

/// One spelling of a unary operator.
#[derive(Debug)]
pub(super) struct UnaryOperator {
    pub text: &'static str,
    pub kind: Unary,
    pub precedence: u16,
}

const fn binary(text: &'static str, kind: Binary, precedence: u16) -> BinaryOperator {
    BinaryOperator { text, kind, precedence }
}

/// A pipe binds least of all.
pub(super) const PIPE_PRECEDENCE: u16 = 0;

static BINARY: &[BinaryOperator] = &[
    binary("or", Binary::Or, 10),
    binary("||", Binary::Or, 10),
    binary("and", Binary::And, 15),
    binary("&&", Binary::And, 15),
    binary("==", Binary::Equal, 20),
    binary("!=", Binary::NotEqual, 20),
    binary("<", Binary::Less, 20),
    binary(">", Binary::More, 20),
    binary("<=", Binary::LessOrEqual, 20),
    binary(">=", Binary::MoreOrEqual, 20),
    binary("in", Binary::In, 20),
    binary("matches", Binary::Matches, 20),
    binary("contains", Binary::Contains, 20),
    binary("startsWith", Binary::StartsWith, 20),
    binary("endsWith", Binary::EndsWith, 20),
    binary("..", Binary::Range, 25),
    binary("+", Binary::Add, 30),
    binary("-", Binary::Subtract, 30),
    binary("*", Binary::Multiply, 60),
    binary("/", Binary::Divide, 60),
    binary("%", Binary::Modulo, 60),
    binary("**", Binary::Power, 100),
    binary("^", Binary::Power, 100),
    binary("??", Binary::Coalesce, 500),
];

static UNARY: &[UnaryOperator] = &[
    UnaryOperator { text: "not", kind: Unary::Not, precedence: 50 },
    UnaryOperator { text: "!", kind: Unary::Not, precedence: 50 },
    UnaryOperator { text: "-", kind: Unary::Minus, precedence: 90 },
    UnaryOperator { text: "+", kind: Unary::Plus, precedence: 90 },
];

impl BinaryOperator {
    pub fn find(text: &str) -> Option<&'static Self> {
        BINARY.iter().find(|operator| operator.text == text)
    }

    /// The least precedence of an operator within its right operand.
    pub fn right_precedence(&self) -> u16 {
        if self.kind == Binary::Power { self.precedence } else { self.precedence + 1 }
    }
}

impl UnaryOperator {
    pub fn find(text: &str) -> Option<&'static Self> {
        UNARY.iter().find(|operator| operator.text == text)
    }
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
