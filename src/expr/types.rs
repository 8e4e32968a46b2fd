//! Static types, which are Go's.

use std::fmt;

/// What is known about a value before evaluation.
#[derive(Debug, Clone, PartialEq)]
pub enum Type {
    /// Always nil.
    Nil,
    /// Nothing is known.
    Any,
    /// A truth value.
    Bool,
    /// A whole number.
    Int,
    /// A floating point number.
    Float,
    /// A string.
    Text,
    /// A point in time.
    Time,
    /// A duration, which is an integer type in Go.
    Duration,
    /// A list of items of one type.
    List(Box<Type>),
    /// A map from keys of one type to values of another.
    Map(Box<Type>, Box<Type>),
    /// A function, with its type in Go.
    Function(&'static str),
}

impl Type {
    /// A list of anything.
    #[must_use]
    pub fn list() -> Self {
        Self::List(Box::new(Self::Any))
    }

    /// A map from strings to anything.
    #[must_use]
    pub fn object() -> Self {
        Self::Map(Box::new(Self::Text), Box::new(Self::Any))
    }

    pub(super) fn is_number(&self) -> bool {
        matches!(self, Self::Int | Self::Float | Self::Duration)
    }

    pub(super) fn is_integer(&self) -> bool {
        matches!(self, Self::Int | Self::Duration)
    }

    pub(super) fn is_text(&self) -> bool {
        *self == Self::Text
    }

    pub(super) fn is_time(&self) -> bool {
        *self == Self::Time
    }

    pub(super) fn is_bool(&self) -> bool {
        *self == Self::Bool
    }

    /// Whether Go accepts a value of this type where `other` is required.
    pub(super) fn is_assignable_to(&self, other: &Self) -> bool {
        *other == Self::Any || self == other
    }

    /// Whether `==` between the two types can be true at all.
    pub(super) fn is_comparable_with(&self, other: &Self) -> bool {
        let is_open = |side: &Self| matches!(side, Self::Any | Self::Nil);
        let same_kind = std::mem::discriminant(self) == std::mem::discriminant(other);
        is_open(self) || is_open(other) || same_kind || (self.is_number() && other.is_number())
    }

    /// The type of a sum, difference or product of numbers.
    pub(super) fn combined_with(self, other: &Self) -> Self {
        match (&self, other) {
            _ if self == *other => self,
            (Self::Float, _) | (_, Self::Float) => Self::Float,
            _ => Self::Int,
        }
    }
}

impl fmt::Display for Type {
    /// As Go prints it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nil => f.write_str("<nil>"),
            Self::Any => f.write_str("interface {}"),
            Self::Bool => f.write_str("bool"),
            Self::Int => f.write_str("int"),
            Self::Float => f.write_str("float64"),
            Self::Text => f.write_str("string"),
            Self::Time => f.write_str("time.Time"),
            Self::Duration => f.write_str("time.Duration"),
            Self::List(item) => write!(f, "[]{item}"),
            Self::Map(key, value) => write!(f, "map[{key}]{value}"),
            Self::Function(text) => f.write_str(text),
        }
    }
}
