//! Arguments of `kubectl canary`.

use crate::{
    domain::request::{Order, Verb},
    gocompat::duration::GoDuration,
};
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::{convert::Infallible, num::NonZeroUsize, path::PathBuf, str::FromStr};

/// Releases of plain Deployments: what happens, why, and what to do next.
#[derive(Debug, Parser)]
#[command(name = "kubectl-canary", bin_name = "kubectl canary", version, max_term_width = 100)]
pub struct Cli {
    /// The cluster.
    #[command(flatten)]
    pub connection: Connection,
    /// The subcommand.
    #[command(subcommand)]
    pub command: Command,
}

/// Which cluster and namespace.
#[derive(Debug, Clone, Default, Args)]
pub struct Connection {
    /// Namespace; by default, the one of the context.
    #[arg(short, long, global = true, value_name = "NAMESPACE")]
    pub namespace: Option<String>,
    /// Context of the kubeconfig file; by default, the current one.
    #[arg(long, global = true, value_name = "CONTEXT")]
    pub context: Option<String>,
    /// The kubeconfig file; by default, as kubectl finds it.
    #[arg(long, global = true, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show a release: steps, weight, pods, analysis, and what it waits for.
    Get {
        /// The Deployment; without it, all that are managed in the namespace.
        name: Option<Name>,
        /// Show every change, until the release ends.
        #[arg(short, long, requires = "name")]
        watch: bool,
        /// Output format.
        #[arg(short, long)]
        output: Option<Format>,
    },
    /// List managed Deployments and where their releases are.
    List {
        /// Of all namespaces.
        #[arg(short = 'A', long)]
        all_namespaces: bool,
    },
    /// Show releases in the browser, and give orders there, with your own rights; only this machine can open the page.
    Dashboard {
        /// Port of the page, at http://localhost:PORT.
        #[arg(long, default_value_t = 3100, value_name = "PORT")]
        port: u16,
        /// Of all namespaces.
        #[arg(short = 'A', long)]
        all_namespaces: bool,
        /// Refuse orders.
        #[arg(long)]
        read_only: bool,
    },
    /// Wait until a release has ended. Exit code 0: promoted, 1: aborted, 2: timeout, 3: waits for a person.
    Status(WaitArgs),
    /// Wait until a release is where it should be. Exit code 0: it is there, 1: it ended elsewhere, 2: timeout.
    Wait {
        /// Where: `promoted`, `aborted`, `paused`, or `step=N`, counted from 1.
        #[arg(long = "for", value_name = "WHERE")]
        target: Target,
        /// What to wait for, and how long.
        #[command(flatten)]
        wait: WaitArgs,
    },
    /// Leave the present step: end a pause, or skip what it waits for.
    Promote {
        /// The Deployment.
        name: Name,
        /// Skip all remaining steps and analyses.
        #[arg(long, conflicts_with = "step")]
        full: bool,
        /// Go on with this step, counted from 1, as `get` shows them.
        #[arg(long, value_name = "N")]
        step: Option<NonZeroUsize>,
    },
    /// Take the traffic back to stable. The version stays out until `retry`.
    Abort(One),
    /// Try an aborted version again, from its first step.
    Retry(One),
    /// Hold a release where it is.
    Pause(One),
    /// Continue after a pause; never past an analysis.
    Resume(One),
    /// Leave the present step, whatever it waits for.
    Skip(One),
    /// Go back to an earlier template. During a release and after an abort, that is the one that serves, and the canary is
    /// removed; at rest it is the revision before, which starts a canary.
    Undo {
        /// The Deployment.
        name: Name,
        /// The revision, as `kubectl rollout history` shows it.
        #[arg(long, value_name = "N")]
        to_revision: Option<u64>,
    },
    /// Change the pod template.
    #[command(subcommand)]
    Set(Set),
    /// Show what admission would do with manifests, and the plan of a release; needs no cluster.
    Plan(Files),
    /// Check manifests as admission would; needs no cluster. Exit code 1 if one would be refused.
    Lint {
        /// The manifests.
        #[command(flatten)]
        files: Files,
        /// Output format.
        #[arg(short, long, default_value = "text")]
        output: LintFormat,
    },
    /// Check the installation, your rights and a Deployment, with what to do next. Exit code 1 if there is a problem.
    Doctor {
        /// The Deployment; without it, the installation alone.
        name: Option<Name>,
    },
    /// Convert objects of Argo Rollouts and Flagger to annotated Deployments; needs no cluster. What changes is listed on
    /// standard error. Exit code 1 if something cannot be carried over.
    Convert(Files),
    /// Explain an annotation, or a field of one, such as `canary.steps`; needs no cluster.
    Explain {
        /// Path of the field; by default, all annotations.
        key: Option<String>,
    },
    /// Print a completion script for the command kubectl-canary; needs no cluster.
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Print the manual page, or the page of one command; needs no cluster.
    Man {
        /// The command.
        command: Option<String>,
    },
    /// List past releases, or show what the abort of one was about.
    History {
        /// The Deployment.
        name: Name,
        /// The revision of an abort.
        revision: Option<u64>,
    },
    /// Show the analysis runs of a release: each measurement, its query and its verdict.
    Analysis {
        /// The Deployment.
        name: Name,
        /// Name of the run; by default, all.
        run: Option<String>,
    },
}

/// Shells with completion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// Bash.
    Bash,
    /// fish.
    Fish,
    /// Zsh.
    Zsh,
}

/// Changes of the pod template.
#[derive(Debug, Subcommand)]
pub enum Set {
    /// Set images of containers, as `kubectl set image` does, and show what follows.
    Image {
        /// The Deployment.
        name: Name,
        /// `CONTAINER=IMAGE`; `*=IMAGE` sets all.
        #[arg(required = true, value_name = "CONTAINER=IMAGE")]
        images: Vec<Image>,
    },
}

/// An image for a container: `CONTAINER=IMAGE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Name of the container; `*` means all.
    pub container: String,
    /// The image.
    pub image: String,
}

impl FromStr for Image {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        match text.split_once('=') {
            Some((container, image)) if !container.is_empty() && !image.is_empty() => {
                Ok(Self { container: container.to_owned(), image: image.to_owned() })
            }
            _ => Err("must be CONTAINER=IMAGE, such as web=registry.example.com/web:2"),
        }
    }
}

/// Manifests that belong together: Deployments, what routes to them, templates and profiles.
#[derive(Debug, Clone, Args)]
pub struct Files {
    /// A file, a folder, or `-` for standard input; may be given several times.
    #[arg(short = 'f', long = "filename", required = true, value_name = "FILE")]
    pub paths: Vec<PathBuf>,
}

/// Output formats of `lint`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LintFormat {
    /// A line for each problem.
    Text,
    /// JSON, for programs.
    Json,
    /// SARIF 2.1.0, for code hosts.
    Sarif,
}

/// A Deployment.
#[derive(Debug, Clone, Args)]
pub struct One {
    /// The Deployment.
    pub name: Name,
}

/// A Deployment to wait for.
#[derive(Debug, Clone, Args)]
pub struct WaitArgs {
    /// The Deployment.
    pub name: Name,
    /// How long to wait, e.g. `10m`; by default, without limit.
    #[arg(long, value_name = "DURATION")]
    pub timeout: Option<GoDuration>,
}

/// Name of a Deployment, also in the form `deployment/NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name(pub String);

impl FromStr for Name {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        let kinds = ["deploy/", "deployment/", "deployments/", "deployment.apps/", "deployments.apps/"];
        let name = kinds.iter().find_map(|kind| text.strip_prefix(kind)).unwrap_or(text);
        Ok(Self(name.to_owned()))
    }
}

/// Output formats of `get`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// JSON, for programs.
    Json,
    /// The same as YAML.
    Yaml,
    /// `deployment.apps/NAME`.
    Name,
    /// More columns for people.
    Wide,
}

/// Where a release should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// The new version serves everything.
    Promoted,
    /// Stable serves everything again.
    Aborted,
    /// It waits for time or for a person.
    Paused,
    /// At this step, counted from 1, or past it.
    Step(usize),
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let step = text.strip_prefix("step=").and_then(|number| number.parse().ok());
        match (text, step) {
            ("promoted", _) => Ok(Self::Promoted),
            ("aborted", _) => Ok(Self::Aborted),
            ("paused", _) => Ok(Self::Paused),
            (_, Some(number)) if number > 0 => Ok(Self::Step(number)),
            _ => Err("must be promoted, aborted, paused, or step=N, counted from 1".to_owned()),
        }
    }
}

impl Command {
    /// What a command orders, as the value of `haldane.dev/do`, and of which Deployment; `None` if it orders nothing.
    #[must_use]
    pub fn order(&self) -> Option<(String, String)> {
        let of = |One { name }: &'_ One, verb: Verb| (name.0.clone(), verb.to_string());
        let (name, text) = match self {
            Self::Promote { name, full: true, .. } => (name.0.clone(), Verb::PromoteFull.to_string()),
            Self::Promote { name, step: Some(step), .. } => {
                let order = Order { verb: Verb::Promote, step: Some(step.get() - 1) };
                (name.0.clone(), order.to_string())
            }
            Self::Promote { name, .. } => (name.0.clone(), Verb::Promote.to_string()),
            Self::Abort(one) => of(one, Verb::Abort),
            Self::Retry(one) => of(one, Verb::Retry),
            Self::Pause(one) => of(one, Verb::Pause),
            Self::Resume(one) => of(one, Verb::Resume),
            Self::Skip(one) => of(one, Verb::SkipStep),
            _ => return None,
        };
        Some((name, text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parsed(words: &str) -> Cli {
        Cli::try_parse_from(format!("kubectl-canary {words}").split(' ')).unwrap()
    }

    #[test]
    fn the_definition_holds_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn commands_order_what_the_annotation_orders() {
        for (words, order) in [
            ("promote web", "promote"),
            ("promote deploy/web --full", "promote-full"),
            ("promote deployments.apps/web --step 2", "promote --step 2"),
            ("abort web", "abort"),
            ("retry web", "retry"),
            ("pause web -n shop", "pause"),
            ("resume web", "resume"),
            ("skip web", "skip-step"),
        ] {
            assert_eq!(parsed(words).command.order(), Some(("web".into(), order.into())), "{words}");
        }
        assert_eq!(parsed("get web").command.order(), None);
    }

    #[test]
    fn what_to_wait_for_is_one_of_four() {
        assert_eq!("step=2".parse(), Ok(Target::Step(2)));
        assert_eq!("paused".parse(), Ok(Target::Paused));
        for wrong in ["", "step=0", "step=x", "healthy"] {
            let allowed = "must be promoted, aborted, paused, or step=N, counted from 1";
            assert_eq!(wrong.parse::<Target>(), Err(allowed.to_owned()), "{wrong}");
        }
    }
}
