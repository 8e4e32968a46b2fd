//! The operators: their spellings and how strongly they bind.

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
