//! Runs every line of a recorded file and counts the results.

use crate::differences::{Kind, Rule};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fmt::Write,
    fs, io,
    panic::{self, AssertUnwindSafe},
    path::{Path, PathBuf},
};

/// Failed lines that are shown of a file; the others only count.
const MAX_SHOWN: usize = 20;

/// The result of one line.
pub enum Outcome {
    /// Haldane answers as Argo does.
    Passed,
    /// It answers otherwise, by a rule.
    Different(&'static Rule),
    /// It answers otherwise, and nothing says why.
    Failed(String),
}

/// Passed, or failed with what was got instead.
pub fn passed_if(ok: bool, got: impl std::fmt::Debug) -> Outcome {
    if ok { Outcome::Passed } else { Outcome::Failed(format!("{got:?}")) }
}

/// A file of recorded answers and who runs a line of it.
pub struct Recording {
    pub file: &'static str,
    pub check: fn(&Value) -> Outcome,
}

/// The results of all lines of a file.
#[derive(Default)]
pub struct Figures {
    pub passed: usize,
    pub by_rule: BTreeMap<&'static str, (Option<&'static Rule>, usize)>,
    pub failed: Vec<String>,
}

/// The folder with the recordings: the repository's own, unless `CONFORMANCE_DIR` names another.
pub fn folder() -> PathBuf {
    std::env::var_os("CONFORMANCE_DIR").map_or_else(own_folder, PathBuf::from)
}

/// The repository's recordings.
pub fn own_folder() -> PathBuf {
    concat!(env!("CARGO_MANIFEST_DIR"), "/tests/conformance").into()
}

impl Recording {
    /// Runs every line; `None` when the folder does not have the file.
    pub fn run(&self, folder: &Path) -> Option<Figures> {
        let text = match fs::read_to_string(folder.join(self.file)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            text => text.unwrap(),
        };
        let mut figures = Figures::default();
        for line in text.lines() {
            let line: Value = serde_json::from_str(line).unwrap();
            // A line that the test cannot even read must not hide the others.
            let outcome = panic::catch_unwind(AssertUnwindSafe(|| (self.check)(&line)))
                .unwrap_or_else(|_| Outcome::Failed("panicked, see above".to_owned()));
            figures.count(&line, outcome);
        }
        Some(figures)
    }
}

impl Figures {
    fn count(&mut self, line: &Value, outcome: Outcome) {
        match outcome {
            Outcome::Passed => self.passed += 1,
            Outcome::Different(rule) => {
                let (known, count) = self.by_rule.entry(rule.name).or_default();
                *known = Some(rule);
                *count += 1;
            }
            Outcome::Failed(why) => self.failed.push(format!("{} ({}): {why}", line["id"], line["why"])),
        }
    }

    fn of_kind(&self, kind: Kind) -> usize {
        let rules = self.by_rule.values().filter(|(rule, _)| rule.is_some_and(|rule| rule.kind == kind));
        rules.map(|(_, count)| count).sum()
    }

    /// Adds the figures of another file.
    pub fn add(&mut self, other: Self) {
        self.passed += other.passed;
        for (name, (rule, count)) in other.by_rule {
            let (known, total) = self.by_rule.entry(name).or_default();
            *known = rule;
            *total += count;
        }
        self.failed.extend(other.failed);
    }

    /// One line of figures.
    pub fn line(&self, what: &str) -> String {
        let [on_purpose, not_applicable] =
            [Kind::OnPurpose, Kind::NotApplicable].map(|kind| self.of_kind(kind));
        let (passed, failed) = (self.passed, self.failed.len());
        let total = passed + on_purpose + not_applicable + failed;
        format!(
            "{what:18} {total:5} lines: {passed} passed, {on_purpose} different on purpose, \
             {not_applicable} not applicable, {failed} failed"
        )
    }

    /// The page that lists every difference with its reason.
    pub fn page(&self) -> String {
        let mut text = format!(
            "# Where Haldane answers otherwise than Argo Rollouts\n\n\
             Made by `make docs` from a run over `tests/conformance`; do not edit it. `make conformance` shows the same, file by file.\n\n\
             {}.\n\n\
             A rule is about a kind of answer, never about one line; a line that no rule explains fails the test.\n\n\
             | rule | lines | | reason |\n| --- | --- | --- | --- |\n",
            self.line("All of them:").split_whitespace().collect::<Vec<_>>().join(" ")
        );
        for (rule, count) in self.by_rule.values().filter_map(|(rule, count)| Some(((*rule)?, count))) {
            let (name, kind, reason) = (rule.name, rule.kind, rule.reason.replace('|', "\\|"));
            writeln!(text, "| `{name}` | {count} | {kind} | {reason} |").unwrap();
        }
        text
    }

    /// The rules that were needed, and the first failures.
    pub fn details(&self) -> String {
        let rules = self.by_rule.values().filter_map(|(rule, count)| Some(((*rule)?, count)));
        let rules = rules
            .map(|(rule, count)| format!("  {count:4} {} ({}): {}\n", rule.name, rule.kind, rule.reason));
        let failed = self.failed.iter().take(MAX_SHOWN).map(|failure| format!("  FAILED {failure}\n"));
        rules.chain(failed).collect()
    }
}
