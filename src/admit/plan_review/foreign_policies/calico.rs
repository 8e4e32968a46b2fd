//! Calico's selector expressions.
//!
//! Source: calico `lib/std/uniquelabels` and `libcalico-go/lib/selector` (`tokenizer`, `parser`).

use crate::domain::k8s::selector::Labels;

/// Longest selector that is read, and deepest nesting: they come from the cluster, and still.
const MAX_LENGTH: usize = 4096;
const MAX_DEPTH: usize = 32;

/// Whether an expression picks pods with these labels.
///
/// # Errors
/// What is not understood, with its place.
pub(super) fn picks(text: &str, labels: &Labels) -> Result<bool, String> {
    if text.len() > MAX_LENGTH {
        return Err(format!("longer than {MAX_LENGTH} bytes"));
    }
    if text.trim().is_empty() {
        return Ok(true);
    }
    let mut reader = Reader { rest: text, labels, depth: 0 };
    let picked = reader.any()?;
    if reader.rest.trim().is_empty() { Ok(picked) } else { Err(reader.unexpected()) }
}

/// Evaluates while it reads: an expression is read twice at most.
struct Reader<'a> {
    rest: &'a str,
    labels: &'a Labels,
    depth: usize,
}

impl<'a> Reader<'a> {
    fn any(&mut self) -> Result<bool, String> {
        let mut picked = self.all()?;
        while self.takes("||") {
            picked |= self.all()?;
        }
        Ok(picked)
    }

    fn all(&mut self) -> Result<bool, String> {
        let mut picked = self.one()?;
        while self.takes("&&") {
            picked &= self.one()?;
        }
        Ok(picked)
    }

    fn one(&mut self) -> Result<bool, String> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err("nested too deep".to_owned());
        }
        let picked = self.term();
        self.depth -= 1;
        picked
    }

    fn term(&mut self) -> Result<bool, String> {
        if self.takes("!") {
            return self.one().map(|picked| !picked);
        }
        if self.takes("(") {
            let picked = self.any()?;
            return self.closed(picked);
        }
        let word = self.word()?;
        match word {
            "all" | "global" if self.takes("(") => self.closed(word == "all"),
            "has" if self.takes("(") => {
                let key = self.word()?;
                self.closed(self.labels.contains_key(key))
            }
            key => self.compared(key),
        }
    }

    /// `key == 'value'` and its like; an absent label is unequal to every value.
    fn compared(&mut self, key: &str) -> Result<bool, String> {
        let value = self.labels.get(key).map(String::as_str);
        if self.takes("==") {
            return Ok(value == Some(self.text()?));
        }
        if self.takes("!=") {
            return Ok(value != Some(self.text()?));
        }
        match self.word()? {
            "in" => Ok(self.set()?.iter().any(|item| value == Some(item))),
            "not" if self.word()? == "in" => Ok(!self.set()?.iter().any(|item| value == Some(item))),
            "contains" => self.text().map(|part| value.is_some_and(|value| value.contains(part))),
            "starts" if self.word()? == "with" => {
                self.text().map(|part| value.is_some_and(|value| value.starts_with(part)))
            }
            "ends" if self.word()? == "with" => {
                self.text().map(|part| value.is_some_and(|value| value.ends_with(part)))
            }
            other => Err(format!("{other:?} is no comparison")),
        }
    }

    fn set(&mut self) -> Result<Vec<&'a str>, String> {
        let mut items = Vec::new();
        if !self.takes("{") {
            return Err(self.unexpected());
        }
        while !self.takes("}") {
            items.push(self.text()?);
            if !self.takes(",") && !self.rest.trim_start().starts_with('}') {
                return Err(self.unexpected());
            }
        }
        Ok(items)
    }

    fn text(&mut self) -> Result<&'a str, String> {
        let rest = self.rest.trim_start();
        let quote =
            rest.chars().next().filter(|c| ['\'', '"'].contains(c)).ok_or_else(|| self.unexpected())?;
        let (text, after) =
            rest.get(1..).and_then(|rest| rest.split_once(quote)).ok_or("a text is never closed")?;
        self.rest = after;
        Ok(text)
    }

    fn word(&mut self) -> Result<&'a str, String> {
        let rest = self.rest.trim_start();
        let is_part = |c: char| c.is_ascii_alphanumeric() || "_./-".contains(c);
        let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        if word.is_empty() {
            return Err(self.unexpected());
        }
        self.rest = after;
        Ok(word)
    }

    fn closed(&mut self, picked: bool) -> Result<bool, String> {
        if self.takes(")") { Ok(picked) } else { Err(self.unexpected()) }
    }

    fn takes(&mut self, token: &str) -> bool {
        let rest = self.rest.trim_start().strip_prefix(token);
        // `!=` is not the negation of `=`.
        let rest = rest.filter(|rest| token != "!" || !rest.starts_with('='));
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn unexpected(&self) -> String {
        let rest = self.rest.trim();
        if rest.is_empty() {
            return "it ends early".to_owned();
        }
        format!("unexpected {:?}", rest.chars().take(20).collect::<String>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn picked(text: &str) -> Result<bool, String> {
        let labels = [("app", "web"), ("tier", "front"), ("a.b/c", "d")];
        picks(text, &labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into())
    }

    #[test]
    fn expressions_pick_as_calico_says() {
        for text in [
            "",
            "all()",
            "app == 'web'",
            "app==\"web\"",
            "app != 'other'",
            "absent != 'x'",
            "has(tier) && !has(absent)",
            "app in {'a', 'web'}",
            "app not in { 'a','b' }",
            "absent not in {'a'}",
            "!(app == 'x' || app == 'y')",
            "app == 'x' || app == 'web' && tier == 'front'",
            "app contains 'e' && app starts with 'w' && app ends with 'b'",
            "a.b/c == 'd'",
        ] {
            assert_eq!(picked(text), Ok(true), "{text}");
            assert_eq!(
                picked(&format!("!({text})")),
                if text.is_empty() { picked("!()") } else { Ok(false) }
            );
        }
        assert_eq!(picked("global()"), Ok(false));
    }

    #[test]
    fn what_is_not_understood_is_said() {
        for text in
            ["app = 'web'", "app == web", "app == 'web", "app ~ 'x'", "app in {'a'", "(all()", "all() x"]
        {
            assert!(picked(text).is_err(), "{text}: {:?}", picked(text));
        }
        assert!(picked(&"!".repeat(100)).unwrap_err().contains("deep"));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,40}") {
            let _ = picked(&text);
        }
    }
}
