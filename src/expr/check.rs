//! Names and static types.

use super::{
    functions, methods,
    operators::{Binary, BinaryOperator, Unary},
    syntax::{Loop, Node, Pointer},
    types::Type,
};
use crate::gocompat::{float::to_float, re2};

/// Checks a condition for a `result` of the given type. Returns the type of its value, and the members of `result`
/// that it uses.
///
/// Integer arguments of a function that takes floats become floats.
pub(super) fn check(node: &mut Node, result: &Type) -> Result<(Type, Vec<String>), String> {
    let mut checker = Checker { result, asked: Vec::new(), variables: Vec::new(), scopes: Vec::new() };
    let returns = checker.check(node)?;
    Ok((returns, checker.asked))
}

struct Checker<'a> {
    result: &'a Type,
    /// Members of `result`.
    asked: Vec<String>,
    variables: Vec<(String, Type)>,
    /// The enclosing closures, innermost last.
    scopes: Vec<Scope>,
}

struct Scope {
    item: Type,
    kind: Loop,
}

type Checked = Result<Type, String>;

/// Go's type of a function that is named but not called.
const FUNCTION: Type = Type::Function("func(...interface {}) (interface {}, error)");

impl Checker<'_> {
    fn check(&mut self, node: &mut Node) -> Checked {
        match node {
            Node::Nil => Ok(Type::Nil),
            Node::Bool(_) => Ok(Type::Bool),
            Node::Int(_) => Ok(Type::Int),
            Node::Float(_) => Ok(Type::Float),
            Node::Text(_) => Ok(Type::Text),
            Node::Name(name) => self.name(name),
            Node::Pointer(pointer) => self.pointer(*pointer),
            Node::List(items) => {
                self.items(items)?;
                Ok(Type::list())
            }
            Node::Map(entries) => {
                for (key, value) in entries {
                    self.check(key)?;
                    self.check(value)?;
                }
                Ok(Type::object())
            }
            Node::Unary { operator, text, operand } => {
                let operand = self.check(operand)?;
                unary(*operator, text, operand)
            }
            Node::Binary { operator, left, right } => {
                let left_type = self.check(left)?;
                let (right_type, listed) = match &mut **right {
                    Node::List(items) => (Type::list(), self.items(items)?),
                    other => (self.check(other)?, None),
                };
                binary(operator, &left_type, &right_type, listed.as_ref(), right)
            }
            Node::Conditional { condition, then, otherwise } => self.conditional(condition, then, otherwise),
            Node::Chain(inner) => self.check(inner),
            Node::Member { of, property, optional } => self.member(of, property, *optional),
            Node::Slice { of, from, to } => self.slice(of, from.as_deref_mut(), to.as_deref_mut()),
            Node::Call { callee, args } => self.call(callee, args),
            Node::Function { function, args } => {
                let mut types = Vec::new();
                for (index, arg) in args.iter_mut().enumerate() {
                    types.push(self.check(arg)?);
                    if function.takes_float(index) {
                        make_float(arg);
                    }
                }
                function.check(&types)
            }
            Node::Loop { kind, name, list, body, initial } => {
                self.closure(*kind, name, list, body, initial.as_deref_mut())
            }
            Node::Let { name, value, body } => self.declaration(name, value, body),
        }
    }

    fn name(&self, name: &str) -> Checked {
        if let Some((_, known)) = self.variables.iter().rfind(|(variable, _)| variable == name) {
            return Ok(known.clone());
        }
        match name {
            "result" => Ok(self.result.clone()),
            "$env" => Ok(Type::object()),
            _ if functions::find(name).is_some() || name.parse::<Loop>().is_ok() => Ok(FUNCTION),
            _ => Err(format!("unknown name {name}")),
        }
    }

    fn pointer(&self, pointer: Pointer) -> Checked {
        let scope = self.scopes.last().ok_or("cannot use pointer accessor outside closure")?;
        match (pointer, scope.kind) {
            (Pointer::Item, _) => Ok(scope.item.clone()),
            (Pointer::Index, Loop::Map | Loop::Reduce) => Ok(Type::Int),
            (Pointer::Accumulator, Loop::Reduce) => Ok(Type::Any),
            (Pointer::Index, _) => Err("unknown pointer #index".to_owned()),
            (Pointer::Accumulator, _) => Err("unknown pointer #acc".to_owned()),
        }
    }

    /// Checks the items of a list literal. Returns their common type, if they have one.
    fn items(&mut self, items: &mut [Node]) -> Result<Option<Type>, String> {
        let types: Vec<_> = items.iter_mut().map(|item| self.check(item)).collect::<Result<_, _>>()?;
        let first = types.first().cloned();
        Ok(first.filter(|first| types.iter().all(|other| other == first)))
    }

    fn conditional(
        &mut self,
        condition: &mut Node,
        then: &mut Option<Box<Node>>,
        otherwise: &mut Node,
    ) -> Checked {
        let condition = self.check(condition)?;
        if !condition.is_bool() && condition != Type::Any {
            return Err(format!("non-bool expression (type {condition}) used as condition"));
        }
        let then = match then {
            Some(then) => self.check(then)?,
            None => condition,
        };
        let otherwise = self.check(otherwise)?;
        Ok(match (then, otherwise) {
            (Type::Nil, other) | (other, Type::Nil) => other,
            (then, otherwise) if then.is_assignable_to(&otherwise) => then,
            _ => Type::Any,
        })
    }

    fn member(&mut self, of: &mut Node, property: &mut Node, optional: bool) -> Checked {
        if let (Node::Name(env), Node::Text(name)) = (&*of, &*property)
            && env == "$env"
        {
            let name = self.name(name);
            return if optional { Ok(name.unwrap_or(Type::Any)) } else { name };
        }
        if let (Node::Name(result), Node::Text(name)) = (&*of, &*property)
            && result == "result"
        {
            self.asked.push(name.clone());
        }
        let of = self.check(of)?;
        let key = self.check(property)?;
        if let (Type::Nil, Node::Text(name)) = (&of, &*property) {
            return Err(format!("type {of} has no field {name}"));
        }
        match &of {
            Type::Any => Ok(Type::Any),
            Type::Map(known, value) => {
                let fits = matches!(key, Type::Nil | Type::Any) || key.is_assignable_to(known);
                if fits {
                    Ok((**value).clone())
                } else {
                    Err(format!("cannot use {key} to get an element from {of}"))
                }
            }
            Type::List(item) if key.is_integer() || key == Type::Any => Ok((**item).clone()),
            Type::List(_) => Err(format!("array elements can only be selected using an integer (got {key})")),
            Type::Time if let Node::Text(name) = &*property => Err(format!("type {of} has no field {name}")),
            _ => Err(format!("type {of}[{key}] is undefined")),
        }
    }

    fn slice(&mut self, of: &mut Node, from: Option<&mut Node>, to: Option<&mut Node>) -> Checked {
        let of = self.check(of)?;
        if !matches!(of, Type::Any | Type::Text | Type::List(_)) {
            return Err(format!("cannot slice {of}"));
        }
        for bound in from.into_iter().chain(to) {
            let bound = self.check(bound)?;
            if !bound.is_integer() && bound != Type::Any {
                return Err(format!("non-integer slice index {bound}"));
            }
        }
        Ok(of)
    }

    fn call(&mut self, callee: &mut Node, args: &mut [Node]) -> Checked {
        let name = match &*callee {
            Node::Name(name) => name.clone(),
            Node::Member { property, .. } => match &**property {
                Node::Text(name) => name.clone(),
                _ => "function".to_owned(),
            },
            _ => "function".to_owned(),
        };
        if let Node::Member { of, .. } = callee {
            let of = self.check(of)?;
            if methods::has_methods(&of) {
                let args: Vec<_> = args.iter_mut().map(|arg| self.check(arg)).collect::<Result<_, _>>()?;
                return methods::check(&of, &name, &args);
            }
        }
        let callee = self.check(callee)?;
        args.iter_mut().try_for_each(|arg| self.check(arg).map(|_| ()))?;
        match callee {
            Type::Any => Ok(Type::Any),
            Type::Nil => Err(format!("{name} is nil; cannot call nil as function")),
            other => Err(format!("{other} is not callable")),
        }
    }

    fn closure(
        &mut self,
        kind: Loop,
        name: &str,
        list: &mut Node,
        body: &mut Node,
        initial: Option<&mut Node>,
    ) -> Checked {
        let list = self.check(list)?;
        let item = match &list {
            Type::Any => Type::Any,
            Type::List(item) => (**item).clone(),
            other => return Err(format!("builtin {name} takes only array (got {other})")),
        };
        self.scopes.push(Scope { item: item.clone(), kind });
        let body = self.check(body);
        self.scopes.pop();
        let body = body?;
        if body == Type::Nil {
            return Err("closure cannot be nil".to_owned());
        }
        if let Some(initial) = initial {
            self.check(initial)?;
        }
        let is_predicate = !matches!(kind, Loop::Map | Loop::GroupBy | Loop::Reduce);
        if is_predicate && !body.is_bool() && body != Type::Any {
            return Err(format!("predicate should return boolean (got {body})"));
        }
        Ok(match kind {
            Loop::All | Loop::None | Loop::Any | Loop::One => Type::Bool,
            Loop::Filter => Type::List(Box::new(item)),
            Loop::Map => Type::List(Box::new(body)),
            Loop::Count | Loop::FindIndex | Loop::FindLastIndex => Type::Int,
            Loop::Find | Loop::FindLast => item,
            Loop::GroupBy => Type::Map(Box::new(Type::Any), Box::new(Type::list())),
            Loop::Reduce => body,
        })
    }

    fn declaration(&mut self, name: &str, value: &mut Node, body: &mut Node) -> Checked {
        if name == "result" {
            return Err(format!("cannot redeclare {name}"));
        }
        if functions::find(name).is_some() || name.parse::<Loop>().is_ok() {
            return Err(format!("cannot redeclare builtin {name}"));
        }
        if self.variables.iter().any(|(variable, _)| variable == name) {
            return Err(format!("cannot redeclare variable {name}"));
        }
        let value = self.check(value)?;
        self.variables.push((name.to_owned(), value));
        let body = self.check(body);
        self.variables.pop();
        body
    }
}

/// Turns an integer literal, or a sum of them, into floats.
fn make_float(node: &mut Node) {
    match node {
        Node::Int(number) => *node = Node::Float(to_float(*number)),
        Node::Unary { operand, .. } => make_float(operand),
        Node::Binary { operator, left, right }
            if matches!(operator.kind, Binary::Add | Binary::Subtract | Binary::Multiply) =>
        {
            make_float(left);
            make_float(right);
        }
        _ => {}
    }
}

fn unary(operator: Unary, text: &str, operand: Type) -> Checked {
    match operator {
        Unary::Not if operand.is_bool() || operand == Type::Any => Ok(Type::Bool),
        Unary::Plus | Unary::Minus if operand.is_number() || operand == Type::Any => Ok(operand),
        _ => Err(format!("invalid operation: {text} (mismatched type {operand})")),
    }
}

/// The type of an operation. `listed` is the common type of a list literal on the right.
fn binary(
    operator: &BinaryOperator,
    left: &Type,
    right: &Type,
    listed: Option<&Type>,
    right_node: &Node,
) -> Checked {
    let both = |is: fn(&Type) -> bool| is(left) && is(right);
    // One side can be anything, and the other has a type that can work.
    let open = |is: &[fn(&Type) -> bool]| {
        let fits = |side: &Type| *side == Type::Any || is.iter().any(|is| is(side));
        (*left == Type::Any && fits(right)) || (*right == Type::Any && fits(left))
    };
    let numbers = both(Type::is_number);
    let texts = both(Type::is_text);
    let fits = match operator.kind {
        Binary::Equal | Binary::NotEqual => left.is_comparable_with(right).then_some(Type::Bool),
        Binary::Or | Binary::And => (both(Type::is_bool) || open(&[Type::is_bool])).then_some(Type::Bool),
        Binary::Less | Binary::More | Binary::LessOrEqual | Binary::MoreOrEqual => {
            let times = both(Type::is_time);
            (numbers || texts || times || open(&[Type::is_number, Type::is_text, Type::is_time]))
                .then_some(Type::Bool)
        }
        Binary::Add if texts => Some(Type::Text),
        Binary::Add | Binary::Subtract | Binary::Multiply if numbers => {
            Some(left.clone().combined_with(right))
        }
        Binary::Add
            if matches!((left, right), (Type::Time, Type::Duration) | (Type::Duration, Type::Time)) =>
        {
            Some(Type::Time)
        }
        Binary::Subtract if *left == Type::Time && *right == Type::Duration => Some(Type::Time),
        Binary::Subtract if both(Type::is_time) => Some(Type::Duration),
        Binary::Add => open(&[Type::is_number, Type::is_text, Type::is_time]).then_some(Type::Any),
        Binary::Subtract => open(&[Type::is_number, Type::is_time]).then_some(Type::Any),
        Binary::Multiply => open(&[Type::is_number]).then_some(Type::Any),
        Binary::Divide | Binary::Power => (numbers || open(&[Type::is_number])).then_some(Type::Float),
        Binary::Modulo if both(Type::is_integer) => Some(Type::Int),
        Binary::Modulo => open(&[Type::is_integer]).then_some(Type::Any),
        Binary::Range => {
            let integers = both(Type::is_integer) || open(&[Type::is_integer]);
            integers.then(|| Type::List(Box::new(Type::Int)))
        }
        Binary::In => return membership(left, right, listed),
        Binary::Matches | Binary::Contains | Binary::StartsWith | Binary::EndsWith => {
            if let (Binary::Matches, Node::Text(pattern)) = (operator.kind, right_node) {
                re2::compile(pattern).map_err(|why| format!("error parsing regexp: {why}"))?;
            }
            (texts || open(&[Type::is_text])).then_some(Type::Bool)
        }
        Binary::Coalesce => Some(match (left, right) {
            (Type::Nil, other) | (other, Type::Nil) => other.clone(),
            _ if right.is_assignable_to(left) => left.clone(),
            _ => Type::Any,
        }),
    };
    let text = operator.text;
    fits.ok_or_else(|| format!("invalid operation: {text} (mismatched types {left} and {right})"))
}

fn membership(left: &Type, right: &Type, listed: Option<&Type>) -> Checked {
    let is_open = matches!(left, Type::Nil | Type::Any);
    match right {
        Type::Map(key, _) if !is_open && !left.is_assignable_to(key) => {
            Err(format!("cannot use {left} as type {key} in map key"))
        }
        Type::List(item) => {
            let mut known = [Some(&**item), listed].into_iter().flatten();
            match known.find(|item| !left.is_comparable_with(item)) {
                Some(item) => Err(format!("cannot use {left} as type {item} in array")),
                None => Ok(Type::Bool),
            }
        }
        Type::Any | Type::Map(..) => Ok(Type::Bool),
        Type::Text if *left == Type::Any => Ok(Type::Bool),
        _ => Err(format!("invalid operation: in (mismatched types {left} and {right})")),
    }
}
