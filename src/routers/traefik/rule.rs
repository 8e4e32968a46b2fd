//! Rules of routes, as far as they say that two never match the same request: by hosts, and by paths.

use serde_json::Value;

/// Characters of a rule that is looked into, and depth of its parentheses.
const MAX_LENGTH: usize = 4096;
const MAX_DEPTH: usize = 32;

/// Whether a request may match the rules of both routes.
pub(super) fn may_meet(one: &Value, other: &Value) -> bool {
    let (Some(one), Some(other)) = (read(one), read(other)) else { return true };
    let meet = |of: fn(&str, &str) -> Option<Term>, meet: fn(&Term, &Term) -> bool| match (
        one.terms(of),
        other.terms(of),
    ) {
        (Some(ours), Some(theirs)) => ours.iter().any(|our| theirs.iter().any(|their| meet(our, their))),
        _ => true,
    };
    meet(host, |one, other| one.text == other.text) && meet(path, paths_meet)
}

/// What a host or path is compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Term {
    text: String,
    is_prefix: bool,
}

fn host(name: &str, argument: &str) -> Option<Term> {
    // A star stands for any part of a host.
    let is_one = name == "Host" && !argument.contains('*');
    is_one.then(|| Term { text: argument.trim_end_matches('.').to_lowercase(), is_prefix: false })
}

fn path(name: &str, argument: &str) -> Option<Term> {
    // Of the old syntax, in which braces hold a pattern, nothing is known.
    let is_prefix = name == "PathPrefix";
    let is_one = (is_prefix || name == "Path") && !argument.contains('{');
    is_one.then(|| Term { text: argument.to_owned(), is_prefix })
}

fn paths_meet(one: &Term, other: &Term) -> bool {
    one.text == other.text
        || (one.is_prefix && other.text.starts_with(&one.text))
        || (other.is_prefix && one.text.starts_with(&other.text))
}

/// A rule.
#[derive(Debug, PartialEq, Eq)]
enum Rule {
    All(Vec<Self>),
    Any(Vec<Self>),
    /// A matcher with its arguments.
    Is(String, Vec<String>),
    /// A condition that excludes.
    Not,
}

impl Rule {
    /// The terms of which a request has one for certain, if there are such.
    fn terms(&self, of: fn(&str, &str) -> Option<Term>) -> Option<Vec<Term>> {
        match self {
            Self::Is(_, arguments) if arguments.is_empty() => None,
            Self::Is(name, arguments) => arguments.iter().map(|argument| of(name, argument)).collect(),
            Self::All(rules) => rules.iter().find_map(|rule| rule.terms(of)),
            Self::Any(rules) => {
                let each: Option<Vec<_>> = rules.iter().map(|rule| rule.terms(of)).collect();
                Some(each?.into_iter().flatten().collect())
            }
            Self::Not => None,
        }
    }
}

/// The rule of a route, if it can be read.
fn read(route: &Value) -> Option<Rule> {
    let text = route.get("match")?.as_str().filter(|text| text.len() <= MAX_LENGTH)?;
    let mut rest = text;
    let rule = any(&mut rest, MAX_DEPTH)?;
    rest.trim_start().is_empty().then_some(rule)
}

fn any(rest: &mut &str, depth: usize) -> Option<Rule> {
    let mut rules = vec![all(rest, depth)?];
    while eats(rest, "||") {
        rules.push(all(rest, depth)?);
    }
    Some(Rule::Any(rules))
}

fn all(rest: &mut &str, depth: usize) -> Option<Rule> {
    let mut rules = vec![one(rest, depth)?];
    while eats(rest, "&&") {
        rules.push(one(rest, depth)?);
    }
    Some(Rule::All(rules))
}

fn one(rest: &mut &str, depth: usize) -> Option<Rule> {
    let depth = depth.checked_sub(1)?;
    if eats(rest, "!") {
        return one(rest, depth).map(|_| Rule::Not);
    }
    if eats(rest, "(") {
        let inner = any(rest, depth)?;
        return eats(rest, ")").then_some(inner);
    }
    let end = rest.find('(')?;
    let (name, after) = rest.split_at_checked(end)?;
    let name = name.trim();
    if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric()) {
        return None;
    }
    *rest = after;
    eats(rest, "(");
    let mut arguments = Vec::new();
    while !eats(rest, ")") {
        arguments.push(argument(rest)?);
        eats(rest, ",");
    }
    Some(Rule::Is(name.to_owned(), arguments))
}

/// A text in backticks or quotation marks; one with an escaped character is not read.
fn argument(rest: &mut &str) -> Option<String> {
    let text = rest.trim_start();
    let quote = text.chars().next().filter(|c| ['`', '"'].contains(c))?;
    let (inner, after) = text.get(1..)?.split_once(quote)?;
    *rest = after;
    (quote == '`' || !inner.contains('\\')).then(|| inner.to_owned())
}

fn eats(rest: &mut &str, token: &str) -> bool {
    let Some(after) = rest.trim_start().strip_prefix(token) else { return false };
    *rest = after;
    true
}
