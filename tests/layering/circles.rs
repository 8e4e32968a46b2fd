//! Circles of files: sets of modules of which each imports, over others, itself. A module and those below it may know
//! each other: a parent registers its children, and children use the types of their parent.

use super::Source;
use std::collections::{BTreeMap, BTreeSet};

/// The modules that each module imports.
type Imports = BTreeMap<String, BTreeSet<String>>;

/// Every circle, its modules in order.
pub fn circles(sources: &[Source]) -> Vec<Vec<String>> {
    let imports = imports(sources);
    let reached: BTreeMap<&String, BTreeSet<&String>> =
        imports.keys().map(|module| (module, reached_from(module, &imports))).collect();
    let mut circles = BTreeSet::new();
    for (module, others) in &reached {
        let circle: Vec<String> = others
            .iter()
            .filter(|other| reached[*other].contains(module))
            .map(|other| (*other).clone())
            .collect();
        if circle.len() > 1 {
            circles.insert(circle);
        }
    }
    circles.into_iter().collect()
}

fn reached_from<'a>(module: &'a String, imports: &'a Imports) -> BTreeSet<&'a String> {
    let mut reached = BTreeSet::new();
    let mut open: Vec<&String> = imports[module].iter().collect();
    while let Some(next) = open.pop() {
        if reached.insert(next) {
            open.extend(&imports[next]);
        }
    }
    reached
}

/// `decide::steps` for `decide/steps.rs`, `decide` for `decide/mod.rs`.
fn module_of(path: &str) -> String {
    let path = path.trim_end_matches(".rs");
    path.strip_suffix("/mod").unwrap_or(path).replace('/', "::")
}

fn imports(sources: &[Source]) -> Imports {
    let code = |source: &Source| {
        let code = source.code();
        // What a test imports holds nothing together.
        code.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default().to_owned()
    };
    let all: BTreeMap<String, String> =
        sources.iter().map(|source| (module_of(&source.path), code(source))).collect();
    let known: BTreeSet<&str> = all.keys().map(String::as_str).collect();
    let is_family = |a: &str, b: &str| a.starts_with(&format!("{b}::")) || b.starts_with(&format!("{a}::"));
    let of = |module: &String, code: &String| {
        let named = paths(code).into_iter().filter_map(|path| resolve(&path, module, &known));
        named.filter(|other| other != module && !is_family(other, module)).collect()
    };
    all.iter().map(|(module, code)| (module.clone(), of(module, code))).collect()
}

/// The module that a path names in `module`.
fn resolve(path: &str, module: &str, known: &BTreeSet<&str>) -> Option<String> {
    let mut segments: Vec<&str> = path.split("::").collect();
    let mut base: Vec<&str> = module.split("::").collect();
    match segments[0] {
        "crate" => base.clear(),
        "super" | "self" => {}
        first if known.contains(format!("{module}::{first}").as_str()) => {}
        _ => return None,
    }
    while matches!(segments.first(), Some(&"crate" | &"super" | &"self")) {
        if segments.remove(0) == "super" {
            base.pop();
        }
    }
    base.extend(segments);
    (1..=base.len()).rev().map(|end| base[..end].join("::")).find(|name| known.contains(name.as_str()))
}

/// Every path of the code: those of `use` trees, and others that begin at a module.
fn paths(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (start, _) in code.match_indices("use ") {
        let tree = code[start + 4..].split(';').next().unwrap_or_default();
        let tree: String = tree.chars().filter(|c| !c.is_whitespace()).collect();
        expand("", &tree, &mut found);
    }
    for root in ["crate::", "super::"] {
        for (start, _) in code.match_indices(root) {
            let end = code[start..].find(|c: char| !c.is_alphanumeric() && c != '_' && c != ':');
            found.push(
                code[start..]
                    .get(..end.unwrap_or_default())
                    .unwrap_or_default()
                    .trim_end_matches(':')
                    .to_owned(),
            );
        }
    }
    found
}

/// `a::{b, c::{d}}` is `a::b` and `a::c::d`.
fn expand(prefix: &str, tree: &str, found: &mut Vec<String>) {
    let Some((head, group)) = tree.split_once('{') else {
        found.push(format!("{prefix}{tree}"));
        return;
    };
    let (mut depth, mut start) = (0, 0);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                if at > start {
                    expand(&format!("{prefix}{head}"), &group[start..at], found);
                }
                start = at + 1;
            }
            _ => {}
        }
    }
}

#[test]
fn a_circle_over_two_files_is_found() {
    let source = |path: &str, text: &str| Source { path: path.to_owned(), text: text.to_owned() };
    let sources = [
        source("a/mod.rs", "pub mod b;\nuse crate::c::{d, e::F};\n"),
        source("a/b.rs", "use super::T;\n"),
        source("c/mod.rs", ""),
        source("c/d.rs", "fn f() { crate::a::g() }\n"),
        source("c/e.rs", "#[cfg(test)]\nmod tests {\n    use crate::a::b;\n}\n"),
    ];
    assert_eq!(circles(&sources), [["a", "c::d"]]);
}
