//! Regular expressions in Go's syntax, which Argo uses.
//!
//! Where crate `regex` gives the same text another meaning, the pattern is rewritten: Go's `\d`, `\w`, `\s` and
//! `\b` match ASCII only, `\Q…\E` quotes, a brace that is not a repetition is a literal, and so is a class within a
//! class.

use regex::{Regex, RegexBuilder};

/// Longest pattern, in bytes: compiling one takes up to a thousand times its length in memory.
const MAX_PATTERN: usize = 256;

/// Maximum size of a compiled pattern, in bytes.
const MAX_SIZE: usize = 64 << 10;

/// Maximum number of classes of a pattern that match thousands of characters; each takes as long to compile as the
/// rest of the pattern.
const MAX_WIDE: u32 = 2;

/// Go's own limit of a repetition.
const MAX_REPEAT: u32 = 1000;

/// Compiles a pattern of Go's.
///
/// # Errors
/// What is wrong, as one clause.
///
/// Source of the grammar: Go's `regexp/syntax`.
pub fn compile(pattern: &str) -> Result<Regex, String> {
    if pattern.len() > MAX_PATTERN {
        return Err(format!("it may have at most {MAX_PATTERN} bytes"));
    }
    let rewriting =
        Rewriting { rest: pattern, out: String::new(), repeated: Repeated::Not, wide: 0, folds: false };
    let rewritten = rewriting.whole()?;
    RegexBuilder::new(&rewritten).size_limit(MAX_SIZE).build().map_err(|error| {
        // The first lines are the pattern and a mark below it.
        let text = error.to_string();
        text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
    })
}

struct Rewriting<'a> {
    rest: &'a str,
    out: String,
    repeated: Repeated,
    /// See [`MAX_WIDE`].
    wide: u32,
    /// Whether some part ignores case: wide classes then take a hundred times as long.
    folds: bool,
}

/// Whether the previous element is a repetition, which Go does not repeat.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Repeated {
    Not,
    Greedy,
    Lazy,
}

impl Rewriting<'_> {
    fn whole(mut self) -> Result<String, String> {
        while let Some(c) = self.next() {
            self.repeated = match c {
                '*' | '+' | '?' => self.repetition(c)?,
                '{' => self.brace()?,
                c => {
                    match c {
                        '\\' => self.escape(false)?,
                        '[' => self.class()?,
                        '(' => self.group()?,
                        c => self.out.push(c),
                    }
                    Repeated::Not
                }
            };
        }
        match self.wide {
            0 => Ok(self.out),
            wide if wide > MAX_WIDE => Err(format!(
                "it may have at most {MAX_WIDE} classes of characters beyond ASCII, such as \\pL or [à-ö]"
            )),
            _ if self.folds => {
                Err("classes of characters beyond ASCII, such as \\pL or [à-ö], cannot be combined with (?i)"
                    .to_owned())
            }
            _ => Ok(self.out),
        }
    }

    fn repetition(&mut self, c: char) -> Result<Repeated, String> {
        self.out.push(c);
        match self.repeated {
            Repeated::Not => Ok(Repeated::Greedy),
            Repeated::Greedy if c == '?' => Ok(Repeated::Lazy),
            _ => Err("invalid nested repetition operator".to_owned()),
        }
    }

    fn next(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let c = chars.next()?;
        self.rest = chars.as_str();
        Some(c)
    }

    fn taken(&mut self, prefix: &str) -> bool {
        let rest = self.rest.strip_prefix(prefix);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn escape(&mut self, in_class: bool) -> Result<(), String> {
        let c = self.next().ok_or("trailing backslash at end of expression")?;
        let (ascii, inverted) = match c.to_ascii_lowercase() {
            'd' => ("0-9", c == 'D'),
            's' => ("\\t\\n\\f\\r ", c == 'S'),
            'w' => ("0-9A-Za-z_", c == 'W'),
            'q' if c == 'Q' && !in_class => {
                let (quoted, rest) = self.rest.split_once("\\E").unwrap_or((self.rest, ""));
                self.out.push_str(&regex::escape(quoted));
                self.rest = rest;
                return Ok(());
            }
            'b' if c == 'b' && !in_class => {
                self.out.push_str("(?-u:\\b)");
                return Ok(());
            }
            'u' => return Err(format!("invalid escape sequence: \\{c}")),
            _ if c.is_ascii_alphanumeric() => {
                self.wide = self.wide.saturating_add(u32::from(c.eq_ignore_ascii_case(&'p')));
                self.out.extend(['\\', c]);
                return Ok(());
            }
            _ => {
                self.literal(c);
                return Ok(());
            }
        };
        match (in_class, inverted) {
            (true, false) => self.out.push_str(ascii),
            (_, true) => self.out.extend(["[^", ascii, "]"]),
            (false, false) => self.out.extend(["[", ascii, "]"]),
        }
        Ok(())
    }

    /// The literal character, even if it has a meaning in crate `regex`.
    fn literal(&mut self, c: char) {
        // Outside of a class a hyphen is not a range and has no effect on the count.
        self.wide = self.wide.saturating_add(u32::from(!c.is_ascii() && self.out.ends_with('-')));
        if c.is_ascii_punctuation() {
            self.out.push('\\');
        }
        self.out.push(c);
    }

    fn class(&mut self) -> Result<(), String> {
        self.out.push('[');
        if self.taken("^") {
            self.out.push('^');
        }
        // A closing bracket at the start of a class is a literal.
        let mut is_first = true;
        loop {
            match self.next().ok_or("missing closing ]")? {
                ']' if !is_first => break,
                '\\' => self.escape(true)?,
                '[' if self.rest.starts_with(':') && self.rest.contains(":]") => self.out.push('['),
                // Named classes: `[:alpha:]`.
                ':' if self.out.ends_with('[') && !is_first => self.named_class(),
                // A range, as in `a-z`; two in a row would be a difference of classes.
                '-' if !self.out.ends_with('-') => self.out.push('-'),
                c => self.literal(c),
            }
            is_first = false;
        }
        self.out.push(']');
        Ok(())
    }

    fn named_class(&mut self) {
        self.out.push(':');
        while let Some(c) = self.next() {
            self.out.push(c);
            if c == ':' && self.taken("]") {
                self.out.push(']');
                return;
            }
        }
    }

    /// A repetition, `{2}`, `{2,}` or `{2,5}`, or else a brace.
    fn brace(&mut self) -> Result<Repeated, String> {
        let counts = self.rest.split_once('}').map(|(counts, _)| counts);
        let is_count = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let numbers: Vec<&str> = counts.unwrap_or_default().splitn(2, ',').collect();
        let is_repetition = match numbers.as_slice() {
            [exactly] | [exactly, ""] => is_count(exactly),
            [least, most] => is_count(least) && is_count(most),
            _ => false,
        };
        if !is_repetition {
            self.out.push_str("\\{");
            return Ok(Repeated::Not);
        }
        let is_allowed = |text: &&str| text.is_empty() || text.parse::<u32>().is_ok_and(|n| n <= MAX_REPEAT);
        if !numbers.iter().all(is_allowed) {
            return Err(format!("invalid repeat count, {MAX_REPEAT} at most"));
        }
        let rest = self.rest.split_once('}').map_or("", |(_, rest)| rest);
        let repeated = self.repetition('{')?;
        self.out.extend([counts.unwrap_or_default(), "}"]);
        self.rest = rest;
        Ok(repeated)
    }

    /// Crate `regex` would accept flags that Go does not have.
    fn group(&mut self) -> Result<(), String> {
        self.out.push('(');
        let flags = self.rest.strip_prefix('?').filter(|rest| !rest.starts_with(['P', '<', ':']));
        let flags = flags.and_then(|rest| rest.split([':', ')']).next());
        self.folds |= flags.is_some_and(|flags| flags.contains('i'));
        match flags {
            Some(flags) if flags.chars().any(|flag| !"imsU-".contains(flag)) => {
                Err(format!("invalid or unsupported Perl syntax: (?{flags}"))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_mean_what_they_mean_in_go() {
        for (pattern, text, matches) in [
            ("^err-[0-9]+$", "err-42", true),
            ("^\\w$", "é", false),
            ("\\d", "٣", false),
            ("[^\\d]", "٣", true),
            ("^[\\w-]+$", "a-b_c", true),
            ("^[\\W]$", "é", true),
            ("\\Qa.b\\E+", "a.bb", true),
            ("\\Qa.b\\E", "axb", false),
            ("a{,2}", "a{,2}", true),
            ("a{", "a{", true),
            ("^a{2,3}$", "aaa", true),
            ("^[a&&b]+$", "a&b", true),
            ("[[]", "[", true),
            ("^[]a]+$", "]a", true),
            ("^[[:alpha:]]+$", "abc", true),
            ("^[^[:digit:]]+$", "a:]", true),
            ("^a\\_b$", "a_b", true),
            ("(?i)ERR", "err", true),
            ("(?P<n>a)(?<m>b)", "ab", true),
            ("\\bx\\b", "éx", true),
        ] {
            assert_eq!(compile(pattern).unwrap().is_match(text), matches, "{pattern} on {text}");
        }
    }

    #[test]
    fn what_go_refuses_is_refused() {
        for pattern in [
            "(",
            "[",
            "*",
            "a**",
            "(?x)a b",
            "(?=a)",
            "a{1001}",
            "\\",
            "\\C",
            "\\y",
            "[a",
            "\\u00e9",
            "[a-\\U0010ffff]",
        ] {
            assert!(compile(pattern).is_err(), "{pattern}");
        }
    }

    #[test]
    fn patterns_that_take_long_to_compile_are_refused() {
        for (pattern, why) in [
            ("a".repeat(257), "it may have at most 256 bytes"),
            (
                "\\pL".repeat(3),
                "it may have at most 2 classes of characters beyond ASCII, such as \\pL or [à-ö]",
            ),
            (
                "[à-ö]".repeat(3),
                "it may have at most 2 classes of characters beyond ASCII, such as \\pL or [à-ö]",
            ),
            (
                "(?i)[\\pL]".to_owned(),
                "classes of characters beyond ASCII, such as \\pL or [à-ö], cannot be combined with (?i)",
            ),
        ] {
            assert_eq!(compile(&pattern).unwrap_err(), why, "{pattern}");
        }
        assert!(compile("\\pL{100}").unwrap_err().contains("exceeds size limit"));
        for pattern in ["\\pL", "(?i)é[a-z]", "[à-ö]+-\\PN"] {
            assert!(compile(pattern).is_ok(), "{pattern}");
        }
    }
}
