//! The parser of paths.

use super::{Literal, Node, Slice};
use regex::Regex;

/// Maximum depth of paths within paths: unions and filters contain paths.
const MAX_DEPTH: usize = 20;

/// Longest path, in bytes.
const MAX_LENGTH: usize = 4096;

pub(super) fn parse(text: &str) -> Result<Vec<Node>, String> {
    if text.len() > MAX_LENGTH {
        return Err(format!("is longer than {MAX_LENGTH} bytes"));
    }
    let mut nodes = Vec::new();
    let mut rest = text;
    while let Some((before, action)) = rest.split_once('{') {
        if !before.is_empty() {
            nodes.push(Node::Literal(Literal::Text(before.to_owned())));
        }
        let mut parser = Parser { rest: action, depth: 0 };
        nodes.push(Node::Action(parser.action()?));
        rest = parser.rest;
    }
    if !rest.is_empty() {
        nodes.push(Node::Literal(Literal::Text(rest.to_owned())));
    }
    Ok(nodes)
}

struct Parser<'a> {
    rest: &'a str,
    depth: usize,
}

/// Whether an identifier or a field ends before this character.
fn ends_name(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n' | '.' | ',' | '[' | ']' | '$' | '@' | '{' | '}')
}

fn is_alphanumeric(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

impl<'a> Parser<'a> {
    fn next_if(&mut self, prefix: &str) -> bool {
        match self.rest.strip_prefix(prefix) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// Consumes everything before the first character that `ends` it.
    fn take_until(&mut self, ends: impl Fn(char) -> bool) -> &'a str {
        let (taken, rest) = self.rest.split_at(self.rest.find(ends).unwrap_or(self.rest.len()));
        self.rest = rest;
        taken
    }

    /// The parts up to the closing brace, which is consumed.
    fn action(&mut self) -> Result<Vec<Node>, String> {
        let mut nodes = Vec::new();
        loop {
            if self.next_if("}") {
                return Ok(nodes);
            }
            if self.next_if("[?(") {
                nodes.push(self.filter()?);
                continue;
            }
            if self.next_if("..") {
                if nodes.last() == Some(&Node::Recursive) {
                    return Err("invalid multiple recursive descent".to_owned());
                }
                nodes.push(Node::Recursive);
                if self.rest.starts_with(is_alphanumeric) {
                    nodes.push(self.field());
                }
                continue;
            }
            let next = self.rest.chars().next().filter(|c| !matches!(c, '\r' | '\n'));
            match next.ok_or("unclosed action")? {
                ' ' | '@' | '$' => self.rest = self.rest.get(1..).unwrap_or_default(),
                '[' => {
                    self.rest = self.rest.get(1..).unwrap_or_default();
                    self.array(&mut nodes)?;
                }
                quote @ ('"' | '\'') => nodes.push(self.quoted(quote)?),
                '.' => {
                    self.rest = self.rest.get(1..).unwrap_or_default();
                    nodes.push(self.field());
                }
                '+' | '-' | '0'..='9' => nodes.push(self.number()?),
                c if is_alphanumeric(c) => nodes.push(match self.take_until(ends_name) {
                    "true" => Node::Literal(Literal::Bool(true)),
                    "false" => Node::Literal(Literal::Bool(false)),
                    name => Node::Identifier(name.to_owned()),
                }),
                c => {
                    return Err(format!("unrecognized character in action: U+{:04X} '{c}'", u32::from(c)));
                }
            }
        }
    }

    /// The name after a dot; a backslash escapes the next character.
    fn field(&mut self) -> Node {
        let mut escaped = false;
        let end = self.rest.char_indices().find(|(_, c)| {
            let ends = !escaped && ends_name(*c);
            escaped = !escaped && *c == '\\';
            ends
        });
        let (name, rest) = self.rest.split_at(end.map_or(self.rest.len(), |(at, _)| at));
        self.rest = rest;
        if name == "*" { Node::Wildcard } else { Node::Field(name.replace('\\', "")) }
    }

    fn number(&mut self) -> Result<Node, String> {
        let unsigned = self.rest.trim_start_matches(['+', '-']);
        let sign = self.rest.len().saturating_sub(unsigned.len()).min(1);
        let digits = self.rest.get(sign..).unwrap_or_default();
        let length = digits.find(|c: char| c != '.' && !c.is_ascii_digit()).unwrap_or(digits.len());
        let (text, rest) = self.rest.split_at(sign + length);
        self.rest = rest;
        let float = || text.parse().ok().filter(|_| text.contains(|c: char| c.is_ascii_digit()));
        text.parse()
            .map(Literal::Int)
            .ok()
            .or_else(|| float().map(Literal::Float))
            .map(Node::Literal)
            .ok_or_else(|| format!("cannot parse number {text}"))
    }

    fn quoted(&mut self, quote: char) -> Result<Node, String> {
        let inner = self.rest.get(1..).unwrap_or_default();
        let mut escaped = false;
        let end = inner.char_indices().find(|(_, c)| {
            let ends = *c == '\n' || (!escaped && *c == quote);
            escaped = *c == '\\';
            ends
        });
        let (at, _) = end.filter(|(_, c)| *c == quote).ok_or("unterminated quoted string")?;
        let (text, rest) = inner.split_at(at);
        self.rest = rest.get(1..).unwrap_or_default();
        unquote(text)
            .map(|text| Node::Literal(Literal::Text(text)))
            .ok_or_else(|| format!("unquote string {quote}{text}{quote} error invalid syntax"))
    }

    /// The content of brackets, after the opening one.
    fn array(&mut self, nodes: &mut Vec<Node>) -> Result<(), String> {
        let text = self.take_until(|c| matches!(c, ']' | '\n'));
        if !self.next_if("]") {
            return Err("unterminated array".to_owned());
        }
        if text.contains(',') {
            let parts = text.split(',').map(|part| self.within(&format!("[{}]", part.trim_matches(' '))));
            nodes.push(Node::Union(parts.collect::<Result<_, _>>()?));
        } else if let Some(key) = text.strip_prefix('\'').and_then(|text| text.strip_suffix('\''))
            && !key.contains('\'')
        {
            nodes.extend(self.within(&format!(".{key}"))?);
        } else {
            nodes.push(Node::Slice(slice(if text == "*" { ":" } else { text })?));
        }
        Ok(())
    }

    /// A path within this one.
    fn within(&self, text: &str) -> Result<Vec<Node>, String> {
        if self.depth >= MAX_DEPTH {
            return Err("is nested too deeply".to_owned());
        }
        let text = format!("{text}}}");
        Parser { rest: &text, depth: self.depth + 1 }.action()
    }

    /// The content between `[?(` and `)]`.
    fn filter(&mut self) -> Result<Node, String> {
        let mut quote = None;
        let mut is_closed = false;
        let mut before = ' ';
        let end = self.rest.char_indices().find(|(_, c)| {
            let ends = match c {
                '\n' => true,
                ')' => quote.is_some() == is_closed,
                '"' | '\'' if quote.is_none() => {
                    quote = Some(*c);
                    false
                }
                '"' | '\'' => {
                    is_closed |= before != '\\' && quote == Some(*c);
                    false
                }
                _ => false,
            };
            before = *c;
            ends
        });
        let (at, _) = end.filter(|(_, c)| *c == ')').ok_or("unterminated filter")?;
        let (text, rest) = self.rest.split_at(at);
        self.rest = rest.get(1..).unwrap_or_default();
        if !self.next_if("]") {
            return Err("unclosed array expect ]".to_owned());
        }
        let is_operator = |c: char| matches!(c, '!' | '<' | '>' | '=');
        let (left, tail) = text.split_at(text.find(is_operator).unwrap_or(text.len()));
        let right = tail.trim_start_matches(is_operator);
        let operator = tail.strip_suffix(right).unwrap_or_default();
        if left.is_empty() || operator.is_empty() || right.is_empty() {
            return self.within(text).map(Node::Exists);
        }
        Ok(Node::Filter {
            left: self.within(left)?,
            operator: operator.to_owned(),
            right: self.within(right)?,
        })
    }
}

/// `from`, `from:to` or `from:to:step`, each of which may be left out.
fn slice(text: &str) -> Result<Slice, String> {
    let invalid = || format!("invalid array index {text}");
    let pattern = Regex::new(r"^(-?[0-9]*)(?::(-?[0-9]*))?(?::(-?[0-9]*))?$").map_err(|_| invalid())?;
    let parts = pattern.captures(text).ok_or_else(invalid)?;
    let number = |index: usize| -> Result<Option<i64>, String> {
        let part = parts.get(index).map_or("", |part| part.as_str());
        if part.is_empty() {
            return Ok(None);
        }
        part.parse().map(Some).map_err(|_| format!("array index {part} is not a number"))
    };
    let (from, to, step) = (number(1)?, number(2)?, number(3)?);
    let is_index = parts.get(2).is_none();
    Ok(Slice {
        from,
        to: if is_index { Some(from.unwrap_or(0).saturating_add(1)) } else { to },
        is_index,
        step,
    })
}

/// A text without Go's escapes; `None` for an unknown escape.
fn unquote(text: &str) -> Option<String> {
    let mut plain = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            plain.push(c);
            continue;
        }
        plain.push(match chars.next()? {
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            'x' => code_of(&mut chars, 2)?,
            'u' => code_of(&mut chars, 4)?,
            other @ ('\\' | '\'' | '"') => other,
            _ => return None,
        });
    }
    Some(plain)
}

fn code_of(chars: &mut std::str::Chars<'_>, digits: usize) -> Option<char> {
    let hex: String = chars.by_ref().take(digits).collect();
    u32::from_str_radix(&hex, 16).ok().and_then(char::from_u32)
}
