//! `kubectl canary`: what happens to releases, why, and what to do next. It has no rights of its own: it reads and
//! writes with the user's.

mod analysis;
mod changes;
pub mod cli;
pub mod completion;
mod convert;
pub mod dashboard;
mod doctor;
pub mod error;
mod explain;
pub mod follow;
mod manual;
pub mod offline;
mod orders;
mod style;
pub mod subject;
pub mod tree;

use crate::{admit::AdmitConfig, commands::run::admit_config, runtime::clock};
use changes::Change;
use clap::{CommandFactory, Parser};
use cli::{Cli, Command, Connection, Files, Format, LintFormat, Name, Set};
use error::CanaryError;
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use offline::{Decision, Manifests, Occasion};
use serde_json::{Value, json};
use std::{
    io::{Write, stdout},
    process::ExitCode,
    time::Duration,
};
use style::{Style, Tone};
use subject::Subject;
use tokio::time::timeout;

/// How long completion waits for a cluster.
const COMPLETION: Duration = Duration::from_secs(2);

/// Runs a command.
///
/// # Errors
/// See [`CanaryError`].
pub async fn run(cli: Cli) -> Result<ExitCode, CanaryError> {
    let wide = matches!(cli.command, Command::Get { output: Some(Format::Wide), .. });
    let style = Style { wide, ..Style::of_output() };
    if let Some(code) = without_cluster(&cli, style)? {
        return Ok(code);
    }
    let client = connect(&cli.connection).await?;
    let namespace = cli.connection.namespace.unwrap_or_else(|| client.default_namespace().to_owned());
    let look = async |name: &Name| Subject::look(&client, &namespace, &name.0).await;
    if let Some((name, order)) = cli.command.order() {
        // Kindly, before the webhook refuses it.
        subject::find(&client, &namespace, &name).await?;
        let warnings = orders::give(&client, &namespace, &name, &order).await?;
        return changed(&Change { text: format!("deployment.apps/{name}: ordered {order}\n"), warnings });
    }
    match cli.command {
        Command::Get { name: None, output, .. } => {
            let subjects = Subject::list(&client, Some(&namespace)).await?;
            listed(&subjects, output, style)
        }
        Command::List { all_namespaces } => {
            let of = (!all_namespaces).then_some(namespace.as_str());
            listed(&Subject::list(&client, of).await?, None, style)
        }
        Command::Get { name: Some(name), watch: true, .. } => {
            follow::watch(&client, look(&name).await?, style).await.map(|()| ExitCode::SUCCESS)
        }
        Command::Get { name: Some(name), output, .. } => {
            let subject = look(&name).await?;
            match output {
                None | Some(Format::Wide) => {
                    let pods = subject.pods(&client).await?;
                    print(&tree::tree(&subject, &pods, style, clock::now()))
                }
                Some(format) => print(&formatted(format, &json!(subject.shown()))?),
            }
        }
        Command::Status(wait) => {
            let timeout = wait.timeout.map(|timeout| timeout.signed().unsigned_abs());
            follow::wait(&client, look(&wait.name).await?, timeout, follow::status_code).await
        }
        Command::Wait { target, wait } => {
            let timeout = wait.timeout.map(|timeout| timeout.signed().unsigned_abs());
            let subject = look(&wait.name).await?;
            follow::wait(&client, subject, timeout, |subject| follow::wait_code(target, subject)).await
        }
        Command::Dashboard { port, all_namespaces, read_only } => {
            let namespace = (!all_namespaces).then_some(namespace);
            dashboard::run(client, namespace, port, read_only).await
        }
        Command::Undo { name, to_revision } => {
            changed(&changes::undo(&client, &namespace, &name.0, to_revision).await?)
        }
        Command::Set(Set::Image { name, images }) => {
            changed(&changes::set_image(&client, &namespace, &name.0, &images).await?)
        }
        Command::Doctor { name } => {
            let name = name.as_ref().map(|name| name.0.as_str());
            let snapshot = doctor::fetch::snapshot(&client, &namespace, name, admission()?).await;
            let lines = snapshot.examine();
            print(&doctor::report(&lines, style))?;
            Ok(if doctor::is_sound(&lines) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Command::History { name, revision } => {
            let state = look(&name).await?.state;
            let history = state.history.iter();
            let shown: Vec<_> =
                history.filter(|entry| revision.is_none_or(|n| n == entry.revision)).cloned().collect();
            let report = revision.and_then(|revision| state.report(revision));
            let report = report.map(|report| tree::abort(report, style)).unwrap_or_default();
            print(&(tree::history(&shown, style, clock::now()) + &report))
        }
        Command::Analysis { name, run } => analyses(&look(&name).await?, run.as_deref(), style),
        // Done above.
        Command::Plan(_)
        | Command::Lint { .. }
        | Command::Convert(_)
        | Command::Explain { .. }
        | Command::Completions { .. }
        | Command::Man { .. }
        | Command::Promote { .. }
        | Command::Abort(_)
        | Command::Retry(_)
        | Command::Pause(_)
        | Command::Resume(_)
        | Command::Skip(_) => Ok(ExitCode::SUCCESS),
    }
}

/// Prints what can follow these words, for kubectl; Deployments where the cluster can be read at once.
///
/// # Errors
/// The terminal or the pipe is gone.
pub async fn complete(words: &[String]) -> Result<ExitCode, CanaryError> {
    let found = completion::candidates(&Cli::command(), words);
    let last = words.last().map_or("", String::as_str);
    let names = if found.wants_name { names(words).await.unwrap_or_default() } else { Vec::new() };
    print(&found.text(&names, last))
}

/// The managed Deployments of the namespace that the words name.
async fn names(words: &[String]) -> Option<Vec<String>> {
    let after = |flags: [&str; 2]| {
        let mut pairs = words.iter().zip(words.iter().skip(1));
        pairs.find(|(flag, _)| flags.contains(&flag.as_str())).map(|(_, value)| value.clone())
    };
    let connection = Connection {
        namespace: after(["-n", "--namespace"]),
        context: after(["--context", "--context"]),
        kubeconfig: after(["--kubeconfig", "--kubeconfig"]).map(Into::into),
    };
    let client = connect(&connection).await.ok()?;
    let namespace = connection.namespace.unwrap_or_else(|| client.default_namespace().to_owned());
    let listed = timeout(COMPLETION, Subject::list(&client, Some(&namespace))).await;
    Some(listed.ok()?.ok()?.into_iter().map(|subject| subject.owner.name).collect())
}

/// The commands that need no cluster.
fn without_cluster(cli: &Cli, style: Style) -> Result<Option<ExitCode>, CanaryError> {
    let namespace = cli.connection.namespace.as_deref().unwrap_or("default");
    let code = match &cli.command {
        Command::Plan(files) => {
            let decisions = decisions(files, namespace, Occasion::Release)?;
            print(&offline::report::plan(&decisions))?;
            verdict(&decisions)
        }
        Command::Lint { files, output } => {
            lint(&decisions(files, namespace, Occasion::OptIn)?, *output, style)?
        }
        Command::Convert(files) => convert(files, namespace)?,
        Command::Completions { shell } => print(&manual::completions(*shell)?)?,
        Command::Man { command } => print(&manual::page(command.as_deref())?)?,
        Command::Explain { key } => print(&explain::explain(key.as_deref(), style)?)?,
        _ => return Ok(None),
    };
    Ok(Some(code))
}

fn convert(files: &Files, namespace: &str) -> Result<ExitCode, CanaryError> {
    let made = Manifests::read(&files.paths, namespace)?.convert(&admission()?, clock::now());
    for note in made.notes() {
        eprintln!("{}: {note}", if note.is_lost { "not carried over" } else { "note" });
    }
    print(&made.documents()?)?;
    Ok(if made.is_whole() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What admission decides about files.
fn decisions(files: &Files, namespace: &str, occasion: Occasion) -> Result<Vec<Decision>, CanaryError> {
    Ok(Manifests::read(&files.paths, namespace)?.decide(occasion, &admission()?, clock::now()))
}

/// The settings of the environment, or else the defaults.
fn admission() -> Result<AdmitConfig, CanaryError> {
    let flags = ["haldane", "run", "--pod-name=offline"];
    let settings = crate::commands::cli::Cli::try_parse_from(flags)
        .map_err(|error| CanaryError::File(error.to_string()))?;
    match settings.command {
        crate::commands::cli::Command::Run(args) => Ok(admit_config(&args)),
        crate::commands::cli::Command::Eject(_) => {
            Err(CanaryError::File("the settings do not belong to haldane run".to_owned()))
        }
    }
}

fn verdict(decisions: &[Decision]) -> ExitCode {
    if decisions.iter().all(|decision| decision.verdict.is_allowed()) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn lint(decisions: &[Decision], output: LintFormat, style: Style) -> Result<ExitCode, CanaryError> {
    let problems = offline::report::problems(decisions);
    match output {
        LintFormat::Text => {
            for problem in &problems {
                let level = if problem.is_error {
                    style.paint(Tone::Bad, "error")
                } else {
                    style.paint(Tone::Notice, "warning")
                };
                print(&format!("{}: {level}: {}: {}\n", problem.file, problem.object, problem.message))?;
            }
        }
        LintFormat::Json => drop(print(&formatted(Format::Json, &json!(problems))?)?),
        LintFormat::Sarif => drop(print(&formatted(Format::Json, &offline::report::sarif(&problems))?)?),
    }
    Ok(verdict(decisions))
}

async fn connect(connection: &Connection) -> Result<Client, CanaryError> {
    let options = KubeConfigOptions { context: connection.context.clone(), ..KubeConfigOptions::default() };
    let config = match (&connection.kubeconfig, &connection.context) {
        (Some(file), _) => Config::from_custom_kubeconfig(Kubeconfig::read_from(file)?, &options).await?,
        (None, Some(_)) => Config::from_kubeconfig(&options).await?,
        (None, None) => Config::infer().await?,
    };
    Ok(Client::try_from(config)?)
}

fn changed(change: &Change) -> Result<ExitCode, CanaryError> {
    for warning in &change.warnings {
        eprintln!("Warning: {warning}");
    }
    print(&change.text)
}

fn print(text: &str) -> Result<ExitCode, CanaryError> {
    stdout().write_all(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

fn listed(subjects: &[Subject], output: Option<Format>, style: Style) -> Result<ExitCode, CanaryError> {
    match output {
        None | Some(Format::Wide) if subjects.is_empty() => print(
            "no managed Deployments; opt one in with kubectl annotate deployment NAME haldane.dev/canary=enabled\n",
        ),
        None | Some(Format::Wide) => print(&tree::table(subjects, style, clock::now())),
        Some(Format::Name) => {
            print(&subjects.iter().map(|subject| name_of(&subject.owner.name)).collect::<String>())
        }
        Some(format) => print(&formatted(
            format,
            &json!({"items": subjects.iter().map(Subject::shown).collect::<Vec<_>>()}),
        )?),
    }
}

fn name_of(name: &str) -> String {
    format!("deployment.apps/{name}\n")
}

fn formatted(format: Format, value: &Value) -> Result<String, CanaryError> {
    match format {
        Format::Json => serde_json::to_string_pretty(value)
            .map(|text| text + "\n")
            .map_err(|error| CanaryError::Format(error.to_string())),
        Format::Yaml => {
            serde_saphyr::to_string(value).map_err(|error| CanaryError::Format(error.to_string()))
        }
        Format::Name | Format::Wide => Ok(name_of(value["name"].as_str().unwrap_or_default())),
    }
}

fn analyses(subject: &Subject, run: Option<&str>, style: Style) -> Result<ExitCode, CanaryError> {
    let runs = subject.view.rollout.iter().flat_map(|progress| &progress.analyses);
    let chosen: Vec<_> =
        runs.clone().filter(|analysis| run.is_none_or(|name| analysis.name == name)).collect();
    if chosen.is_empty() {
        let known: Vec<&str> = runs.map(|analysis| analysis.name.as_str()).collect();
        return Err(CanaryError::NoRun(match (run, known.is_empty()) {
            (Some(name), false) => format!("there is no analysis run {name:?}; there are {}", known.join(", ")),
            _ => "no release is under way that has an analysis run; kubectl canary history shows how the last ones ended".to_owned(),
        }));
    }
    let now = clock::now();
    print(&chosen.iter().map(|run| analysis::run(run, style, now)).collect::<String>())
}
