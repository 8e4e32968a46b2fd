//! Prose and code use plain technical English: nobody should have to learn a private dialect to read them.

use crate::{
    files, root,
    rust_text::{Passage, passages},
};
use regex::{Captures, Regex};
use std::{fs, sync::LazyLock};

/// Words to avoid, as regular expressions, each with what to write instead.
const AVOIDED: &[(&str, &str)] = &[
    ("tell|tells|telling|told", "report, say, warn or distinguish"),
    ("wish|wishes|wished", "desired or declared"),
    ("beside|besides", "next to, alongside, in addition to or compared with"),
    ("shall", "must or should"),
    ("is no|are no", "is not a"),
    ("mend|mends|mended|mending", "fix"),
    ("anew|afresh", "again or from the start"),
    ("(?:take|takes|taking|took) part", "is managed"),
    ("(?:take|takes|taking|took|taken) (?:[a-z]+ )?away", "remove"),
    ("brought|brings? (?:a|an|its|their|your)(?: own)? certificate", "provide"),
    ("(?:lead|leads|leading|led) to", "route to or cause"),
    ("as long as", "while"),
    ("for want of", "for lack of"),
    ("that of|those of", "the noun, or a possessive"),
    ("(?-i:Who|Whoever)|whoever", "the person: users who …, anyone who …"),
    ("who may", "users who may"),
    ("struck out", "redacted"),
    ("asked of", "query"),
    ("in the words of", "with the text of"),
    ("what (?:came|comes|became|becomes) of", "the result of"),
    ("(?:has|have|without a) (?:no )?say", "does not count, or is in dry run"),
    ("on trial", "the canary version"),
    ("speaks? in vain|in vain", "has no effect"),
    ("stands? (?:in|at|before|behind|there|where|below|above|next|on)", "is, or a preposition alone"),
    ("hosts? of metrics", "metric host"),
    ("thereby|therein|wherein|thereof|whereof|hitherto|henceforth|whilst|amongst|lest", "a modern word"),
];

/// Rooms of `src` whose code uses plain words: folders, or files.
const ROOMS: &[&str] = &[
    "analysis/",
    "cluster/",
    "commands/",
    "config/annotations.rs",
    "config/declared_plan.rs",
    "config/dry_start.rs",
    "config/inquiry.rs",
    "config/metric.rs",
    "config/namespace.rs",
    "config/profile.rs",
    "config/queries.rs",
    "config/rehearsal.rs",
    "config/stored.rs",
    "config/template.rs",
    "config/template_tree.rs",
    "controller/",
    "decide/",
    "document/",
    "domain/",
    "expr/",
    "gocompat/",
    "measure/",
    "notify/",
    "objects/",
    "policy/",
    "promql/",
    "providers/",
    "routers/",
    "runtime/admin.rs",
    "runtime/certs",
    "runtime/clock.rs",
    "runtime/fair.rs",
    "runtime/heavy.rs",
    "runtime/http/",
    "runtime/metrics.rs",
    "runtime/mod.rs",
    "runtime/shutdown.rs",
    "runtime/telemetry.rs",
    "runtime/tls.rs",
];

/// What a page says of itself when a program writes it.
const GENERATED: &str = "do not edit it";

#[test]
fn prose_uses_plain_words() {
    let mut found = Vec::new();
    for file in files(".md") {
        let text = fs::read_to_string(&file).unwrap();
        if !text.contains(GENERATED) {
            let name = file.strip_prefix(root()).unwrap().display().to_string();
            found.extend(avoided_words(&name, &Passage { line: 1, text }));
        }
    }
    assert!(found.is_empty(), "private dialect:\n{}", found.join("\n"));
}

#[test]
fn code_uses_plain_words() {
    let mut rooms: Vec<&str> = ROOMS.to_vec();
    let mut found = Vec::new();
    for file in files(".rs") {
        let name = file.strip_prefix(root()).unwrap().display().to_string();
        let Some(path) = name.strip_prefix("src/") else { continue };
        if ROOMS.iter().any(|room| path.starts_with(room)) {
            rooms.retain(|room| !path.starts_with(room));
            let passages = passages(&fs::read_to_string(&file).unwrap());
            found.extend(passages.iter().flat_map(|passage| avoided_words(&name, passage)));
        }
    }
    assert_eq!(rooms, Vec::<&str>::new(), "rooms without files");
    assert!(found.is_empty(), "private dialect:\n{}", found.join("\n"));
}

#[test]
fn code_links_and_idioms_are_not_avoided_words() {
    let text =
        "```sh\ntell\n```\nsee `is told`, [it](told.md); there\nis no wish, it is no longer; users who\nmay";
    let passage = Passage { line: 3, text: text.to_owned() };
    assert_eq!(avoided_words("page", &passage), ["page:7: \"wish\"; write desired or declared"]);
}

/// [`AVOIDED`] as whole words; a space also matches the end of a line.
static WORDS: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    let whole = |words: &str| Regex::new(&format!(r"(?i)\b(?:{})\b", words.replace(' ', r"\s+"))).unwrap();
    AVOIDED.iter().map(|(words, instead)| (whole(words), *instead)).collect()
});

/// Code, targets of links, and idioms that contain avoided words.
static OMITTED: LazyLock<Regex> = LazyLock::new(|| {
    let omitted = [
        r"```.*?```",
        r"`[^`\n]*(?:\n[^`\n]+)*`",
        r"\]\([^)]*\)",
        r"\bthere\s+(?:is|are)\s+no\b",
        r"\b(?:is|are)\s+no\s+longer\b",
        r"\btakes?\s+as\s+long\s+as\b",
        r"\bstands?\s+in\s+for\b",
        r"\b(?:users?|anyone|person)\s+who\s+may\b",
    ];
    Regex::new(&format!("(?is){}", omitted.join("|"))).unwrap()
});

/// Every avoided word of a passage, with its place and what to write instead.
fn avoided_words(name: &str, passage: &Passage) -> Vec<String> {
    let only_lines = |found: &Captures<'_>| "\n".repeat(found[0].matches('\n').count());
    let prose = OMITTED.replace_all(&passage.text, only_lines);
    let mut found = Vec::new();
    for (words, instead) in WORDS.iter() {
        for hit in words.find_iter(&prose) {
            let line = passage.line + prose[..hit.start()].matches('\n').count();
            found.push(format!("{name}:{line}: {:?}; write {instead}", hit.as_str()));
        }
    }
    found
}
