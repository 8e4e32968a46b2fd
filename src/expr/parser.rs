//! Parses tokens into the syntax tree, by precedence climbing.

use super::{
    functions,
    operators::{Binary, BinaryOperator, PIPE_PRECEDENCE, Unary, UnaryOperator},
    syntax::{Loop, Node, Pointer},
    token::{Token, is_alphanumeric},
};

/// Parses a whole condition.
pub(super) fn parse(tokens: Vec<Token>) -> Result<Node, String> {
    let mut parser = Parser { tokens, at: 0, closures: 0, let_values: 0 };
    let node = parser.expression(0)?;
    if *parser.peek() == Token::End { Ok(node) } else { Err(unexpected(parser.peek())) }
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    /// Number of closures around the current token: `#` is valid only within one.
    closures: usize,
    /// Number of `let … in` values around the current token, outside of brackets: `in` ends the innermost.
    let_values: usize,
}

type Parsed = Result<Node, String>;

fn unexpected(token: &Token) -> String {
    format!("unexpected token {token}")
}

impl Parser {
    fn peek(&self) -> &Token {
        self.tokens.get(self.at).unwrap_or(&Token::End)
    }

    fn next(&mut self) -> Token {
        let token = self.peek().clone();
        self.at += 1;
        token
    }

    fn next_if(&mut self, token: &Token) -> bool {
        let matches = self.peek() == token;
        self.at += usize::from(matches);
        matches
    }

    fn next_if_operator(&mut self, text: &str) -> bool {
        let matches = self.peek().is_operator(text);
        self.at += usize::from(matches);
        matches
    }

    fn expect(&mut self, token: &Token) -> Result<(), String> {
        if self.next_if(token) { Ok(()) } else { Err(unexpected(self.peek())) }
    }

    fn expect_operator(&mut self, text: &str) -> Result<(), String> {
        if self.next_if_operator(text) { Ok(()) } else { Err(unexpected(self.peek())) }
    }

    fn expect_name(&mut self) -> Result<String, String> {
        match self.next() {
            Token::Name(name) => Ok(name),
            token => Err(unexpected(&token)),
        }
    }

    /// Parses what is in brackets, where `in` is an operator again.
    fn enclosed<T>(&mut self, parse: impl FnOnce(&mut Self) -> Result<T, String>) -> Result<T, String> {
        let outer = std::mem::take(&mut self.let_values);
        let inner = parse(self)?;
        self.let_values = outer;
        Ok(inner)
    }

    fn expression(&mut self, precedence: u16) -> Parsed {
        if precedence == 0 && self.next_if_operator("let") {
            return self.declaration();
        }
        let mut left = self.primary()?;
        let mut after_coalesce = false;
        loop {
            let start = self.at;
            if precedence == PIPE_PRECEDENCE && self.next_if_operator("|") {
                left = self.pipe(left)?;
                after_coalesce = false;
                continue;
            }
            let negated = self.next_if_operator("not");
            let Some(operator) = self.binary_operator(precedence) else {
                // The caller refuses a `not` that does not negate an operator.
                self.at = start + usize::from(negated);
                break;
            };
            if after_coalesce && operator.kind != Binary::Coalesce {
                let text = operator.text;
                return Err(format!(
                    "Operator ({text}) and coalesce expressions (??) cannot be mixed. Wrap either by parentheses."
                ));
            }
            let right = Box::new(self.expression(operator.right_precedence())?);
            left = Node::Binary { operator, left: Box::new(left), right };
            if negated {
                left = Node::Unary { operator: Unary::Not, text: "not", operand: Box::new(left) };
            }
            after_coalesce = operator.kind == Binary::Coalesce;
        }
        if precedence == 0 { self.conditional(left) } else { Ok(left) }
    }

    /// Consumes the next token if it is an operator of at least this precedence.
    fn binary_operator(&mut self, precedence: u16) -> Option<&'static BinaryOperator> {
        let Token::Operator(text) = self.peek() else { return None };
        let operator = BinaryOperator::find(text)?;
        let ends_let_value = operator.kind == Binary::In && self.let_values > 0;
        if operator.precedence < precedence || ends_let_value {
            return None;
        }
        self.at += 1;
        Some(operator)
    }

    /// `NAME = VALUE; BODY`, or with `in` instead of the semicolon, as many people write it.
    fn declaration(&mut self) -> Parsed {
        let name = self.expect_name()?;
        self.expect_operator("=")?;
        let is_let_in = !self.has_semicolon_ahead();
        self.let_values += usize::from(is_let_in);
        let value = Box::new(self.expression(0)?);
        self.let_values -= usize::from(is_let_in);
        self.expect_operator(if is_let_in && self.peek().is_operator("in") { "in" } else { ";" })?;
        let body = Box::new(self.expression(0)?);
        Ok(Node::Let { name, value, body })
    }

    /// Whether a semicolon ends the value that begins here.
    fn has_semicolon_ahead(&self) -> bool {
        let mut depth = 0_usize;
        for token in self.tokens.iter().skip(self.at) {
            match token {
                Token::Bracket('(' | '[' | '{') => depth += 1,
                Token::Bracket(_) if depth == 0 => return false,
                Token::Bracket(_) => depth -= 1,
                Token::Operator(text) if text == ";" && depth == 0 => return true,
                _ => {}
            }
        }
        false
    }

    fn conditional(&mut self, mut node: Node) -> Parsed {
        while self.next_if_operator("?") {
            let then = if self.next_if_operator(":") {
                None
            } else {
                let then = self.expression(0)?;
                self.expect_operator(":")?;
                Some(Box::new(then))
            };
            let otherwise = Box::new(self.expression(0)?);
            node = Node::Conditional { condition: Box::new(node), then, otherwise };
        }
        Ok(node)
    }

    fn primary(&mut self) -> Parsed {
        if let Token::Operator(text) = self.peek() {
            if let Some(operator) = UnaryOperator::find(text) {
                self.at += 1;
                let operand = Box::new(self.expression(operator.precedence)?);
                return self.postfix(Node::Unary { operator: operator.kind, text: operator.text, operand });
            }
            if text == "#" || text == "." {
                return self.pointer();
            }
        }
        if self.next_if(&Token::Bracket('(')) {
            let node = self.enclosed(|parser| parser.expression(0))?;
            self.expect(&Token::Bracket(')'))?;
            return self.postfix(node);
        }
        match self.next() {
            Token::Name(name) => self.name(name),
            Token::Number(text) => number(&text),
            Token::Text(text) => self.postfix(Node::Text(text)),
            Token::Bracket('[') => {
                let node = self.enclosed(Self::list)?;
                self.postfix(node)
            }
            Token::Bracket('{') => {
                let node = self.enclosed(Self::map)?;
                self.postfix(node)
            }
            token => Err(unexpected(&token)),
        }
    }

    /// `#`, `#acc`, or `.field` for `#.field`.
    fn pointer(&mut self) -> Parsed {
        if self.closures == 0 {
            return Err("cannot use pointer accessor outside closure".to_owned());
        }
        let mut pointer = Pointer::Item;
        if self.next_if_operator("#")
            && let Token::Name(name) = self.peek()
        {
            pointer = match name.as_str() {
                "index" => Pointer::Index,
                "acc" => Pointer::Accumulator,
                _ => return Err(format!("unknown pointer #{name}")),
            };
            self.at += 1;
        }
        self.postfix(Node::Pointer(pointer))
    }

    fn name(&mut self, name: String) -> Parsed {
        match name.as_str() {
            "true" => return Ok(Node::Bool(true)),
            "false" => return Ok(Node::Bool(false)),
            "nil" => return Ok(Node::Nil),
            _ => {}
        }
        let node = if self.next_if(&Token::Bracket('(')) {
            self.enclosed(|parser| parser.call(name, None))?
        } else {
            Node::Name(name)
        };
        self.postfix(node)
    }

    fn pipe(&mut self, left: Node) -> Parsed {
        let name = self.expect_name()?;
        self.expect(&Token::Bracket('('))?;
        let node = self.enclosed(|parser| parser.call(name, Some(left)))?;
        self.postfix(node)
    }

    /// A call after its opening bracket; `piped` is its first argument.
    fn call(&mut self, name: String, piped: Option<Node>) -> Parsed {
        if let Ok(kind) = name.parse::<Loop>() {
            return self.closure_call(kind, name, piped);
        }
        let args = self.arguments(piped)?;
        Ok(match functions::find(&name) {
            Some(function) => Node::Function { function, args },
            None => Node::Call { callee: Box::new(Node::Name(name)), args },
        })
    }

    /// Arguments after the opening bracket, with the closing one; `piped` comes first.
    fn arguments(&mut self, piped: Option<Node>) -> Result<Vec<Node>, String> {
        let mut args: Vec<_> = piped.into_iter().collect();
        let mut is_first = true;
        while !self.next_if(&Token::Bracket(')')) {
            if !std::mem::take(&mut is_first) {
                self.expect_operator(",")?;
            }
            args.push(self.expression(0)?);
        }
        Ok(args)
    }

    fn closure_call(&mut self, kind: Loop, name: String, piped: Option<Node>) -> Parsed {
        let list = if let Some(list) = piped {
            list
        } else {
            let list = self.expression(0)?;
            self.expect_operator(",")?;
            list
        };
        let body = Box::new(self.closure()?);
        let has_initial = kind == Loop::Reduce && self.next_if_operator(",");
        let initial = if has_initial { Some(Box::new(self.expression(0)?)) } else { None };
        self.expect(&Token::Bracket(')'))?;
        Ok(Node::Loop { kind, name, list: Box::new(list), body, initial })
    }

    fn closure(&mut self) -> Parsed {
        let is_braced = self.next_if(&Token::Bracket('{'));
        self.closures += 1;
        let body = self.expression(0)?;
        self.closures -= 1;
        if is_braced {
            self.expect(&Token::Bracket('}'))?;
        }
        Ok(body)
    }

    fn list(&mut self) -> Parsed {
        let mut items = Vec::new();
        while !self.next_if(&Token::Bracket(']')) {
            if !items.is_empty() {
                self.expect_operator(",")?;
                if self.next_if(&Token::Bracket(']')) {
                    break;
                }
            }
            items.push(self.expression(0)?);
        }
        Ok(Node::List(items))
    }

    fn map(&mut self) -> Parsed {
        let mut entries = Vec::new();
        while !self.next_if(&Token::Bracket('}')) {
            if !entries.is_empty() {
                self.expect_operator(",")?;
                if self.next_if(&Token::Bracket('}')) {
                    break;
                }
            }
            let key = match self.next() {
                Token::Name(text) | Token::Text(text) | Token::Number(text) => Node::Text(text),
                Token::Bracket('(') => {
                    let key = self.expression(0)?;
                    self.expect(&Token::Bracket(')'))?;
                    key
                }
                token => {
                    return Err(format!(
                        "a map key must be a quoted string, a number, a identifier, or an expression enclosed in parentheses (unexpected token {token})"
                    ));
                }
            };
            self.expect_operator(":")?;
            entries.push((key, self.expression(0)?));
        }
        Ok(Node::Map(entries))
    }

    /// Members, indices, slices and calls after `node`.
    fn postfix(&mut self, mut node: Node) -> Parsed {
        loop {
            node = match self.peek() {
                Token::Operator(text) if text == "." || text == "?." => self.member(node)?,
                Token::Bracket('[') => {
                    self.at += 1;
                    self.enclosed(|parser| parser.index(node))?
                }
                _ => return Ok(node),
            };
        }
    }

    fn member(&mut self, node: Node) -> Parsed {
        let optional = self.next().is_operator("?.");
        let name = match self.next() {
            Token::Name(name) => name,
            Token::Operator(word) if word.chars().all(is_alphanumeric) => word,
            Token::End => return Err("unexpected end of expression".to_owned()),
            _ => return Err("expected name".to_owned()),
        };
        let (of, in_chain) = match node {
            Node::Chain(inner) => (inner, true),
            node => (Box::new(node), false),
        };
        let mut node = Node::Member { of, property: Box::new(Node::Text(name)), optional };
        if self.next_if(&Token::Bracket('(')) {
            let args = self.enclosed(|parser| parser.arguments(None))?;
            node = Node::Call { callee: Box::new(node), args };
        }
        Ok(if in_chain || optional { Node::Chain(Box::new(node)) } else { node })
    }

    fn index(&mut self, of: Node) -> Parsed {
        let of = Box::new(of);
        let from = if self.peek().is_operator(":") { None } else { Some(Box::new(self.expression(0)?)) };
        if !self.next_if_operator(":") {
            self.expect(&Token::Bracket(']'))?;
            let property = from.unwrap_or_else(|| Box::new(Node::Nil));
            return Ok(Node::Member { of, property, optional: false });
        }
        let is_open = *self.peek() == Token::Bracket(']');
        let to = if is_open { None } else { Some(Box::new(self.expression(0)?)) };
        self.expect(&Token::Bracket(']'))?;
        Ok(Node::Slice { of, from, to })
    }
}

fn number(text: &str) -> Parsed {
    let digits = text.replace('_', "");
    if let Some(hex) = digits.strip_prefix("0x") {
        let number = i64::from_str_radix(hex, 16);
        return number.map(Node::Int).map_err(|_| format!("invalid hex literal: {text:?}"));
    }
    if digits.contains(['.', 'e', 'E']) {
        let number = digits.parse().ok().filter(|number: &f64| number.is_finite());
        return number.map(Node::Float).ok_or_else(|| format!("invalid float literal: {text:?}"));
    }
    digits.parse().map(Node::Int).map_err(|error: std::num::ParseIntError| {
        let problem = match error.kind() {
            std::num::IntErrorKind::PosOverflow => "value out of range",
            _ => "invalid syntax",
        };
        format!("invalid integer literal: strconv.ParseInt: parsing {digits:?}: {problem}")
    })
}
