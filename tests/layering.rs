//! The layers of ARCHITECTURE.md, enforced: who may import whom, and what only the shell may touch.
// The lints allow it in test functions; their helpers are tests as well.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "layering/circles.rs"]
mod circles;
#[path = "layering/data_planes.rs"]
mod data_planes;

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A room: a top-level module.
struct Room {
    name: &'static str,
    layer: Layer,
    /// The rooms that it may import, besides itself.
    may_import: &'static [&'static str],
}

/// The layers of ARCHITECTURE.md.
#[derive(Clone, Copy, PartialEq)]
enum Layer {
    /// Values in, values out.
    Core,
    /// Sockets, clients, disk, clock.
    Shell,
}

/// Every room, each below those that import it.
const ROOMS: &[Room] = &[
    core("gocompat", &[]),
    core("expr", &["gocompat"]),
    core("document", &["gocompat"]),
    core("domain", &["gocompat", "document"]),
    core("analysis", &["gocompat", "expr", "document", "domain"]),
    core("objects", &["document", "domain"]),
    core("routers", &["gocompat", "document", "domain", "objects"]),
    // The series of routers tell the sides of a pair apart.
    core("promql", &["domain", "routers"]),
    core("policy", &["gocompat", "document", "domain"]),
    core("providers", &["gocompat", "document", "domain", "analysis", "promql"]),
    decision("config"),
    decision("decide"),
    decision("notify"),
    decision("admit"),
    shell("runtime", &["gocompat", "document", "domain"]),
    shell("cluster", &["runtime"]),
    shell("measure", &["runtime", "cluster"]),
    shell("controller", &["runtime", "cluster", "measure"]),
    shell("webhook", &["runtime", "cluster", "measure"]),
    shell("commands", &["runtime", "cluster", "measure", "controller", "webhook"]),
];

/// A decision may import every room of the core above it. Admission asks the rollout's decision which orders are legal,
/// never the other way.
const fn decision(name: &'static str) -> Room {
    Room { name, layer: Layer::Core, may_import: &[] }
}

/// The rooms that may import everything above them.
const DECISIONS: [&str; 4] = ["config", "decide", "notify", "admit"];

const fn core(name: &'static str, may_import: &'static [&'static str]) -> Room {
    Room { name, layer: Layer::Core, may_import }
}

/// A room of the shell may import the whole core as well.
const fn shell(name: &'static str, may_import: &'static [&'static str]) -> Room {
    Room { name, layer: Layer::Shell, may_import }
}

/// They import everything.
const ENTRIES: &[&str] = &["lib", "main", "kubectl_canary"];

impl Room {
    fn allows(&self, other: &str) -> bool {
        let is_core = |room: &&Room| room.name == other && room.layer == Layer::Core;
        let is_listed = self.name == other || self.may_import.contains(&other);
        let imports_core =
            DECISIONS.contains(&self.name) || (self.layer == Layer::Shell && self.name != "runtime");
        let above = ROOMS.iter().take_while(|room| room.name != self.name);
        is_listed || (imports_core && above.into_iter().any(|room| is_core(&room)))
    }
}

/// What needs a socket, a disk, a clock or a runtime; paths without their leading `::`.
const FORBIDDEN: &[(&str, &str)] = &[
    ("kube::", "clients live in the shell; types come from k8s-openapi"),
    ("tokio::", "only the shell has a runtime"),
    ("hyper::", "only the shell has sockets"),
    ("reqwest::", "only the shell has sockets"),
    ("std::env", "settings are parameters"),
    ("std::fs", "inputs are parameters"),
    ("std::net", "only the shell has sockets"),
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
    /// `decide` for `decide/steps.rs` and `decide.rs`.
    fn room(&self) -> &str {
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
        match path.is_dir() {
            true if !path.ends_with("node_modules") => walk(&path, files),
            false => files.push(path),
            true => {}
        }
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
fn bad_imports(source: &Source, room: &Room) -> Vec<String> {
    let is_room = |name: &str| ROOMS.iter().any(|room| room.name == name) || ENTRIES.contains(&name);
    segments(&source.code(), "crate::")
        .into_iter()
        .filter(|(_, other)| is_room(other) && !room.allows(other))
        .map(|(line, other)| {
            format!(
                "src/{}:{line}: imports crate::{other}; {} may import {:?}",
                source.path, room.name, room.may_import
            )
        })
        .collect()
}

/// Uses of what only the shell may touch.
fn bad_uses(source: &Source, room: &Room) -> Vec<String> {
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
                format!("src/{}:{line}: uses {word}, not allowed in {}: {why}", source.path, room.name)
            };
            found(word).into_iter().map(message)
        })
        .collect()
}

fn assert_none(problems: &[String]) {
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

#[test]
fn every_module_has_its_room() {
    let is_known = |name: &str| ROOMS.iter().any(|room| room.name == name) || ENTRIES.contains(&name);
    let unknown: Vec<String> = sources()
        .iter()
        .filter(|source| !is_known(source.room()))
        .map(|source| format!("src/{}:1: in no room; add its module to ROOMS", source.path))
        .collect();
    assert_none(&unknown);
}

/// The problems that `find` has with the files of some rooms.
fn problems(is_meant: impl Fn(&Room) -> bool, find: impl Fn(&Source, &Room) -> Vec<String>) -> Vec<String> {
    let all = sources();
    let rooms = ROOMS.iter().filter(|room| is_meant(room));
    rooms
        .flat_map(|room| {
            all.iter().filter(|source| source.room() == room.name).map(move |source| (source, room))
        })
        .flat_map(|(source, room)| find(source, room))
        .collect()
}

#[test]
fn imports_go_downwards() {
    assert_none(&problems(|_| true, bad_imports));
    for (index, room) in ROOMS.iter().enumerate() {
        let below: Vec<&str> = ROOMS[..index].iter().map(|room| room.name).collect();
        let upward = room.may_import.iter().find(|other| !below.contains(other));
        assert_eq!(upward, None, "{} stands above {upward:?} in ROOMS, or must not import it", room.name);
    }
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let found = circles::circles(&sources());
    let problems: Vec<String> =
        found.iter().map(|circle| format!("a circle: {}", circle.join(", "))).collect();
    assert_none(&problems);
}

#[test]
fn the_core_touches_neither_socket_nor_disk_nor_clock() {
    assert_none(&problems(|room| room.layer == Layer::Core, bad_uses));
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
