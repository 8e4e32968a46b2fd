//! Splits the text into tokens.

use std::{fmt, iter::Peekable, str::Chars};

/// Longest condition, in bytes.
const MAX_LENGTH: usize = 4096;

/// Maximum number of tokens of a condition: limits the recursion of all later stages.
const MAX_TOKENS: usize = 500;

/// Maximum number of patterns of a condition: compiling one takes as long as hundreds of tokens.
const MAX_PATTERNS: usize = 10;

/// Names that are operators.
const WORDS: &[&str] = &["not", "in", "or", "and", "matches", "contains", "startsWith", "endsWith", "let"];

/// A word of the language.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    Name(String),
    Number(String),
    Text(String),
    Operator(String),
    Bracket(char),
    End,
}

impl Token {
    pub fn is_operator(&self, text: &str) -> bool {
        matches!(self, Self::Operator(operator) if operator == text)
    }
}

impl fmt::Display for Token {
    /// As the messages of the original name tokens.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(text) => write!(f, "Identifier({text:?})"),
            Self::Number(text) => write!(f, "Number({text:?})"),
            Self::Text(text) => write!(f, "String({text:?})"),
            Self::Operator(text) => write!(f, "Operator({text:?})"),
            Self::Bracket(bracket) => write!(f, "Bracket(\"{bracket}\")"),
            Self::End => f.write_str("EOF"),
        }
    }
}

/// All tokens of `text`, the end mark last.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, String> {
    if text.len() > MAX_LENGTH {
        return Err(format!("a condition may have at most {MAX_LENGTH} bytes"));
    }
    let mut lexer = Lexer { rest: text.chars().peekable() };
    let mut tokens = Vec::new();
    while let Some(token) = lexer.next_token()? {
        tokens.push(token);
        if tokens.len() > MAX_TOKENS {
            return Err(format!("a condition may have at most {MAX_TOKENS} tokens"));
        }
    }
    if tokens.iter().filter(|token| token.is_operator("matches")).count() > MAX_PATTERNS {
        return Err(format!("a condition may use `matches` at most {MAX_PATTERNS} times"));
    }
    tokens.push(Token::End);
    Ok(tokens)
}

struct Lexer<'a> {
    rest: Peekable<Chars<'a>>,
}

impl Lexer<'_> {
    fn next_token(&mut self) -> Result<Option<Token>, String> {
        self.skip_blank()?;
        let Some(&first) = self.rest.peek() else { return Ok(None) };
        let token = match first {
            '\'' | '"' => Token::Text(self.text()?),
            '0'..='9' => Token::Number(self.number(String::new())?),
            '(' | '[' | '{' | ')' | ']' | '}' => {
                self.rest.next();
                Token::Bracket(first)
            }
            '.' => return self.dot().map(Some),
            '?' => self.operator(".?"),
            '|' => self.operator("|"),
            '&' | '!' | '=' | '*' | '<' | '>' => self.operator("&=*"),
            ',' | ':' | ';' | '%' | '+' | '-' | '^' | '/' | '#' => self.operator(""),
            _ if is_alphanumeric(first) => {
                let word = self.take_while(is_alphanumeric);
                if WORDS.contains(&word.as_str()) { Token::Operator(word) } else { Token::Name(word) }
            }
            _ => return Err(format!("unrecognized character: U+{:04X} '{first}'", u32::from(first))),
        };
        Ok(Some(token))
    }

    /// Skips white space and comments.
    fn skip_blank(&mut self) -> Result<(), String> {
        loop {
            self.take_while(char::is_whitespace);
            let mut ahead = self.rest.clone();
            match (ahead.next(), ahead.next()) {
                (Some('/'), Some('/')) => {
                    self.take_while(|c| c != '\n');
                }
                (Some('/'), Some('*')) => {
                    self.rest = ahead;
                    self.skip_comment()?;
                }
                _ => return Ok(()),
            }
        }
    }

    fn skip_comment(&mut self) -> Result<(), String> {
        loop {
            match self.rest.next() {
                None => return Err("unclosed comment".to_owned()),
                Some('*') if self.rest.next_if_eq(&'/').is_some() => return Ok(()),
                Some(_) => {}
            }
        }
    }

    /// One character and, if it is among `followers`, the next.
    fn operator(&mut self, followers: &str) -> Token {
        let first = self.rest.next();
        let second = self.rest.next_if(|c| followers.contains(*c));
        Token::Operator(first.into_iter().chain(second).collect())
    }

    fn dot(&mut self) -> Result<Token, String> {
        self.rest.next();
        if self.rest.peek().is_some_and(char::is_ascii_digit) {
            return self.number(".".to_owned()).map(Token::Number);
        }
        let text = if self.rest.next_if_eq(&'.').is_some() { ".." } else { "." };
        Ok(Token::Operator(text.to_owned()))
    }

    fn number(&mut self, mut text: String) -> Result<String, String> {
        let mut digits: fn(char) -> bool = |c| c.is_ascii_digit() || c == '_';
        text.extend(self.rest.next_if_eq(&'0'));
        if text == "0"
            && let Some(base) = self.rest.next_if(|c| "xXoObB".contains(*c))
        {
            text.push(base);
            digits = |c| c.is_ascii_hexdigit() || c == '_';
        }
        text.push_str(&self.take_while(digits));
        if !text.starts_with('.') && !self.at_range() {
            text.extend(self.rest.next_if_eq(&'.'));
            text.push_str(&self.take_while(digits));
        }
        if let Some(mark) = self.rest.next_if(|c| "eE".contains(*c)) {
            text.push(mark);
            text.extend(self.rest.next_if(|c| "+-".contains(*c)));
            text.push_str(&self.take_while(digits));
        }
        match self.rest.next_if(|c| is_alphanumeric(*c)) {
            Some(stray) => Err(format!("bad number syntax: \"{text}{stray}\"")),
            None => Ok(text),
        }
    }

    /// Two dots after a number are the range operator, not its fraction.
    fn at_range(&self) -> bool {
        let mut ahead = self.rest.clone();
        ahead.next() == Some('.') && ahead.next() == Some('.')
    }

    fn text(&mut self) -> Result<String, String> {
        let quote = self.rest.next();
        let mut text = String::new();
        loop {
            match self.rest.next() {
                None | Some('\n') => return Err("literal not terminated".to_owned()),
                end if end == quote => return Ok(text),
                Some('\\') => text.push(self.escape().ok_or("invalid char escape")?),
                Some(c) => text.push(c),
            }
        }
    }

    fn escape(&mut self) -> Option<char> {
        Some(match self.rest.next()? {
            'a' => '\x07',
            'b' => '\x08',
            'f' => '\x0c',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\x0b',
            quoted @ ('\\' | '\'' | '"') => quoted,
            'x' => self.code(0, 2, 16)?,
            'u' => self.code(0, 4, 16)?,
            'U' => self.code(0, 8, 16)?,
            octal @ '0'..='3' => self.code(octal.to_digit(8)?, 2, 8)?,
            _ => return None,
        })
    }

    /// The character whose code is `start` and `count` more digits.
    fn code(&mut self, start: u32, count: usize, radix: u32) -> Option<char> {
        let mut code = start;
        for _ in 0..count {
            let digit = self.rest.next()?.to_digit(radix)?;
            code = code.checked_mul(radix)?.checked_add(digit)?;
        }
        char::from_u32(code)
    }

    fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> String {
        std::iter::from_fn(|| self.rest.next_if(|c| wanted(*c))).collect()
    }
}

/// Whether the character is allowed in a name.
pub(super) fn is_alphanumeric(c: char) -> bool {
    c == '_' || c == '$' || c.is_alphanumeric()
}
