//! What Kubernetes accepts as a name or a key.

/// Whether an object of Kubernetes can have this name: a DNS subdomain, RFC 1123.
///
/// Source: apimachinery `pkg/util/validation`, `IsDNS1123Subdomain`.
#[must_use]
pub fn is_object_name(text: &str) -> bool {
    let is_label = |label: &str| {
        let inner = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
        !label.is_empty() && label.bytes().all(inner) && !label.starts_with('-') && !label.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(is_label)
}

/// Whether a Service can have this name.
///
/// Source: apimachinery `pkg/util/validation`, `IsDNS1035Label`.
#[must_use]
pub fn is_service_name(text: &str) -> bool {
    is_object_name(text)
        && text.len() <= 63
        && !text.contains('.')
        && text.starts_with(|c: char| c.is_ascii_lowercase())
}

/// Whether a label or annotation can have this key.
///
/// Source: apimachinery `pkg/util/validation`, `IsQualifiedName`.
#[must_use]
pub fn is_qualified_name(text: &str) -> bool {
    let (prefix, name) = text.split_once('/').map_or((None, text), |(prefix, name)| (Some(prefix), name));
    let is_edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let inner = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    name.len() <= 63
        && is_edge(name.chars().next())
        && is_edge(name.chars().next_back())
        && name.chars().all(inner)
        && prefix.is_none_or(is_object_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_be_parts_of_a_path() {
        for good in ["web", "a", "web-2", "a.b-c.d", "0"] {
            assert!(is_object_name(good), "{good}");
        }
        let long = "a".repeat(254);
        for bad in [
            "",
            ".",
            "..",
            "../secrets/x",
            "a/b",
            "a?b=c",
            "a%2fb",
            "Web",
            "-a",
            "a-",
            "a..b",
            "a b",
            "ä",
            &long,
        ] {
            assert!(!is_object_name(bad), "{bad}");
        }
    }
}
