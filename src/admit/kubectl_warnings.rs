//! Warnings in lines that kubectl can show.
//!
//! Source of the limit: k8s.io/apiserver `pkg/endpoints/filters/warning.go` cuts each warning to 256 characters once
//! all of them exceed 4096.

/// Before every line, so that users know where it comes from.
const SOURCE: &str = "haldane: ";
/// Before the second and later lines of one warning.
const CONTINUED: &str = "haldane: … ";
/// Longest line.
const WIDTH: usize = 256;

/// Warnings as lines of at most 256 characters, broken between words.
#[must_use]
pub fn lines<T: AsRef<str>>(warnings: impl IntoIterator<Item = T>) -> Vec<String> {
    warnings.into_iter().flat_map(|warning| broken(warning.as_ref())).collect()
}

/// The warnings that these lines were made of, for outputs without a limit.
#[must_use]
pub fn whole(lines: &[String]) -> Vec<String> {
    let mut warnings: Vec<String> = Vec::new();
    for line in lines {
        match (line.strip_prefix(CONTINUED), warnings.last_mut()) {
            (Some(rest), Some(warning)) => {
                warning.push(' ');
                warning.push_str(rest);
            }
            _ => warnings.push(line.strip_prefix(SOURCE).unwrap_or(line).to_owned()),
        }
    }
    warnings
}

fn broken(warning: &str) -> Vec<String> {
    let mut lines = vec![SOURCE.to_owned()];
    for word in warning.split_whitespace() {
        let Some(line) = lines.last_mut() else { break };
        let is_fresh = line.ends_with(' ');
        let length = line.chars().count() + word.chars().count() + usize::from(!is_fresh);
        if length > WIDTH && !is_fresh {
            lines.push(format!("{CONTINUED}{word}"));
        } else {
            if !is_fresh {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_can_be_put_together_again() {
        let warnings = ["word ".repeat(120).trim_end().to_owned(), "short".to_owned()];
        let lines = lines(&warnings);
        assert!(lines.len() > 2, "{lines:?}");
        assert_eq!(whole(&lines), warnings);
    }

    #[test]
    fn long_warnings_are_broken_between_words() {
        assert_eq!(lines(["all is well"]), ["haldane: all is well"]);
        let long = vec!["words"; 120].join(" ");
        let broken = lines([&long]);
        assert_eq!(broken.len(), 3);
        assert!(broken.iter().all(|line| line.chars().count() <= WIDTH), "{broken:?}");
        let text: String =
            broken.iter().map(|line| line.replace(CONTINUED, " ").replace(SOURCE, "")).collect();
        assert_eq!(text, long, "nothing is lost");
    }
}
