//! Parses YAML into a JSON value, within limits.

use serde_json::Value;
use serde_saphyr::{
    DuplicateKeyPolicy, Error, MessageFormatter, Options, UserMessageFormatter, budget, options,
};
use std::borrow::Cow;

/// Maximum number of values; an alias counts each time that it is used.
const MAX_NODES: usize = 20_000;
/// Maximum length of all texts in bytes; the text behind an alias counts each time that it is used. No object that the API
/// server stores is longer.
const MAX_TEXT: usize = 2 << 20;

/// Parses one YAML document as YAML 1.2: `on` and `yes` are strings.
///
/// # Errors
/// On one line, what is not YAML and where; also what is too large, nested too deeply, or a duplicate key.
pub fn parse(text: &str) -> Result<Value, String> {
    serde_saphyr::from_str_with_options(text, bounds())
        .map_err(|error: Error| error.without_snippet().render_with_formatter(&Words))
}

/// The parser's errors in words of users, who cannot change its options.
struct Words;

impl MessageFormatter for Words {
    fn format_message<'a>(&self, error: &'a Error) -> Cow<'a, str> {
        match error {
            Error::DuplicateMappingKey { key: Some(key), .. } => {
                format!("the key {key:?} is given twice, the second time").into()
            }
            Error::DuplicateMappingKey { key: None, .. } => "a key is given twice, the second time".into(),
            Error::MultipleDocuments { .. } => "must be one YAML document, but a second one begins".into(),
            Error::UnknownAnchor { .. } => "an alias names an anchor that does not exist".into(),
            Error::Budget { .. }
            | Error::AliasReplayCounterOverflow { .. }
            | Error::AliasReplayLimitExceeded { .. }
            | Error::AliasExpansionLimitExceeded { .. }
            | Error::AliasReplayStackDepthExceeded { .. } => {
                format!(
                    "is too large or nested too deeply: at most {MAX_NODES} values and {} MiB of text, aliases counted",
                    MAX_TEXT >> 20
                )
                .into()
            }
            other => match UserMessageFormatter.format_message(other) {
                text if text == "recursion limit exceeded" => "is nested too deeply".into(),
                text => text,
            },
        }
    }
}

fn bounds() -> Options {
    let mut bounds = options! {
        budget: budget! {
            max_nodes: MAX_NODES,
            max_events: 2 * MAX_NODES,
            max_total_scalar_bytes: MAX_TEXT,
            max_recorded_anchor_bytes: MAX_TEXT,
        },
        duplicate_keys: DuplicateKeyPolicy::Error,
        strict_booleans: true,
    };
    bounds.alias_limits.max_total_replayed_events = MAX_NODES;
    bounds
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn reads_what_kubectl_would() {
        let text = "a: 1\nb: [yes, true, 1.5, '2', null]\nc: |\n  sum(\n    x)\nd: {e: 5m}\n";
        let value =
            json!({"a": 1, "b": ["yes", true, 1.5, "2", null], "c": "sum(\n  x)\n", "d": {"e": "5m"}});
        assert_eq!(parse(text), Ok(value));
        assert_eq!(parse(r#"{"json": "too"}"#), Ok(json!({"json": "too"})));
    }

    #[test]
    fn refuses_what_is_broken_or_hostile_in_one_line() {
        let bomb = format!(
            "a: &a [x,x,x,x,x,x,x,x,x,x]\n{}",
            "b: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\n\
            c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\n\
            e: [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\n"
        );
        let deep = "[".repeat(5_000);
        let texts =
            ["a: [", "a: 1\na: 2", "a: *missing", &bomb, &deep, "a: 1\n---\nb: 2", "{a: b: c}", "a:\n\t- b"];
        let errors = texts.map(|text| parse(text).unwrap_err());
        assert!(errors.iter().all(|error| !error.contains('\n')), "{errors:?}");
        insta::assert_snapshot!(errors.join("\n"));
    }

    #[test]
    fn a_text_counts_each_time_that_an_alias_uses_it() {
        let long = "x".repeat(600 << 10);
        assert!(parse(&format!("a: {long}")).is_ok());
        let copied = format!("a: &a {long}\nb: [*a, *a, *a]");
        let nested = format!("{}\"\\t{long}\"{}", "[&a ".repeat(5), "]".repeat(5));
        for text in [copied, nested] {
            let problem = parse(&text).unwrap_err();
            assert!(problem.contains("and 2 MiB of text, aliases counted"), "{problem}");
        }
    }
}
