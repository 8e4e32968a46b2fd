//! The paths of `kubectl -o jsonpath`, which Argo's web metrics also use.
//!
//! Source of the language and of its error texts: `k8s.io/client-go/util/jsonpath`. A path is text with actions in
//! braces; each action finds a list of values. Missing fields are errors.

mod item;
mod parse;

pub use item::{Item, Literal};

use item::compare;
use serde_json::Value;

/// Values that all parts of a path together may find in one answer. A path can find the same value many times.
const MAX_FOUND: usize = 100_000;

/// A parsed path.
#[derive(Debug, Clone, PartialEq)]
pub struct JsonPath(Vec<Node>);

/// A part of a path.
#[derive(Debug, Clone, PartialEq)]
enum Node {
    /// The content of one pair of braces.
    Action(Vec<Node>),
    Literal(Literal),
    Field(String),
    Slice(Slice),
    Wildcard,
    Recursive,
    Union(Vec<Vec<Node>>),
    /// Items for which the path finds something.
    Exists(Vec<Node>),
    Filter {
        left: Vec<Node>,
        operator: String,
        right: Vec<Node>,
    },
    Identifier(String),
}

/// `[from:to:step]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Slice {
    from: Option<i64>,
    to: Option<i64>,
    /// `to` was not written but follows from `from`: the path selects one item.
    is_index: bool,
    step: Option<i64>,
}

type Found<'a> = Result<Vec<Item<'a>>, String>;

impl JsonPath {
    /// Parses a path; an empty one means the whole value.
    ///
    /// # Errors
    /// What is wrong, with Kubernetes' error text.
    pub fn parse(text: &str) -> Result<Self, String> {
        parse::parse(if text.is_empty() { "{$}" } else { text }).map(Self)
    }

    /// Whether it is a text without braces, which looks at nothing: the text itself is what it finds.
    #[must_use]
    pub fn is_constant(&self) -> bool {
        !self.0.iter().any(|node| matches!(node, Node::Action(_)))
    }

    /// The first value that is found in `body`.
    ///
    /// # Errors
    /// Why there is none, with Argo's error text.
    pub fn first<'a>(&'a self, body: &'a Value) -> Result<Item<'a>, String> {
        let mut walk = Walk { nodes: &self.0, begin: 0, inside: 0, end: 0, last_end: None, left: MAX_FOUND };
        let found = walk
            .find(0, Item::Body(body))
            .map_err(|problem| format!("Could not find JSONPath in body: {problem}"))?;
        match found.into_iter().flatten().next() {
            Some(Item::Body(value)) if value.is_null() && std::ptr::eq(value, body) => {
                Err("the answer is null, so there is no value in it".to_owned())
            }
            Some(item) => Ok(item),
            None => Err("result of web metric produced no value".to_owned()),
        }
    }
}

/// One evaluation, with the open ranges.
struct Walk<'a> {
    nodes: &'a [Node],
    begin: usize,
    inside: usize,
    end: usize,
    last_end: Option<usize>,
    /// How many more values may be found.
    left: usize,
}

impl<'a> Walk<'a> {
    /// Counts values that were found or visited. Once the limit is exceeded, every further call fails.
    fn count(&mut self, found: usize) -> Result<(), String> {
        let left = self.left.checked_sub(found);
        self.left = left.unwrap_or_default();
        let problem = || format!("it visits more than {MAX_FOUND} values; use a more specific path");
        left.map(drop).ok_or_else(problem)
    }

    /// What each part of the path from `start` on finds in `data`, up to the end of the current range.
    fn find(&mut self, start: usize, data: Item<'a>) -> Result<Vec<Vec<Item<'a>>>, String> {
        let mut all = Vec::new();
        let mut at = start;
        while let Some(node) = self.nodes.get(at) {
            let found = self.step(vec![data], node)?;
            if self.end > 0 && self.end <= self.inside {
                self.end -= 1;
                self.last_end = Some(at);
                break;
            }
            if self.begin > 0 {
                self.begin -= 1;
                self.inside += 1;
                for item in &found {
                    all.extend(self.find(at + 1, *item)?);
                }
                if found.is_empty() {
                    // The end of the range must still be found.
                    self.find(at + 1, Item::Body(&Value::Null))?;
                }
                self.inside -= 1;
                at = self.last_end.filter(|end| *end > at).unwrap_or(at);
            } else {
                all.push(found);
            }
            at += 1;
        }
        Ok(all)
    }

    fn steps(&mut self, mut items: Vec<Item<'a>>, nodes: &'a [Node]) -> Found<'a> {
        for node in nodes {
            items = self.step(items, node)?;
        }
        Ok(items)
    }

    fn step(&mut self, items: Vec<Item<'a>>, node: &'a Node) -> Found<'a> {
        let found = self.found(items, node)?;
        self.count(found.len().max(1))?;
        Ok(found)
    }

    fn found(&mut self, items: Vec<Item<'a>>, node: &'a Node) -> Found<'a> {
        // One more than the rest is enough to exceed the limit.
        let enough = self.left.saturating_add(1);
        match node {
            Node::Action(nodes) => self.steps(items, nodes),
            Node::Literal(text @ Literal::Text(_)) => Ok(vec![Item::Literal(text)]),
            Node::Literal(literal) => Ok(items.iter().map(|_| Item::Literal(literal)).collect()),
            Node::Field(name) => field(&items, name),
            Node::Slice(slice) => slice.of(&items, enough),
            Node::Wildcard => Ok(items.iter().flat_map(|item| item.children()).take(enough).collect()),
            Node::Recursive => {
                let mut found = Vec::new();
                descend(&items, enough, &mut found);
                Ok(found)
            }
            Node::Union(parts) => {
                let mut found = Vec::new();
                for part in parts {
                    self.count(items.len())?;
                    found.extend(self.steps(items.clone(), part)?);
                }
                Ok(found)
            }
            Node::Exists(path) => self.filter(&items, |walk, item| {
                // A path that fails does not exist.
                Ok(walk.steps(vec![item], path).is_ok_and(|found| !found.is_empty()))
            }),
            Node::Filter { left, operator, right } => self.filter(&items, |walk, item| {
                let left = walk.steps(vec![item], left)?;
                let Some(left) = only(&left)? else { return Ok(false) };
                let right = walk.steps(vec![item], right)?;
                let Some(right) = only(&right)? else { return Ok(false) };
                compare(left, operator, right)
            }),
            Node::Identifier(name) => match name.as_str() {
                "range" => {
                    self.begin += 1;
                    Ok(items)
                }
                "end" if self.inside > 0 => {
                    self.end += 1;
                    Ok(Vec::new())
                }
                "end" => Err("not in range, nothing to end".to_owned()),
                _ => Err(format!("unrecognized identifier {name}")),
            },
        }
    }

    fn filter(
        &mut self,
        items: &[Item<'a>],
        holds: impl Fn(&mut Self, Item<'a>) -> Result<bool, String>,
    ) -> Found<'a> {
        let mut kept = Vec::new();
        for item in items {
            let Item::Body(Value::Array(list)) = item else {
                return Err(format!("{} is not array or slice and cannot be filtered", item.print()));
            };
            for entry in list {
                self.count(1)?;
                if holds(self, Item::Body(entry))? {
                    kept.push(Item::Body(entry));
                }
            }
        }
        Ok(kept)
    }
}

fn field<'a>(items: &[Item<'a>], name: &str) -> Found<'a> {
    if items.is_empty() {
        return Ok(Vec::new());
    }
    let of = |item: &Item<'a>| match item {
        Item::Body(Value::Object(entries)) => entries.get(name).map(Item::Body),
        _ => None,
    };
    let found: Vec<_> = items.iter().filter_map(of).collect();
    if found.is_empty() { Err(format!("{name} is not found")) } else { Ok(found) }
}

/// Adds every value that is not empty, from the top down, until there are `enough`.
fn descend<'a>(items: &[Item<'a>], enough: usize, found: &mut Vec<Item<'a>>) {
    for item in items {
        if found.len() >= enough {
            return;
        }
        let children = item.children();
        let is_text = matches!(item, Item::Body(Value::String(text)) if !text.is_empty());
        if !children.is_empty() || is_text {
            found.push(*item);
            descend(&children, enough, found);
        }
    }
}

impl Slice {
    fn of<'a>(self, items: &[Item<'a>], enough: usize) -> Found<'a> {
        let mut found = Vec::new();
        for item in items.iter().filter(|item| !item.is_nil()) {
            if found.len() >= enough {
                return Ok(found);
            }
            let Item::Body(Value::Array(list)) = item else {
                return Err(format!("{} is not array or slice", item.go_type()));
            };
            let Some((from, to)) = self.bounds(i64::try_from(list.len()).unwrap_or(i64::MAX))? else {
                return Ok(found);
            };
            let step = match self.step {
                None => 1,
                Some(step) => {
                    usize::try_from(step).ok().filter(|step| *step > 0).ok_or("step must be > 0")?
                }
            };
            found.extend(list.get(from..to).unwrap_or_default().iter().step_by(step).map(Item::Body));
        }
        Ok(found)
    }

    /// Its start and end in a list of this length; `None` if it is empty.
    fn bounds(self, length: i64) -> Result<Option<(usize, usize)>, String> {
        let mut from = self.from.unwrap_or(0);
        if from < 0 {
            from = from.saturating_add(length);
        }
        let mut to = self.to.unwrap_or(length);
        if to < 0 || (to == 0 && self.is_index) {
            to = to.saturating_add(length);
        }
        if from == to {
            return Ok(None);
        }
        let beyond = |index: i64| format!("array index out of bounds: index {index}, length {length}");
        if from >= length || from < 0 {
            return Err(beyond(from));
        }
        if to > length || to < 0 {
            return Err(beyond(to.saturating_sub(1)));
        }
        if from > to {
            return Err(format!("starting index {from} is greater than ending index {to}"));
        }
        Ok(usize::try_from(from).ok().zip(usize::try_from(to).ok()))
    }
}

fn only<'a>(found: &[Item<'a>]) -> Result<Option<Item<'a>>, String> {
    match found {
        [] => Ok(None),
        [only] => Ok(Some(*only)),
        _ => Err("can only compare one element at a time".to_owned()),
    }
}

#[cfg(test)]
mod tests;
