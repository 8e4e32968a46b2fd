//! Values of an evaluation.

use super::{span::Span, types::Type};
use crate::gocompat::float;
use jiff::Zoned;
use std::{fmt, rc::Rc};

/// A value with its Go type, on which equality depends.
#[derive(Debug, Clone)]
pub enum Value {
    /// Nothing.
    Nil,
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A floating point number.
    Float(f64),
    /// A string.
    Text(Rc<str>),
    /// A point in time, with the time zone that it was given in.
    Time(Rc<Zoned>),
    /// A span of time.
    Duration(Span),
    /// A list.
    List(List),
    /// A map.
    Map(Map),
}

/// Items and their common type.
#[derive(Debug, Clone)]
pub struct List {
    /// The item type in Go.
    pub(super) item: Type,
    pub(super) items: Rc<[Value]>,
    weight: usize,
}

/// Unordered entries, and the type of the map.
#[derive(Debug, Clone)]
pub struct Map {
    of: Type,
    /// Keys are unique.
    pub(super) entries: Rc<[(Value, Value)]>,
    weight: usize,
}

impl Value {
    /// A text.
    #[must_use]
    pub fn text(text: impl Into<Rc<str>>) -> Self {
        Self::Text(text.into())
    }

    /// A point in time.
    pub(super) fn time(at: Zoned) -> Self {
        Self::Time(Rc::new(at))
    }

    /// A list of anything.
    #[must_use]
    pub fn list(items: impl IntoIterator<Item = Self>) -> Self {
        Self::list_of(Type::Any, items)
    }

    /// A list of items that are all of one type.
    #[must_use]
    pub fn list_of(item: Type, items: impl IntoIterator<Item = Self>) -> Self {
        let items: Rc<[Self]> = items.into_iter().collect();
        let weight = items.iter().map(Self::weight).fold(1, usize::saturating_add);
        Self::List(List { item, items, weight })
    }

    /// A map from strings to anything.
    #[must_use]
    pub fn object(entries: impl IntoIterator<Item = (Self, Self)>) -> Self {
        Self::map_of(Type::object(), entries)
    }

    /// A map of the given type, of entries whose keys are unique.
    pub(super) fn map_of(of: Type, entries: impl IntoIterator<Item = (Self, Self)>) -> Self {
        let entries: Rc<[(Self, Self)]> = entries.into_iter().collect();
        let weights = entries.iter().flat_map(|(key, value)| [key.weight(), value.weight()]);
        let weight = weights.fold(1, usize::saturating_add);
        Self::Map(Map { of, entries, weight })
    }

    /// A value read from JSON. Every number is a float, as in Go.
    pub(super) fn from_json(json: &serde_json::Value) -> Self {
        use serde_json::Value as Json;
        match json {
            Json::Null => Self::Nil,
            Json::Bool(value) => Self::Bool(*value),
            Json::Number(number) => Self::Float(number.as_f64().unwrap_or(f64::NAN)),
            Json::String(text) => Self::text(text.as_str()),
            Json::Array(items) => Self::list(items.iter().map(Self::from_json)),
            Json::Object(entries) => Self::object(
                entries.iter().map(|(key, value)| (Self::text(key.as_str()), Self::from_json(value))),
            ),
        }
    }

    /// How much there is to copy, print or compare: shared parts count each time.
    pub(super) fn weight(&self) -> usize {
        match self {
            Self::Nil | Self::Bool(_) | Self::Int(_) | Self::Float(_) | Self::Time(_) | Self::Duration(_) => {
                1
            }
            Self::Text(text) => text.len(),
            Self::List(list) => list.weight,
            Self::Map(map) => map.weight,
        }
    }

    /// Its type.
    #[must_use]
    pub fn type_of(&self) -> Type {
        match self {
            Self::Nil => Type::Nil,
            Self::Bool(_) => Type::Bool,
            Self::Int(_) => Type::Int,
            Self::Float(_) => Type::Float,
            Self::Text(_) => Type::Text,
            Self::Time(_) => Type::Time,
            Self::Duration(_) => Type::Duration,
            Self::List(list) => Type::List(Box::new(list.item.clone())),
            Self::Map(map) => map.of.clone(),
        }
    }

    /// Go's message for a value that does not have the required type.
    pub(super) fn is_not(&self, wanted: &str) -> String {
        match self {
            Self::Nil => format!("interface conversion: interface {{}} is nil, not {wanted}"),
            other => format!("interface conversion: interface {{}} is {}, not {wanted}", other.type_of()),
        }
    }

    /// `reflect.DeepEqual`: same type and content. A list or map equals itself even if it contains NaN.
    pub(super) fn is_identical_to(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Nil, Self::Nil) => true,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Int(a), Self::Int(b)) => a == b,
            // Go's equality, so NaN is not itself.
            #[allow(clippy::float_cmp)]
            (Self::Float(a), Self::Float(b)) => a == b,
            (Self::Text(a), Self::Text(b)) => a == b,
            (Self::Time(a), Self::Time(b)) => a == b,
            (Self::Duration(a), Self::Duration(b)) => a == b,
            (Self::List(a), Self::List(b)) => {
                let same_items = || a.items.iter().zip(&*b.items).all(|(a, b)| a.is_identical_to(b));
                let same_length = a.items.len() == b.items.len();
                a.item == b.item && (Rc::ptr_eq(&a.items, &b.items) || (same_length && same_items()))
            }
            (Self::Map(a), Self::Map(b)) => {
                let is_in_b =
                    |(key, value): &(Self, Self)| b.get(key).is_some_and(|v| v.is_identical_to(value));
                let same_length = a.entries.len() == b.entries.len();
                let is_same = Rc::ptr_eq(&a.entries, &b.entries);
                a.of == b.of && (is_same || (same_length && a.entries.iter().all(is_in_b)))
            }
            _ => false,
        }
    }
}

impl Map {
    /// The type of the map.
    pub(super) fn of(&self) -> &Type {
        &self.of
    }

    /// The value of a key.
    pub(super) fn get(&self, key: &Value) -> Option<&Value> {
        self.entries.iter().find(|(known, _)| known.is_identical_to(key)).map(|(_, value)| value)
    }
}

impl fmt::Display for Value {
    /// Go's `%v`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nil => f.write_str("<nil>"),
            Self::Bool(value) => value.fmt(f),
            Self::Int(value) => value.fmt(f),
            Self::Float(value) => f.write_str(&float::print(*value)),
            Self::Text(text) => text.fmt(f),
            Self::Time(at) => print_time(at).fmt(f),
            Self::Duration(span) => span.fmt(f),
            Self::List(list) => {
                let items: Vec<_> = list.items.iter().map(Self::to_string).collect();
                write!(f, "[{}]", items.join(" "))
            }
            Self::Map(map) => {
                let mut entries: Vec<_> =
                    map.entries.iter().map(|(key, value)| format!("{key}:{value}")).collect();
                entries.sort();
                write!(f, "map[{}]", entries.join(" "))
            }
        }
    }
}

/// Go's `%v` of a time.
pub(super) fn print_time(at: &Zoned) -> String {
    let name = match at.offset().seconds() {
        0 => "UTC".to_owned(),
        _ if at.time_zone().iana_name().is_some() => at.strftime("%Z").to_string(),
        _ => at.strftime("%z").to_string(),
    };
    at.strftime("%Y-%m-%d %H:%M:%S%.f %z ").to_string() + &name
}
