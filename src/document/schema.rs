//! What the value of a field may be, as far as an editor can check it.
//!
//! The tables of fields say it beside each field's meaning, and the JSON Schema of the annotations is made of it.
//! The parser asks the same and more; a test feeds both with good and bad values.

/// More pods than these no plan asks for.
pub const MAX_PODS: i32 = 100_000;
/// The longest delay that is given in seconds: a week.
pub const MAX_DELAY: u32 = 7 * 24 * 60 * 60;

/// What a value may be.
#[derive(Debug, Clone, Copy)]
pub enum Schema {
    /// More than an editor can know.
    Any,
    /// A string.
    Text,
    /// `true` or `false`.
    Bool,
    /// `false`, where Argo knows more.
    False,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A whole number from the first to the second.
    Whole(u32, u32),
    /// A whole number, bare or in quotes, or a text with an argument that becomes one.
    Count,
    /// A Go duration that is not negative.
    Duration,
    /// The same, or a text with an argument that becomes one, or none.
    Span,
    /// Seconds, bare or in quotes, or a Go duration.
    PauseTime,
    /// PromQL, or several by name.
    Queries,
    /// A list of these.
    List(&'static Self),
    /// A mapping of names of the user's choice to these.
    Map(&'static Self),
    /// A mapping of these fields and no others.
    Object(&'static [(&'static str, Self)]),
    /// What has a table of its own, by its name in the schema.
    Named(&'static str),
}

impl Schema {
    /// Labels and annotations.
    pub const METADATA: Self =
        Self::Object(&[("labels", Self::Map(&Self::Text)), ("annotations", Self::Map(&Self::Text))]);
    /// Seconds of a delay.
    pub const SECONDS: Self = Self::Whole(0, MAX_DELAY);
    /// A number of pods.
    pub const PODS: Self = Self::Whole(0, MAX_PODS.unsigned_abs());
    /// The same, at least one.
    pub const SOME_PODS: Self = Self::Whole(1, MAX_PODS.unsigned_abs());
}
