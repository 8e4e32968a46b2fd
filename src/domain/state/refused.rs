//! What is recorded of a write that is not accepted.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Characters of an answer that are kept: an Event has room for twice as many.
const MAX_MESSAGE: usize = 500;

/// A write that the API server does not accept: for a quota, a policy, a permission or a webhook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// Kind and name of the object.
    pub object: String,
    /// The API server's words.
    pub message: String,
    /// Since when writes have been refused without a pause.
    pub since: Timestamp,
}

impl Refused {
    /// The answer to a write of `object`, cut to its bound.
    #[must_use]
    pub fn new(object: String, message: &str, since: Timestamp) -> Self {
        Self { object, message: message.chars().take(MAX_MESSAGE).collect(), since }
    }

    /// Whether the two differ in nothing but figures, such as the port of a connection or what a quota counts.
    #[must_use]
    pub fn says_the_same(&self, other: &Self) -> bool {
        let words = |refused: &Self| refused.message.replace(|c: char| c.is_ascii_digit(), "");
        self.object == other.object && words(self) == words(other)
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is refused: {}", self.object, self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_bounded_and_figures_do_not_make_it_new() {
        let of = |message: &str| Refused::new("Ingress \"web\"".to_owned(), message, Timestamp::UNIX_EPOCH);
        assert_eq!(of(&"ü".repeat(5_000)).message.chars().count(), MAX_MESSAGE);
        assert!(of("exceeded quota: used: 3").says_the_same(&of("exceeded quota: used: 12")));
        assert!(!of("exceeded quota: a").says_the_same(&of("exceeded quota: b")));
    }
}
