//! What people read in Rust code: comments, string literals and the names of functions.

use regex::Regex;

/// A text that people read, and its first line.
pub struct Passage {
    pub line: usize,
    pub text: String,
}

/// Every passage of a file. Comments on consecutive lines are one passage, so that a phrase can be found across them.
pub fn passages(code: &str) -> Vec<Passage> {
    let tokens = r##"(?s)(?P<comment>//[^\n]*)|(?P<string>b?r#".*?"#|b?r"[^"]*"|b?"(?:\\.|[^"\\])*")|\bfn (?P<name>[a-z0-9_]+)|'(?:\\.[^']*|[^'\\])'|\w+"##;
    let mark = Regex::new(r"^//[/!]?").unwrap();
    let mut found: Vec<Passage> = Vec::new();
    let mut last_comment = None;
    let (mut line, mut at) = (1, 0);
    for token in Regex::new(tokens).unwrap().captures_iter(code) {
        let whole = token.get(0).unwrap();
        line += code[at..whole.start()].matches('\n').count();
        at = whole.start();
        if let Some(comment) = token.name("comment") {
            let text = mark.replace(comment.as_str(), "");
            match found.last_mut() {
                Some(passage) if last_comment == Some(line - 1) => {
                    passage.text.push('\n');
                    passage.text.push_str(&text);
                }
                _ => found.push(Passage { line, text: text.into_owned() }),
            }
            last_comment = Some(line);
        } else if let Some(string) = token.name("string") {
            let text = string.as_str().replace("\\\n", "\n").replace("\\\"", "\"");
            found.push(Passage { line, text });
            last_comment = None;
        } else if let Some(name) = token.name("name") {
            found.push(Passage { line, text: name.as_str().replace('_', " ") });
            last_comment = None;
        }
    }
    found
}

#[test]
fn passages_are_comments_literals_and_names() {
    let code = "//! One\n//! two.\nfn a_name<'a>(c: char) {\n    // See\n    f('\"', \"it \\\"is\\\"\n    so\"); // x\n}\n";
    let found: Vec<_> = passages(code).into_iter().map(|passage| (passage.line, passage.text)).collect();
    let expected = [(1, " One\n two."), (3, "a name"), (4, " See"), (5, "\"it \"is\"\n    so\""), (6, " x")];
    assert_eq!(found, expected.map(|(line, text)| (line, text.to_owned())));
}
