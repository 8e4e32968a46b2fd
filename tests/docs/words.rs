//! Prose uses plain technical English: nobody should have to learn a private dialect to read a page.

use crate::{files, root};
use regex::{Captures, Regex};
use std::fs;

/// Words that prose avoids, as regular expressions, each with what to write instead.
const AVOIDED: &[(&str, &str)] = &[
    ("tell|tells|telling|told", "report, say, warn or distinguish"),
    ("wish|wishes|wished", "desired or declared"),
    ("beside", "next to, alongside, in addition to or compared with"),
    ("shall", "must or should"),
    ("is no|are no", "is not a"),
    ("mend|mends|mended|mending", "fix"),
    ("anew", "again or from the start"),
    ("(?:take|takes|taking|took) part", "is managed"),
    ("brought|brings? (?:a|an|its|their|your)(?: own)? certificate", "provide"),
    ("(?:lead|leads|leading|led) to", "route to or cause"),
    ("as long as", "while"),
    ("for want of", "for lack of"),
    ("that of|those of", "the noun, or a possessive"),
    ("(?-i:Who|Whoever)", "the person: users who …, anyone who …"),
    ("struck out", "redacted"),
];

/// What a page says of itself when a program writes it.
const GENERATED: &str = "do not edit it";

#[test]
fn prose_uses_plain_words() {
    let avoided: Vec<_> = AVOIDED.iter().map(|(words, instead)| (whole_words(words), instead)).collect();
    let mut found = Vec::new();
    for file in files(".md") {
        let text = fs::read_to_string(&file).unwrap();
        if text.contains(GENERATED) {
            continue;
        }
        let name = file.strip_prefix(root()).unwrap().display();
        let prose = without_code(&text);
        for (words, instead) in &avoided {
            for hit in words.find_iter(&prose) {
                let line = prose[..hit.start()].matches('\n').count() + 1;
                found.push(format!("{name}:{line}: {:?}; write {instead}", hit.as_str()));
            }
        }
    }
    assert!(found.is_empty(), "private dialect:\n{}", found.join("\n"));
}

#[test]
fn code_links_and_idioms_are_not_avoided_words() {
    let text = "```sh\ntell\n```\nsee `is told`, [it](told.md); there\nis no wish, it is no longer";
    let prose = without_code(text);
    let all = AVOIDED.iter().map(|(words, _)| *words);
    let hits: Vec<_> = all.filter(|words| whole_words(words).is_match(&prose)).collect();
    assert_eq!(hits, ["wish|wishes|wished"], "{prose}");
    assert_eq!(prose.matches('\n').count(), text.matches('\n').count(), "lines keep their numbers");
}

/// Spaces also match the end of a line.
fn whole_words(words: &str) -> Regex {
    Regex::new(&format!(r"(?i)\b(?:{})\b", words.replace(' ', r"\s+"))).unwrap()
}

/// The text with its lines, but without code, targets of links, and idioms that contain avoided words.
fn without_code(text: &str) -> String {
    let code = r"```.*?```|`[^`\n]*(?:\n[^`\n]+)*`|\]\([^)]*\)";
    let idioms = r"\bthere\s+(?:is|are)\s+no\b|\b(?:is|are)\s+no\s+longer\b";
    let omitted = Regex::new(&format!("(?is){code}|{idioms}")).unwrap();
    let only_lines = |found: &Captures<'_>| "\n".repeat(found[0].matches('\n').count());
    omitted.replace_all(text, only_lines).into_owned()
}
