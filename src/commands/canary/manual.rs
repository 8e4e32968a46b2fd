//! Completion scripts and manual pages, from the plugin's own definition.

use super::{
    cli::{Cli, Shell},
    error::CanaryError,
};
use crate::document::fields::nearest;
use clap::{Command, CommandFactory};
use clap_complete::{generate, shells};
use clap_mangen::Man;

/// The binary, which the scripts complete.
const BINARY: &str = "kubectl-canary";

/// A completion script.
///
/// # Errors
/// It is not text.
pub fn completions(shell: Shell) -> Result<String, CanaryError> {
    let (mut command, mut script) = (Cli::command(), Vec::new());
    match shell {
        Shell::Bash => generate(shells::Bash, &mut command, BINARY, &mut script),
        Shell::Fish => generate(shells::Fish, &mut command, BINARY, &mut script),
        Shell::Zsh => generate(shells::Zsh, &mut command, BINARY, &mut script),
    }
    text(script)
}

/// The manual page of the plugin, or of one of its commands, in roff.
///
/// # Errors
/// There is no such command.
pub fn page(name: Option<&str>) -> Result<String, CanaryError> {
    let root = Cli::command();
    let page = match name {
        None => Man::new(root),
        Some(name) => Man::new(named(&root, name)?).title(format!("{BINARY}-{name}")),
    };
    let mut roff = Vec::new();
    page.render(&mut roff)?;
    text(roff)
}

fn named(root: &Command, name: &str) -> Result<Command, CanaryError> {
    root.find_subcommand(name).cloned().ok_or_else(|| {
        let known: Vec<&str> = root.get_subcommands().map(Command::get_name).collect();
        let advice = match nearest(name, &known) {
            Some(near) => format!("did you mean {near}?"),
            None => format!("there are {}", known.join(", ")),
        };
        CanaryError::NoField(format!("there is no command {name}; {advice}"))
    })
}

fn text(bytes: Vec<u8>) -> Result<String, CanaryError> {
    String::from_utf8(bytes).map_err(|error| CanaryError::Format(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_has_a_script_with_every_command() {
        for shell in [Shell::Bash, Shell::Fish, Shell::Zsh] {
            let script = completions(shell).unwrap();
            for command in ["get", "doctor", "convert", "undo"] {
                assert!(script.contains(command), "{shell:?}: {command}");
            }
        }
    }

    #[test]
    fn the_manual_has_a_page_for_each_command() {
        assert!(page(None).unwrap().contains(".SH SUBCOMMANDS"));
        let status = page(Some("status")).unwrap();
        assert!(status.contains(".TH kubectl-canary-status 1") && status.contains("timeout"), "{status}");
        assert_eq!(
            page(Some("docter")).unwrap_err().to_string(),
            "there is no command docter; did you mean doctor?"
        );
    }
}
