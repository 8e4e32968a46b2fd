//! What a value may be, as far as an editor can check it.
//!
//! The readers of a document say it themselves: see [`super::fields::describe`]. They check the same and more.

/// The type of a value.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Schema {
    /// Nothing: its reader does not say what it accepts.
    #[default]
    Never,
    /// Anything: an editor cannot check it.
    Any,
    /// A string.
    Text,
    /// `true` or `false`.
    Bool,
    /// `false` only, where Argo also allows `true`.
    False,
    /// One of these words.
    Word(Vec<&'static str>),
    /// A whole number in this range, inclusive.
    Whole(i64, i64),
    /// A whole number with or without quotes, or a text with an argument that becomes one.
    Count,
    /// A Go duration that is not negative.
    Duration,
    /// The same, a text with an argument that becomes one, or an empty text.
    Span,
    /// Seconds with or without quotes, or a Go duration.
    PauseTime,
    /// PromQL, or several by name.
    Queries,
    /// One of these words, or such a value.
    Either(Vec<&'static str>, Box<Self>),
    /// A list of these.
    List(Box<Self>),
    /// A mapping from keys that the user chooses to values of this type.
    Map(Box<Self>),
    /// A mapping of these fields and no others.
    Object(Vec<Field>),
    /// A type with a name of its own.
    Named(&'static str, Box<Self>),
}

/// A field of a mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub key: &'static str,
    /// What it does, for the reference page; empty where the text of the mapping says it.
    pub doc: &'static str,
    /// What its value may be.
    pub schema: Schema,
}

impl Schema {
    /// The fields of a mapping, or of the mappings in a list, in the order in which they are read.
    #[must_use]
    pub fn fields(&self) -> &[Field] {
        match self {
            Self::Object(fields) => fields,
            Self::List(schema) | Self::Named(_, schema) | Self::Either(_, schema) => schema.fields(),
            _ => &[],
        }
    }
}
