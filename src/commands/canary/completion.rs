//! Completion in the shell: by scripts for the binary, and by kubectl's convention for plugins.
//!
//! kubectl runs `kubectl_complete-canary` with the words behind `kubectl canary`, the last of which is incomplete, and
//! reads candidates, one a line, and a last line with a number of cobra's: 4 means that files are not candidates.

use clap::{Arg, ArgAction, Command};
use std::{ffi::OsStr, path::Path};

/// What kubectl calls the plugin for completion: a link to its binary.
pub const NAME: &str = "kubectl_complete-canary";

/// Files are candidates as well.
const FILES: u8 = 0;
/// Files are not candidates.
const NO_FILES: u8 = 4;

/// Whether the binary was called by this name for completion.
#[must_use]
pub fn is_meant(program: Option<&OsStr>) -> bool {
    program.and_then(|path| Path::new(path).file_name()).is_some_and(|name| name == NAME)
}

/// What can follow.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Candidates {
    /// Words, each with what it means.
    pub words: Vec<(String, String)>,
    /// The name of a Deployment.
    pub wants_name: bool,
    /// The name of a file.
    pub wants_file: bool,
}

impl Candidates {
    /// As kubectl reads them; `names` are the Deployments.
    #[must_use]
    pub fn text(&self, names: &[String], last: &str) -> String {
        let names = names.iter().map(|name| (name.clone(), String::new()));
        let all = self.words.iter().cloned().chain(names).filter(|(word, _)| word.starts_with(last));
        let lines: Vec<String> = all
            .map(|(word, about)| if about.is_empty() { word } else { format!("{word}\t{about}") })
            .chain([format!(":{}", if self.wants_file { FILES } else { NO_FILES })])
            .collect();
        lines.join("\n") + "\n"
    }
}

/// What can follow these words, the last of which is incomplete.
#[must_use]
pub fn candidates(root: &Command, words: &[String]) -> Candidates {
    let Some((last, before)) = words.split_last() else { return Candidates::default() };
    let (mut command, mut position, mut open) = (root, 1, None);
    for word in before {
        if open.take().is_some() {
            continue;
        }
        if let Some(flag) = word.strip_prefix('-') {
            open = arg(root, command, flag.trim_start_matches('-')).filter(|arg| takes_value(arg));
        } else if let Some(inner) = command.find_subcommand(word) {
            (command, position) = (inner, 1);
        } else {
            position += 1;
        }
    }
    if let Some(flag) = open {
        return values(flag);
    }
    if last.starts_with('-') {
        let flags = command.get_arguments().chain(root.get_arguments().filter(|arg| arg.is_global_set()));
        let words = flags.filter_map(|flag| Some((format!("--{}", flag.get_long()?), help(flag))));
        return Candidates { words: words.collect(), ..Candidates::default() };
    }
    let shown = command.get_subcommands().filter(|inner| !inner.is_hide_set());
    let about =
        |inner: &Command| inner.get_about().map(|text| first_line(&text.to_string())).unwrap_or_default();
    let words = shown.map(|inner| (inner.get_name().to_owned(), about(inner)));
    let named = command.get_positionals().nth(position - 1).map(values).unwrap_or_default();
    Candidates { words: words.chain(named.words).collect(), ..named }
}

/// The flag of this name, without its dashes.
fn arg<'c>(root: &'c Command, command: &'c Command, name: &str) -> Option<&'c Arg> {
    let is_it = |arg: &&Arg| {
        arg.get_long() == Some(name) || arg.get_short().is_some_and(|short| name == short.to_string())
    };
    command.get_arguments().chain(root.get_arguments()).find(is_it)
}

fn takes_value(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::Set | ArgAction::Append)
}

fn values(arg: &Arg) -> Candidates {
    let allowed = arg.get_possible_values().into_iter();
    let words = allowed.map(|value| {
        let about = value.get_help().map(ToString::to_string).unwrap_or_default();
        (value.get_name().to_owned(), about)
    });
    let is = |name: &str| arg.get_id().as_str() == name;
    Candidates { words: words.collect(), wants_name: is("name"), wants_file: is("paths") || is("kubeconfig") }
}

fn help(arg: &Arg) -> String {
    arg.get_help().map(|text| first_line(&text.to_string())).unwrap_or_default()
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::canary::cli::Cli;
    use clap::CommandFactory;

    fn after(line: &str) -> (Candidates, Vec<String>) {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let found = candidates(&Cli::command(), &words);
        let names = found.words.iter().map(|(word, _)| word.clone()).collect();
        (found, names)
    }

    #[test]
    fn commands_flags_and_values_are_candidates() {
        assert!(after("").1.iter().any(|word| word == "doctor"));
        assert_eq!(after("set ").1, ["image"]);
        let flags = after("get web --").1;
        assert!(
            ["--watch", "--output", "--namespace"].iter().all(|flag| flags.iter().any(|word| word == flag)),
            "{flags:?}"
        );
        assert_eq!(after("lint -o ").1, ["text", "json", "sarif"]);
        assert_eq!(after("completions ").1, ["bash", "fish", "zsh"]);
    }

    #[test]
    fn names_and_files_are_known_by_their_place() {
        for line in ["get ", "promote --step 2 ", "-n shop abort ", "set image "] {
            assert!(after(line).0.wants_name, "{line}");
        }
        assert!(!after("get web ").0.wants_name, "there is one name");
        assert!(after("lint -f ").0.wants_file);
    }

    #[test]
    fn kubectl_reads_a_word_a_line_and_a_number() {
        let (found, _) = after("get w");
        assert_eq!(found.text(&["web".into(), "api".into()], "w"), "web\n:4\n");
        let (found, _) = after("pau");
        assert_eq!(found.text(&[], "pau"), "pause\tHold a release where it is\n:4\n");
        assert_eq!(after("lint -f ").0.text(&[], ""), ":0\n");
    }

    #[test]
    fn the_name_of_the_program_says_what_is_meant() {
        assert!(is_meant(Some(OsStr::new("/usr/local/bin/kubectl_complete-canary"))));
        assert!(!is_meant(Some(OsStr::new("kubectl-canary"))) && !is_meant(None));
    }
}
