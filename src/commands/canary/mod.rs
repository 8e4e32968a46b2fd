//! `kubectl canary`: what happens to releases, why, and what to do next. It has no rights of its own: it reads and
//! annotates with the user's.

pub mod cli;
pub mod error;
pub mod follow;
pub mod offline;
mod orders;
mod style;
pub mod subject;
pub mod tree;

use crate::{commands::run::admit_config, objects::manifest::Owner, runtime::clock};
use clap::Parser;
use cli::{Cli, Command, Connection, Files, Format, LintFormat, Name};
use error::CanaryError;
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use offline::{Decision, Manifests, Occasion};
use serde_json::{Map, Value, json};
use std::{
    io::{Write, stdout},
    process::ExitCode,
};
use style::{Style, Tone};
use subject::Subject;

/// Runs a command.
///
/// # Errors
/// See [`CanaryError`].
pub async fn run(cli: Cli) -> Result<ExitCode, CanaryError> {
    let style = Style::of_output();
    let offline = cli.connection.namespace.as_deref().unwrap_or("default");
    match &cli.command {
        Command::Plan(files) => {
            let decisions = decisions(files, offline, Occasion::Release)?;
            print(&offline::report::plan(&decisions))?;
            return Ok(verdict(&decisions));
        }
        Command::Lint { files, output } => {
            return lint(&decisions(files, offline, Occasion::OptIn)?, *output, style);
        }
        _ => {}
    }
    let client = connect(&cli.connection).await?;
    let namespace = cli.connection.namespace.unwrap_or_else(|| client.default_namespace().to_owned());
    let look = async |name: &Name| Subject::look(&client, &namespace, &name.0).await;
    if let Some((name, order)) = cli.command.order() {
        // Kindly, before the webhook refuses it.
        subject::find(&client, &namespace, &name).await?;
        let warnings = orders::give(&client, &namespace, &name, &order).await?;
        for warning in warnings {
            eprintln!("Warning: {warning}");
        }
        return print(&format!("deployment.apps/{name}: ordered {order}\n"));
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
                None => {
                    let pods = subject.pods(&client).await?;
                    print(&tree::tree(&subject, &pods, style, clock::now()))
                }
                Some(format) => print(&formatted(format, &shown(&subject))?),
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
        Command::History(one) => {
            let subject = look(&one.name).await?;
            print(&tree::history(&subject.state.history, style, clock::now()))
        }
        Command::Analysis { name, run } => analyses(&look(&name).await?, run.as_deref(), style),
        // Done above.
        Command::Plan(_)
        | Command::Lint { .. }
        | Command::Promote { .. }
        | Command::Abort(_)
        | Command::Retry(_)
        | Command::Pause(_)
        | Command::Resume(_)
        | Command::Skip(_) => Ok(ExitCode::SUCCESS),
    }
}

/// What admission decides with the settings of the environment, or else the defaults.
fn decisions(files: &Files, namespace: &str, occasion: Occasion) -> Result<Vec<Decision>, CanaryError> {
    let manifests = Manifests::read(&files.paths, namespace)?;
    let flags = ["haldane", "run", "--pod-name=offline"];
    let settings = crate::commands::cli::Cli::try_parse_from(flags)
        .map_err(|error| CanaryError::File(error.to_string()))?;
    let crate::commands::cli::Command::Run(args) = settings.command else { return Ok(Vec::new()) };
    Ok(manifests.decide(occasion, &admit_config(&args), clock::now()))
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

fn print(text: &str) -> Result<ExitCode, CanaryError> {
    stdout().write_all(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

fn listed(subjects: &[Subject], output: Option<Format>, style: Style) -> Result<ExitCode, CanaryError> {
    match output {
        None if subjects.is_empty() => print(
            "no managed Deployments; opt one in with kubectl annotate deployment NAME haldane.dev/canary=enabled\n",
        ),
        None => print(&tree::table(subjects, style, clock::now())),
        Some(Format::Name) => {
            print(&subjects.iter().map(|subject| name_of(&subject.owner.name)).collect::<String>())
        }
        Some(format) => {
            print(&formatted(format, &json!({"items": subjects.iter().map(shown).collect::<Vec<_>>()}))?)
        }
    }
}

fn name_of(name: &str) -> String {
    format!("deployment.apps/{name}\n")
}

/// A release as programs see it: `RolloutView`, and whose it is.
fn shown(subject: &Subject) -> Value {
    let Owner { namespace, name, .. } = &subject.owner;
    let mut shown =
        Map::from_iter([("namespace".to_owned(), json!(namespace)), ("name".to_owned(), json!(name))]);
    if let Value::Object(view) = json!(subject.view) {
        shown.extend(view);
    }
    Value::Object(shown)
}

fn formatted(format: Format, value: &Value) -> Result<String, CanaryError> {
    match format {
        Format::Json => serde_json::to_string_pretty(value)
            .map(|text| text + "\n")
            .map_err(|error| CanaryError::Format(error.to_string())),
        Format::Yaml => {
            serde_saphyr::to_string(value).map_err(|error| CanaryError::Format(error.to_string()))
        }
        Format::Name => Ok(name_of(value["name"].as_str().unwrap_or_default())),
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
    print(&chosen.iter().map(|analysis| tree::run(analysis, style, now)).collect::<String>())
}
