//! The layers of ARCHITECTURE.md, enforced: who may import whom, and what only the outermost layer may touch.
// The lints allow it in test functions; their helpers are tests as well.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A top-level module and those it may import, besides itself.
struct Layer {
    module: &'static str,
    may_import: &'static [&'static str],
}

/// L0 to L2. Within L1 nobody imports sideways but for [`SIDEWAYS`]; within L2 the order is
/// config ← decide ← admit: admission asks the decision which orders are legal, never the other way.
const LAYERS: &[Layer] = &[
    Layer { module: "domain", may_import: &[] },
    Layer { module: "analysis", may_import: &["domain"] },
    Layer { module: "promql", may_import: &["domain"] },
    // Ranges of time are written in the language of conditions; a query says of which type its answer is.
    Layer { module: "providers", may_import: &["domain", "analysis", "promql"] },
    Layer { module: "policy", may_import: &["domain"] },
    Layer { module: "build", may_import: &["domain"] },
    Layer { module: "routers", may_import: &["domain", "build"] },
    Layer {
        module: "config",
        may_import: &["domain", "analysis", "policy", "promql", "providers", "build", "routers"],
    },
    Layer {
        module: "decide",
        may_import: &["domain", "analysis", "policy", "promql", "providers", "build", "routers", "config"],
    },
    Layer {
        module: "admit",
        may_import: &[
            "domain",
            "analysis",
            "policy",
            "promql",
            "providers",
            "build",
            "routers",
            "config",
            "decide",
        ],
    },
];

/// L3 may import everything.
const OUTERMOST: &[&str] = &["webhook", "controller", "runtime", "cli", "lib", "main"];

/// Exceptions within L1: file, module, reason. (`routers` stands above `build`: it makes manifests.)
const SIDEWAYS: &[(&str, &str, &str)] =
    &[("build/pair.rs", "routers", "the pair as a whole asks every router for its objects")];

/// What needs a socket, a disk, a clock or a runtime; paths without their leading `::`.
const FORBIDDEN: &[(&str, &str)] = &[
    ("kube::", "clients live in L3; types come from k8s-openapi"),
    ("tokio::", "only L3 is asynchronous"),
    ("hyper::", "only L3 has sockets"),
    ("reqwest::", "only L3 has sockets"),
    ("std::env", "settings are parameters"),
    ("std::fs", "inputs are parameters"),
    ("std::net", "only L3 has sockets"),
    ("std::process", "a decision cannot end the program"),
    ("std::thread", "a decision neither waits nor runs beside another"),
    ("SystemTime", "time is a parameter"),
    ("Instant", "time is a parameter"),
    ("::now(", "time is a parameter"),
];

/// Longest file of `src/`, in lines.
const MAX_LINES: usize = 400;

/// A file of `src/`: its path below it and its text.
struct Source {
    path: String,
    text: String,
}

impl Source {
    /// `decide` for `decide/turn.rs` and `decide.rs`.
    fn module(&self) -> &str {
        let first = self.path.split('/').next().unwrap();
        first.strip_suffix(".rs").unwrap_or(first)
    }

    /// The code with comments blanked, so that positions stay.
    fn code(&self) -> String {
        self.text.lines().map(|line| without_comment(line).to_owned() + "\n").collect()
    }
}

/// A `//` after an even number of quotes begins a comment; in a string it does not.
fn without_comment(line: &str) -> &str {
    let starts = line.match_indices("//").map(|(start, _)| &line[..start]);
    starts
        .filter(|before| before.matches('"').count() % 2 == 0)
        .min_by_key(|before| before.len())
        .unwrap_or(line)
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { walk(&path, files) } else { files.push(path) }
    }
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    walk(&root, &mut files);
    files.retain(|path| path.extension().is_some_and(|extension| extension == "rs"));
    files.sort();
    let source = |path: PathBuf| Source {
        text: fs::read_to_string(&path).unwrap(),
        path: path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned(),
    };
    files.into_iter().map(source).collect()
}

fn line_of(text: &str, offset: usize) -> usize {
    text[..offset].matches('\n').count() + 1
}

fn identifier(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    &text[..end]
}

/// The first segments after every `root` (such as `crate::`), also in groups, each with its line.
fn segments<'a>(code: &'a str, root: &str) -> Vec<(usize, &'a str)> {
    let mut found = Vec::new();
    for (start, _) in code.match_indices(root) {
        let rest = &code[start + root.len()..];
        if !rest.starts_with('{') {
            found.push((line_of(code, start), identifier(rest)));
            continue;
        }
        let (mut depth, mut expects_name) = (0_usize, false);
        for (offset, c) in rest.char_indices() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                break;
            }
            let is_name = c.is_alphanumeric() || c == '_';
            if depth == 1 && expects_name && is_name {
                let at = start + root.len() + offset;
                found.push((line_of(code, at), identifier(&code[at..])));
            }
            expects_name = (depth == 1 && (c == '{' || c == ',')) || (expects_name && c.is_whitespace());
        }
    }
    found
}

/// Imports that the table does not allow.
fn bad_imports(source: &Source, layer: &Layer) -> Vec<String> {
    let code = source.code();
    let excused = |module: &str| SIDEWAYS.iter().any(|(file, to, _)| *file == source.path && *to == module);
    let allowed =
        |module: &str| module == layer.module || layer.may_import.contains(&module) || excused(module);
    let is_module = |name: &str| LAYERS.iter().any(|l| l.module == name) || OUTERMOST.contains(&name);
    segments(&code, "crate::")
        .into_iter()
        .filter(|(_, module)| is_module(module) && !allowed(module))
        .map(|(line, module)| {
            format!(
                "src/{}:{line}: imports crate::{module}; {} may import {:?}",
                source.path, layer.module, layer.may_import
            )
        })
        .collect()
}

/// Uses of what only the outermost layer may touch.
fn bad_uses(source: &Source, layer: &Layer) -> Vec<String> {
    let code = source.code();
    let found = |word: &str| -> Vec<usize> {
        let direct = code.match_indices(word).filter(|(at, _)| {
            // `jiff::Timestamp` has no `Instant`, but `Instantiates` would contain it.
            let before = code[..*at].chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '_');
            let after =
                code[at + word.len()..].chars().next().is_some_and(|c| c.is_alphanumeric() || c == '_');
            word.starts_with(':') || (!before && (word.ends_with(':') || !after))
        });
        let direct = direct.map(|(at, _)| line_of(&code, at));
        let grouped = word.strip_prefix("std::").map(|name| {
            segments(&code, "std::")
                .into_iter()
                .filter(move |(_, segment)| *segment == name)
                .map(|(line, _)| line)
        });
        direct.chain(grouped.into_iter().flatten()).collect()
    };
    FORBIDDEN
        .iter()
        .flat_map(|(word, why)| {
            let message = move |line| {
                format!("src/{}:{line}: uses {word}, not allowed in {}: {why}", source.path, layer.module)
            };
            found(word).into_iter().map(message)
        })
        .collect()
}

fn assert_none(problems: &[String]) {
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

#[test]
fn every_module_has_its_layer() {
    let known = |module: &str| LAYERS.iter().any(|l| l.module == module) || OUTERMOST.contains(&module);
    let unknown: Vec<String> = sources()
        .iter()
        .filter(|source| !known(source.module()))
        .map(|source| format!("src/{}:1: in no layer; add its module to LAYERS or OUTERMOST", source.path))
        .collect();
    assert_none(&unknown);
}

#[test]
fn imports_go_downwards() {
    let all = sources();
    let problems = LAYERS.iter().flat_map(|layer| {
        let own = all.iter().filter(|source| source.module() == layer.module);
        own.flat_map(|source| bad_imports(source, layer)).collect::<Vec<_>>()
    });
    assert_none(&problems.collect::<Vec<_>>());
}

#[test]
fn the_core_touches_neither_socket_nor_disk_nor_clock() {
    let all = sources();
    let problems = LAYERS.iter().flat_map(|layer| {
        let own = all.iter().filter(|source| source.module() == layer.module);
        own.flat_map(|source| bad_uses(source, layer)).collect::<Vec<_>>()
    });
    assert_none(&problems.collect::<Vec<_>>());
}

#[test]
fn exceptions_are_still_needed() {
    for (file, module, _) in SIDEWAYS {
        let source = sources().into_iter().find(|source| source.path == *file);
        let code = source.unwrap_or_else(|| panic!("src/{file} is gone, so is its exception")).code();
        let used = segments(&code, "crate::").iter().any(|(_, segment)| segment == module);
        assert!(used, "src/{file} no longer imports {module}: remove the exception");
    }
}

#[test]
fn files_stay_readable() {
    let too_long = sources().into_iter().filter_map(|source| {
        let lines = source.text.lines().count();
        (lines > MAX_LINES)
            .then(|| format!("src/{}:{MAX_LINES}: {lines} lines, at most {MAX_LINES}", source.path))
    });
    assert_none(&too_long.collect::<Vec<_>>());
}

#[test]
fn nothing_is_left_for_later() {
    // Split, so that this file does not find itself.
    let words = [["TO", "DO"], ["FIX", "ME"], ["unimplemented", "!"], ["todo", "!"], ["dbg", "!"]]
        .map(|w| w.concat());
    let mut files = Vec::new();
    for folder in ["src", "tests", "examples", "deploy", "webhook-config", "certs", "docs"] {
        walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &mut files);
    }
    let mut problems = Vec::new();
    for path in files {
        // Not text: nothing to read.
        let Ok(text) = fs::read_to_string(&path) else { continue };
        for (number, line) in text.lines().enumerate() {
            if let Some(word) = words.iter().find(|word| line.contains(word.as_str())) {
                problems.push(format!(
                    "{}:{}: has {word}: do it, or open an issue",
                    path.display(),
                    number + 1
                ));
            }
        }
    }
    assert_none(&problems);
}

#[test]
fn the_scanner_reads_groups_and_comments() {
    let code = "use crate::{\n    a::b,\n    c::{d, e},\n};\nfn f() { crate::g::h() }\n";
    assert_eq!(segments(code, "crate::"), [(2, "a"), (3, "c"), (5, "g")]);
    assert_eq!(without_comment("let a = \"http://x\"; // crate::b"), "let a = \"http://x\"; ");
}
