//! What is wrong with a user's input, for the person who must fix it.

use std::fmt;

/// One problem of a user's input: where it is, the value, and what is allowed.
///
/// The same text reaches the user as a `StatusCause` at admission and in the controller's messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Field path, e.g. `metadata.annotations[haldane.dev/canary].steps[2].setWeight`.
    pub path: String,
    /// The value as the user wrote it, shortened to a readable length.
    pub value: String,
    /// What is wrong, what is allowed and what to do next, as one clause.
    pub problem: String,
}

/// Longest value that a message shows, in characters.
const MAX_VALUE_CHARS: usize = 80;

impl Finding {
    /// A finding at `path`; `value` is shortened to 80 characters.
    pub fn new(path: impl Into<String>, value: impl fmt::Display, problem: impl Into<String>) -> Self {
        let value = value.to_string();
        let value = if value.chars().count() > MAX_VALUE_CHARS {
            let head: String = value.chars().take(MAX_VALUE_CHARS).collect();
            format!("{head}…")
        } else {
            value
        };
        Self { path: path.into(), value, problem: problem.into() }
    }

    /// The same finding, with its path below `parent`.
    #[must_use]
    pub fn under(mut self, parent: &str) -> Self {
        self.path = match (parent.is_empty(), self.path.is_empty()) {
            (true, _) => self.path,
            (_, true) => parent.to_owned(),
            _ if self.path.starts_with('[') => format!("{parent}{}", self.path),
            _ => format!("{parent}.{}", self.path),
        };
        self
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.value.is_empty() {
            write!(f, "{}: {}", self.path, self.problem)
        } else {
            write!(f, "{}: {:?}: {}", self.path, self.value, self.problem)
        }
    }
}

/// All findings of one document, in reading order.
pub type Findings = Vec<Finding>;
