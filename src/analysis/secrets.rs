//! Keeps the values of secret arguments out of everything that is stored or shown.

use crate::{document::finding::Finding, domain::metric::ResolvedArg};
use std::collections::BTreeSet;
use url::form_urlencoded;

/// The replacement for a value.
const HIDDEN: &str = "*****";
/// Shorter lines of a secret with many lines reveal nothing and occur everywhere.
const MIN_LINE: usize = 8;

/// Says where a configuration with secrets is wrong, without its values.
#[must_use]
pub fn without_values(findings: &[Finding]) -> String {
    let places: BTreeSet<&str> = findings.iter().map(|finding| finding.path.as_str()).collect();
    let places = places.into_iter().collect::<Vec<_>>().join(", ");
    format!("{places}: cannot be used with its secret arguments filled in; their values are not shown")
}

/// `text` without the values of secrets, however they are escaped. This is the second line of defence: the answer
/// of another server can contain a secret in any form.
#[must_use]
pub fn redact(text: &str, secrets: &[ResolvedArg]) -> String {
    let mut forms: Vec<String> = secrets.iter().flat_map(|secret| forms(&secret.value)).collect();
    // One form can be part of another.
    forms.sort_by_key(|form| std::cmp::Reverse(form.len()));
    forms.iter().fold(text.to_owned(), |text, form| text.replace(form.as_str(), HIDDEN))
}

/// The forms of a value: as it is, in lower case as in a host name, or escaped.
fn forms(value: &str) -> BTreeSet<String> {
    let lines = value.lines().map(str::trim).filter(|line| line.len() >= MIN_LINE);
    let written = |text: &str| {
        let json = serde_json::Value::from(text).to_string();
        let form: String = form_urlencoded::byte_serialize(text.as_bytes()).collect();
        [
            text.to_owned(),
            text.to_lowercase(),
            text.escape_debug().to_string(),
            text.escape_default().to_string(),
            json.trim_matches('"').to_owned(),
            form.replace('+', "%20"),
            form,
        ]
    };
    [value].into_iter().chain(lines).flat_map(written).filter(|form| !form.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_form_of_a_secret_is_shown() {
        let value = "-----BEGIN KEY-----\nMULTILINE \"Secret\"/é\n-----END KEY-----\n";
        let secrets = [ResolvedArg { name: "key".into(), value: value.into() }];
        for shown in [
            format!("{value:?} is not an http or https URL"),
            format!("body: {value}"),
            serde_json::json!({"echo": value}).to_string(),
            format!("host {}", value.to_lowercase()),
            form_urlencoded::byte_serialize(value.as_bytes()).collect(),
            value.escape_default().to_string(),
            "cut: MULTILINE \"Secret\"/é".to_owned(),
        ] {
            let redacted = redact(&shown, &secrets);
            assert!(!redacted.to_lowercase().contains("multiline"), "{shown} became {redacted}");
        }
        assert_eq!(
            redact("nothing", &[ResolvedArg { name: "none".into(), value: String::new() }]),
            "nothing"
        );
    }

    #[test]
    fn only_the_place_of_a_problem_is_reported() {
        let finding = |path: &str| Finding::new(path, "s3cret", "\"s3cret\" is not an http or https URL");
        assert_eq!(
            without_values(&[finding("web.url"), finding("web.headers[0].value"), finding("web.url")]),
            "web.headers[0].value, web.url: cannot be used with its secret arguments filled in; their values are not shown"
        );
    }
}
