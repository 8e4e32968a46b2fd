//! Commands that the documentation tells people to run, so that a test can run the same.

use std::{fs, path::Path};

/// The shell blocks below a heading, up to the next heading of any level.
#[track_caller]
pub fn commands(document: &str, heading: &str) -> Vec<String> {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(document)).expect("a document");
    let start = format!("\n{heading}\n");
    let (_, part) = text.split_once(&start).unwrap_or_else(|| panic!("no {heading:?} in {document}"));
    let part = part.split("\n#").next().unwrap_or_default();
    let blocks: Vec<_> = part
        .split("```sh\n")
        .skip(1)
        .map(|block| block.split("```").next().unwrap_or_default().to_owned())
        .collect();
    assert!(!blocks.is_empty(), "no commands below {heading:?} in {document}");
    blocks
}
