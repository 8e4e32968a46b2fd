//! `doctor`: what keeps Haldane, or one Deployment, from working, and what to do about it.
//!
//! [`fetch`] reads what the user may read; everything else judges what was read.

pub mod fetch;
mod installation;
mod release;
mod rights;
mod series;

use super::style::{Style, Tone};
use crate::{
    domain::{k8s::json_pointer::part, state::RolloutState},
    objects::manifest::Kind,
    providers,
};
use jiff::Timestamp;
use release::Release;
use rights::Right;
use serde_json::Value;
use std::fmt::Write;

/// What was read, or why it could not be.
pub type Read<T> = Result<T, String>;

/// How serious a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// As it should be.
    Good,
    /// It may be as intended.
    Warning,
    /// Something does not work.
    Problem,
}

/// One result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// How serious it is.
    pub level: Level,
    /// What was found.
    pub text: String,
    /// What to do next; empty if there is nothing to do.
    pub remedy: String,
}

impl Line {
    fn good(text: impl Into<String>) -> Self {
        Self { level: Level::Good, text: text.into(), remedy: String::new() }
    }

    fn warning(text: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { level: Level::Warning, text: text.into(), remedy: remedy.into() }
    }

    fn problem(text: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { level: Level::Problem, text: text.into(), remedy: remedy.into() }
    }

    /// Something that the user may not read.
    fn unread(what: &str, why: &str) -> Self {
        Self::warning(format!("{what} not checked: {why}"), "ask anyone who may read it to run this command")
    }
}

/// What was read of the cluster.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The time.
    pub now: Timestamp,
    /// The mutating and the validating webhook configuration of Haldane, where they exist.
    pub webhooks: Read<Vec<Value>>,
    /// `EndpointSlices` of the Service of the webhook.
    pub slices: Read<Vec<Value>>,
    /// Haldane's Deployment.
    pub controller: Read<Option<Value>>,
    /// The lease of its leader.
    pub lease: Read<Option<Value>>,
    /// `IngressClasses`.
    pub classes: Read<Vec<Value>>,
    /// The kinds of routes that the cluster has and another may be without.
    pub routes: Read<Vec<Kind>>,
    /// What the user may do.
    pub rights: Vec<(Right, Read<bool>)>,
    /// The Deployment, if one is named.
    pub release: Option<Release>,
}

impl Snapshot {
    /// Every result, the installation's first.
    #[must_use]
    pub fn examine(&self) -> Vec<Line> {
        let mut lines = installation::examine(self);
        lines.extend(rights::examine(&self.rights));
        lines.extend(self.release.iter().flat_map(|release| release.examine(self)));
        lines
    }

    /// The address of Prometheus that Haldane's Deployment sets, or else the default.
    fn prometheus(&self) -> providers::Defaults {
        let set = || {
            let controller = self.controller.as_ref().ok()?.as_ref()?;
            let containers = part(controller, "/spec/template/spec/containers")?.as_array()?;
            let mut variables = containers.iter().filter_map(|one| one.get("env")?.as_array()).flatten();
            let variable = variables.find(|variable| {
                variable.get("name").and_then(Value::as_str) == Some("HALDANE_PROMETHEUS_ADDRESS")
            });
            variable?.get("value")?.as_str().map(str::to_owned)
        };
        let release = self.release.as_ref();
        let default = || release?.config.providers.prometheus_address.clone();
        providers::Defaults { prometheus_address: set().or_else(default) }
    }
}

/// The results as text.
#[must_use]
pub fn report(lines: &[Line], style: Style) -> String {
    let mut text = String::new();
    for Line { level, text: found, remedy } in lines {
        let (mark, tone) = match level {
            Level::Good => ("ok       ", Tone::Good),
            Level::Warning => ("warning  ", Tone::Notice),
            Level::Problem => ("problem  ", Tone::Bad),
        };
        let _ = writeln!(text, "{}{found}", style.paint(tone, mark));
        if !remedy.is_empty() {
            let _ = writeln!(text, "         → {remedy}");
        }
    }
    text
}

/// Whether nothing is broken.
#[must_use]
pub fn is_sound(lines: &[Line]) -> bool {
    lines.iter().all(|line| line.level != Level::Problem)
}

/// What is recorded of a release; `None` before its first pass.
pub type Record = Read<Option<RolloutState>>;

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    part(object, pointer).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
impl Snapshot {
    /// A cluster of which nothing was read but this.
    fn only(release: Option<Release>) -> Self {
        Self {
            now: Timestamp::UNIX_EPOCH,
            webhooks: Ok(Vec::new()),
            slices: Ok(Vec::new()),
            controller: Ok(None),
            lease: Ok(None),
            classes: Ok(Vec::new()),
            routes: Ok(Vec::new()),
            rights: Vec::new(),
            release,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_result_is_a_line_and_its_remedy_below_it() {
        let lines = [
            Line::good("2 replicas"),
            Line::warning("one replica", "scale it up"),
            Line::problem("none", "start it"),
        ];
        assert_eq!(
            report(&lines, Style { color: false, wide: false }),
            "ok       2 replicas\nwarning  one replica\n         → scale it up\nproblem  none\n         → start it\n"
        );
        assert!(!is_sound(&lines) && is_sound(&lines[..2]));
    }
}
