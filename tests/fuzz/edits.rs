//! Changes of an input: bytes, words that parsers know, and parts of other inputs.

use proptest::{prelude::*, sample::Index};

/// What means something to JSON, YAML, conditions or templates, and numbers at their ends.
const WORDS: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    "\"",
    "'",
    ",",
    ":",
    "\n",
    "\n  ",
    "- ",
    "&a ",
    "*a",
    "<<: ",
    "!!str ",
    "|\n",
    ">-\n",
    "? ",
    "#",
    "---\n",
    "%YAML",
    "{{",
    "}}",
    "{{args.x}}",
    "result",
    "[0]",
    ".",
    "?.",
    "??",
    "..",
    " in ",
    " and ",
    "not ",
    "(",
    ")",
    "==",
    ">=",
    "&&",
    "||",
    "!",
    "? 1 : ",
    "let a = ",
    ";",
    "filter(",
    "len(",
    "asFloat(",
    "=>",
    "0",
    "-1",
    "1e400",
    "1e-400",
    "NaN",
    ".inf",
    "0x",
    "0o7",
    "9223372036854775808",
    "-9223372036854775808",
    "18446744073709551616",
    "5m",
    "-5m",
    "1h1h",
    "null",
    "~",
    "true",
    "\0",
    "\u{85}",
    "\u{feff}",
    "é",
    "𝕏",
    "\u{202e}",
    "\\u0000",
    "\\ud800",
    "\t",
    "\r",
    "haldane.dev/canary",
    "setWeight",
    "steps",
];

/// One change.
#[derive(Debug, Clone)]
pub enum Edit {
    /// Another byte.
    Set(Index, u8),
    /// A word, put in.
    Word(Index, Index),
    /// A part, left out.
    Cut(Index, usize),
    /// A part, repeated.
    Repeat(Index, usize, usize),
    /// A part of another input, put in.
    Splice(Index, Index, Index, usize),
}

/// Some changes, mostly few.
pub fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let edit = prop_oneof![
        (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Edit::Set(at, byte)),
        (any::<Index>(), any::<Index>()).prop_map(|(at, word)| Edit::Word(at, word)),
        (any::<Index>(), any::<Index>()).prop_map(|(at, word)| Edit::Word(at, word)),
        (any::<Index>(), 1..40_usize).prop_map(|(at, length)| Edit::Cut(at, length)),
        (any::<Index>(), 1..40_usize, 1..60_usize)
            .prop_map(|(at, length, times)| Edit::Repeat(at, length, times)),
        (any::<Index>(), any::<Index>(), any::<Index>(), 1..80_usize)
            .prop_map(|(at, from, start, length)| Edit::Splice(at, from, start, length)),
    ];
    prop::collection::vec(edit, 1..8)
}

/// The input after all changes.
pub fn apply(mut input: Vec<u8>, edits: &[Edit], seeds: &[Vec<u8>]) -> Vec<u8> {
    for edit in edits {
        let place = |at: &Index| at.index(input.len() + 1);
        let end = |start: usize, length: usize| (start + length).min(input.len());
        match edit {
            Edit::Set(at, byte) if !input.is_empty() => {
                let at = at.index(input.len());
                input[at] = *byte;
            }
            Edit::Set(..) => {}
            Edit::Word(at, word) => {
                let at = place(at);
                input.splice(at..at, WORDS[word.index(WORDS.len())].bytes());
            }
            Edit::Cut(at, length) => {
                let start = place(at);
                let end = end(start, *length);
                input.drain(start..end);
            }
            Edit::Repeat(at, length, times) => {
                let start = place(at);
                let part = input[start..end(start, *length)].repeat(*times);
                input.splice(start..start, part);
            }
            Edit::Splice(at, from, start, length) => {
                let at = place(at);
                let other = &seeds[from.index(seeds.len())];
                let start = start.index(other.len() + 1);
                let part = other[start..(start + length).min(other.len())].to_vec();
                input.splice(at..at, part);
            }
        }
    }
    input
}
