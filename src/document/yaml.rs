//! Parses YAML into a JSON value, within limits.

use serde_json::Value;
use serde_saphyr::{DuplicateKeyPolicy, Options, budget, options};

/// Maximum number of values; an alias counts each time that it is used.
const MAX_NODES: usize = 20_000;

/// Parses one YAML document as YAML 1.2: `on` and `yes` are strings.
///
/// # Errors
/// On one line, what is not YAML and where; also what is too large, nested too deeply, or a duplicate key.
pub fn parse(text: &str) -> Result<Value, String> {
    serde_saphyr::from_str_with_options(text, bounds()).map_err(|error| error.without_snippet().to_string())
}

fn bounds() -> Options {
    let mut bounds = options! {
        budget: budget! { max_nodes: MAX_NODES, max_events: 2 * MAX_NODES },
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
        for text in ["a: [", "a: 1\na: 2", "a: *missing", &bomb, &deep, "a: 1\n---\nb: 2"] {
            let error = parse(text).unwrap_err();
            assert!(!error.is_empty() && !error.contains('\n'), "{error}");
        }
    }
}
