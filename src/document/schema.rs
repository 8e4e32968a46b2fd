//! The type of a field, as far as an editor can check it.
//!
//! The tables of fields have it next to each field's documentation, and the JSON Schema of the annotations is
//! generated from it. The parser checks the same and more; a test compares both with valid and invalid values.

/// Maximum number of pods in a plan.
pub const MAX_PODS: i32 = 100_000;
/// Maximum delay in seconds: a week.
pub const MAX_DELAY: u32 = 7 * 24 * 60 * 60;

/// The type of a value.
#[derive(Debug, Clone, Copy)]
pub enum Schema {
    /// Anything: an editor cannot check it.
    Any,
    /// A string.
    Text,
    /// `true` or `false`.
    Bool,
    /// `false` only, where Argo also allows `true`.
    False,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A whole number in this range, inclusive.
    Whole(u32, u32),
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
    /// A list of these.
    List(&'static Self),
    /// A mapping from keys that the user chooses to values of this type.
    Map(&'static Self),
    /// A mapping of these fields and no others.
    Object(&'static [(&'static str, Self)]),
    /// A type that has its own table, by its name in the schema.
    Named(&'static str),
}

impl Schema {
    /// Labels and annotations.
    pub const METADATA: Self =
        Self::Object(&[("labels", Self::Map(&Self::Text)), ("annotations", Self::Map(&Self::Text))]);
    /// A delay in seconds.
    pub const SECONDS: Self = Self::Whole(0, MAX_DELAY);
    /// A number of pods.
    pub const PODS: Self = Self::Whole(0, MAX_PODS.unsigned_abs());
    /// A number of pods, at least one.
    pub const SOME_PODS: Self = Self::Whole(1, MAX_PODS.unsigned_abs());
}
