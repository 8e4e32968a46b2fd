//! The values that a path finds.

use crate::gocompat::{float, json};
use serde_json::Value;
use std::cmp::Ordering;

/// A value that a path found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Item<'a> {
    /// A part of the document.
    Body(&'a Value),
    /// A part of the path.
    Literal(&'a Literal),
}

/// A literal in the path.
#[derive(Debug, Clone, PartialEq)]
pub enum Literal {
    /// Text in quotes or outside of braces.
    Text(String),
    /// A whole number.
    Int(i64),
    /// A number with a decimal point.
    Float(f64),
    /// `true` or `false`.
    Bool(bool),
}

impl Item<'_> {
    pub(super) fn is_nil(self) -> bool {
        matches!(self, Self::Body(Value::Null))
    }

    pub(super) fn children(self) -> Vec<Self> {
        match self {
            Self::Body(Value::Array(items)) => items.iter().map(Self::Body).collect(),
            Self::Body(Value::Object(entries)) => entries.values().map(Self::Body).collect(),
            _ => Vec::new(),
        }
    }

    pub(super) fn go_type(self) -> &'static str {
        match self {
            Self::Body(Value::Null) => "<nil>",
            Self::Body(Value::Bool(_)) | Self::Literal(Literal::Bool(_)) => "bool",
            Self::Body(Value::Number(_)) | Self::Literal(Literal::Float(_)) => "float64",
            Self::Body(Value::String(_)) | Self::Literal(Literal::Text(_)) => "string",
            Self::Body(Value::Array(_)) => "[]interface {}",
            Self::Body(Value::Object(_)) => "map[string]interface {}",
            Self::Literal(Literal::Int(_)) => "int",
        }
    }

    /// As `json.Marshal` writes it.
    #[must_use]
    pub fn marshal(self) -> String {
        match self {
            Self::Body(value) => json::marshal(value),
            Self::Literal(Literal::Text(text)) => json::marshal(&text.as_str().into()),
            Self::Literal(Literal::Int(number)) => number.to_string(),
            Self::Literal(Literal::Float(number)) => json::marshal(&(*number).into()),
            Self::Literal(Literal::Bool(value)) => value.to_string(),
        }
    }

    /// Go's `%v`.
    pub(super) fn print(self) -> String {
        match self {
            Self::Body(value) => json::print(value),
            Self::Literal(Literal::Text(text)) => text.clone(),
            Self::Literal(Literal::Int(number)) => number.to_string(),
            Self::Literal(Literal::Float(number)) => float::print(*number),
            Self::Literal(Literal::Bool(value)) => value.to_string(),
        }
    }

    /// The value if it can be compared: a text, a number or a truth value.
    fn scalar(self) -> Option<Literal> {
        match self {
            Self::Body(Value::Bool(value)) => Some(Literal::Bool(*value)),
            Self::Body(Value::Number(number)) => number.as_f64().map(Literal::Float),
            Self::Body(Value::String(text)) => Some(Literal::Text(text.clone())),
            Self::Body(Value::Null | Value::Array(_) | Value::Object(_)) => None,
            Self::Literal(literal) => Some(literal.clone()),
        }
    }
}

/// A number in a body is a float, so it cannot be compared with an integer: write `5.0` for `5`.
pub(super) fn compare(left: Item<'_>, operator: &str, right: Item<'_>) -> Result<bool, String> {
    let (Some(left), Some(right)) = (left.scalar(), right.scalar()) else {
        return Err("invalid type for comparison".to_owned());
    };
    let ordering = match (&left, &right) {
        (Literal::Bool(a), Literal::Bool(b)) => Some(a.cmp(b)),
        (Literal::Int(a), Literal::Int(b)) => Some(a.cmp(b)),
        (Literal::Float(a), Literal::Float(b)) => a.partial_cmp(b),
        (Literal::Text(a), Literal::Text(b)) => Some(a.cmp(b)),
        _ => return Err("incompatible types for comparison".to_owned()),
    };
    let has_order = !matches!(left, Literal::Bool(_));
    match operator {
        "==" => Ok(ordering == Some(Ordering::Equal)),
        "!=" => Ok(ordering != Some(Ordering::Equal)),
        "<" | "<=" | ">" | ">=" if !has_order => Err("invalid type for comparison".to_owned()),
        "<" => Ok(ordering == Some(Ordering::Less)),
        "<=" => Ok(ordering.is_some_and(Ordering::is_le)),
        ">" => Ok(ordering == Some(Ordering::Greater)),
        ">=" => Ok(ordering.is_some_and(Ordering::is_ge)),
        _ => Err(format!("unrecognized filter operator {operator}")),
    }
}
