//! Evaluation.

use super::{
    access::{OUT_OF_RANGE, fetch, slice},
    library::Env,
    methods,
    operate::{self, bool, equal, operate},
    operators::{Binary, BinaryOperator, Unary},
    syntax::{Loop, Node, Pointer},
    types::Type,
    value::{List, Value},
};
use crate::gocompat::re2;
use regex::Regex;
use std::{collections::HashMap, rc::Rc};

/// Work that one evaluation may do: each visited node and each processed unit of weight counts one.
const MAX_WORK: usize = 10_000_000;

/// Heaviest value that an evaluation may make.
const MAX_WEIGHT: usize = 2_000_000;

/// Work that compiling a regular expression counts as.
const REGEX_WORK: usize = 10_000;

/// Evaluates a checked condition.
pub(super) fn run(node: &Node, env: &Env<'_>) -> Result<Value, String> {
    let mut machine = Machine {
        env,
        variables: Vec::new(),
        scopes: Vec::new(),
        patterns: HashMap::new(),
        work_left: MAX_WORK,
    };
    machine.eval(node).or_else(|stop| match stop {
        Stop::Absent => Ok(Value::Nil),
        Stop::Failed(problem) => Err(problem),
    })
}

struct Machine<'a> {
    env: &'a Env<'a>,
    variables: Vec<(&'a str, Value)>,
    scopes: Vec<Scope>,
    patterns: HashMap<Rc<str>, Regex>,
    work_left: usize,
}

struct Scope {
    item: Value,
    index: i64,
    accumulator: Value,
}

/// Why an expression has no value.
enum Stop {
    /// The owner of an optional member is nil, so the whole chain is nil.
    Absent,
    Failed(String),
}

impl From<String> for Stop {
    fn from(problem: String) -> Self {
        Self::Failed(problem)
    }
}

impl From<&str> for Stop {
    fn from(problem: &str) -> Self {
        Self::Failed(problem.to_owned())
    }
}

type Evaluated = Result<Value, Stop>;

impl<'a> Machine<'a> {
    fn eval(&mut self, node: &'a Node) -> Evaluated {
        self.work(1)?;
        let value = self.value(node)?;
        if value.weight() > MAX_WEIGHT {
            return Err("memory budget exceeded".into());
        }
        Ok(value)
    }

    fn work(&mut self, amount: usize) -> Result<(), Stop> {
        self.work_left =
            self.work_left.checked_sub(amount).ok_or("the condition takes too long to evaluate")?;
        Ok(())
    }

    fn value(&mut self, node: &'a Node) -> Evaluated {
        match node {
            Node::Nil => Ok(Value::Nil),
            Node::Bool(value) => Ok(Value::Bool(*value)),
            Node::Int(value) => Ok(Value::Int(*value)),
            Node::Float(value) => Ok(Value::Float(*value)),
            Node::Text(text) => Ok(Value::text(text.as_str())),
            Node::Name(name) => self.name(name),
            Node::Pointer(pointer) => self.pointer(*pointer),
            Node::List(items) => {
                let items: Vec<_> = items.iter().map(|item| self.eval(item)).collect::<Result<_, _>>()?;
                Ok(Value::list(items))
            }
            Node::Map(entries) => self.map(entries),
            Node::Unary { operator, operand, .. } => {
                let operand = self.eval(operand)?;
                unary(*operator, operand)
            }
            Node::Binary { operator, left, right } => self.binary(operator, left, right),
            Node::Conditional { condition, then, otherwise } => {
                let condition = self.eval(condition)?;
                match (bool(&condition)?, then) {
                    (true, None) => Ok(condition),
                    (true, Some(then)) => self.eval(then),
                    (false, _) => self.eval(otherwise),
                }
            }
            Node::Chain(inner) => self.eval(inner).or_else(|stop| match stop {
                Stop::Absent => Ok(Value::Nil),
                failed @ Stop::Failed(_) => Err(failed),
            }),
            Node::Member { of, property, optional } => {
                if let Some(found) = self.first_found(of, property) {
                    return found;
                }
                let of = self.eval(of)?;
                if *optional && matches!(of, Value::Nil) {
                    return Err(Stop::Absent);
                }
                let property = self.eval(property)?;
                Ok(fetch(&of, &property)?)
            }
            Node::Slice { of, from, to } => {
                let of = self.eval(of)?;
                let to = to.as_ref().map(|to| self.eval(to)).transpose()?;
                let from = from.as_ref().map(|from| self.eval(from)).transpose()?;
                Ok(slice(&of, from.as_ref(), to.as_ref())?)
            }
            Node::Call { callee, args } => {
                if let Node::Member { of, property, optional } = &**callee {
                    let of = self.eval(of)?;
                    if *optional && matches!(of, Value::Nil) {
                        return Err(Stop::Absent);
                    }
                    if let (true, Node::Text(name)) = (methods::has_methods(&of.type_of()), &**property) {
                        let args: Vec<_> = args.iter().map(|arg| self.eval(arg)).collect::<Result<_, _>>()?;
                        return Ok(methods::call(&of, name, &args)?);
                    }
                }
                let callee = self.eval(callee)?.type_of();
                Err(Stop::Failed(format!("reflect: call of reflect.Value.Call on {callee} Value")))
            }
            Node::Function { function, args } => {
                let args: Vec<_> = args.iter().map(|arg| self.eval(arg)).collect::<Result<_, _>>()?;
                args.iter().try_for_each(|arg| self.work(arg.weight()))?;
                Ok((function.call)(&args, self.env)?)
            }
            Node::Loop { kind, list, body, initial, .. } => {
                self.repeat(*kind, list, body, initial.as_deref())
            }
            Node::Let { name, value, body } => {
                let value = self.eval(value)?;
                self.variables.push((name, value));
                let body = self.eval(body);
                self.variables.pop();
                body
            }
        }
    }

    fn name(&self, name: &str) -> Evaluated {
        if let Some((_, value)) = self.variables.iter().rfind(|(variable, _)| *variable == name) {
            return Ok(value.clone());
        }
        match name {
            "result" => Ok(self.env.result.clone()),
            "$env" => Ok(Value::object([(Value::text("result"), self.env.result.clone())])),
            _ => Err(Stop::Failed(format!("{name} is a function, not a value"))),
        }
    }

    fn pointer(&self, pointer: Pointer) -> Evaluated {
        let scope = self.scopes.last().ok_or("cannot use pointer accessor outside closure")?;
        Ok(match pointer {
            Pointer::Item => scope.item.clone(),
            Pointer::Index => Value::Int(scope.index),
            Pointer::Accumulator => scope.accumulator.clone(),
        })
    }

    fn map(&mut self, nodes: &'a [(Node, Node)]) -> Evaluated {
        let mut entries: Vec<(Value, Value)> = Vec::new();
        for (key, value) in nodes {
            let key = self.eval(key)?;
            operate::text(&key)?;
            let value = self.eval(value)?;
            entries.retain(|(known, _)| !known.is_identical_to(&key));
            entries.push((key, value));
        }
        Ok(Value::object(entries))
    }

    fn binary(&mut self, operator: &BinaryOperator, left: &'a Node, right: &'a Node) -> Evaluated {
        let left = self.eval(left)?;
        let needs_right = match operator.kind {
            Binary::Or => !bool(&left)?,
            Binary::And => bool(&left)?,
            Binary::Coalesce => matches!(left, Value::Nil),
            _ => {
                let right = self.eval(right)?;
                self.work(left.weight().saturating_add(right.weight()))?;
                return match operator.kind {
                    Binary::Matches => self.matches(&left, &right),
                    _ => Ok(operate(operator, &left, &right)?),
                };
            }
        };
        if needs_right { self.eval(right) } else { Ok(left) }
    }

    /// `filter(…)[0]` and `filter(…)[-1]` visit no more items than necessary, as in the original.
    fn first_found(&mut self, of: &'a Node, property: &'a Node) -> Option<Evaluated> {
        let Node::Loop { kind: Loop::Filter, list, body, .. } = of else { return None };
        let kind = match property {
            Node::Int(0) => Loop::Find,
            Node::Unary { operator: Unary::Minus, operand, .. } if matches!(**operand, Node::Int(1)) => {
                Loop::FindLast
            }
            _ => return None,
        };
        let mut find = || {
            let list = self.list(list)?;
            let found = self.found(kind, &list, body)?;
            Ok(found.and_then(|index| list.items.get(index)).cloned().ok_or(OUT_OF_RANGE)?)
        };
        Some(find())
    }

    /// A pattern is compiled once, even if a closure uses it for many items.
    fn matches(&mut self, whole: &Value, pattern: &Value) -> Evaluated {
        let pattern = operate::text(pattern)?;
        if !self.patterns.contains_key(pattern) {
            self.work(REGEX_WORK)?;
            let compiled = re2::compile(pattern).map_err(|why| format!("error parsing regexp: {why}"))?;
            self.patterns.insert(pattern.into(), compiled);
        }
        let is_match = |regex: &Regex| Ok(Value::Bool(regex.is_match(operate::text(whole)?)));
        self.patterns.get(pattern).map_or(Ok(Value::Nil), is_match)
    }

    fn repeat(&mut self, kind: Loop, list: &'a Node, body: &'a Node, initial: Option<&'a Node>) -> Evaluated {
        let list = self.list(list)?;
        match kind {
            Loop::Reduce => self.reduce(&list, body, initial),
            Loop::Map => {
                let values = self.each(&list, body)?;
                Ok(Value::list(values))
            }
            Loop::GroupBy => {
                let keys = self.each(&list, body)?;
                Ok(group(&list, keys))
            }
            _ => self.search(kind, &list, body),
        }
    }

    fn list(&mut self, node: &'a Node) -> Result<List, Stop> {
        match self.eval(node)? {
            Value::List(list) => Ok(list),
            other => {
                let other = other.type_of();
                Err(Stop::Failed(format!("reflect: call of reflect.Value.Len on {other} Value")))
            }
        }
    }

    /// The index of the first item, or the last, for which the closure is true.
    fn found(&mut self, kind: Loop, list: &List, body: &'a Node) -> Result<Option<usize>, Stop> {
        let is_backwards = matches!(kind, Loop::FindLast | Loop::FindLastIndex);
        for step in 0..list.items.len() {
            let index = if is_backwards { list.items.len() - 1 - step } else { step };
            let Some(item) = list.items.get(index) else { break };
            if bool(&self.item(item, index, Value::Nil, body)?)? {
                return Ok(Some(index));
            }
        }
        Ok(None)
    }

    /// The functions that test the items in order until the result is known.
    fn search(&mut self, kind: Loop, list: &List, body: &'a Node) -> Evaluated {
        match kind {
            Loop::Find | Loop::FindLast => {
                let found = self.found(kind, list, body)?;
                return Ok(found.and_then(|index| list.items.get(index)).cloned().unwrap_or(Value::Nil));
            }
            Loop::FindIndex | Loop::FindLastIndex => {
                return Ok(self.found(kind, list, body)?.map_or(Value::Nil, count));
            }
            _ => {}
        }
        let mut found = Vec::new();
        for (index, item) in list.items.iter().enumerate() {
            let holds = bool(&self.item(item, index, Value::Nil, body)?)?;
            match kind {
                Loop::All if !holds => return Ok(Value::Bool(false)),
                Loop::None if holds => return Ok(Value::Bool(false)),
                Loop::Any if holds => return Ok(Value::Bool(true)),
                _ => {}
            }
            if holds {
                found.push(item.clone());
            }
        }
        Ok(match kind {
            Loop::All | Loop::None => Value::Bool(true),
            Loop::Any => Value::Bool(false),
            Loop::One => Value::Bool(found.len() == 1),
            Loop::Count => count(found.len()),
            _ => Value::list(found),
        })
    }

    fn each(&mut self, list: &List, body: &'a Node) -> Result<Vec<Value>, Stop> {
        let items = list.items.iter().enumerate();
        items.map(|(index, item)| self.item(item, index, Value::Nil, body)).collect()
    }

    fn reduce(&mut self, list: &List, body: &'a Node, initial: Option<&'a Node>) -> Evaluated {
        let mut items = list.items.iter().enumerate();
        let mut accumulator = match initial {
            Some(initial) => self.eval(initial)?,
            None => items.next().map(|(_, item)| item.clone()).ok_or(OUT_OF_RANGE)?,
        };
        for (index, item) in items {
            accumulator = self.item(item, index, accumulator, body)?;
        }
        Ok(accumulator)
    }

    /// The value of the closure for one item.
    fn item(&mut self, item: &Value, index: usize, accumulator: Value, body: &'a Node) -> Evaluated {
        let index = i64::try_from(index).unwrap_or(i64::MAX);
        self.scopes.push(Scope { item: item.clone(), index, accumulator });
        let value = self.eval(body);
        self.scopes.pop();
        value
    }
}

fn count(number: usize) -> Value {
    Value::Int(i64::try_from(number).unwrap_or(i64::MAX))
}

fn unary(operator: Unary, operand: Value) -> Evaluated {
    Ok(match (operator, operand) {
        (Unary::Not, operand) => Value::Bool(!bool(&operand)?),
        (Unary::Plus, operand) => operand,
        (Unary::Minus, Value::Int(value)) => Value::Int(value.wrapping_neg()),
        (Unary::Minus, Value::Float(value)) => Value::Float(-value),
        (Unary::Minus, other) => {
            return Err(Stop::Failed(format!("invalid operation: - {}", other.type_of())));
        }
    })
}

/// Groups items by the value of the closure; keys are in the order of their first appearance.
fn group(list: &List, keys: Vec<Value>) -> Value {
    let mut groups: Vec<(Value, Vec<Value>)> = Vec::new();
    for (item, key) in list.items.iter().zip(keys) {
        match groups.iter_mut().find(|(known, _)| equal(known, &key)) {
            Some((_, group)) => group.push(item.clone()),
            None => groups.push((key, vec![item.clone()])),
        }
    }
    let of = Type::Map(Box::new(Type::Any), Box::new(Type::list()));
    Value::map_of(of, groups.into_iter().map(|(key, group)| (key, Value::list(group))))
}
