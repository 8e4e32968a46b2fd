//! The command line.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{ArgGroup, Parser};
use http::{HeaderName, HeaderValue};
use reqwest::Url;

use crate::{target, values};

/// Sends HTTP requests at a steady pace and says what came back, from which version.
#[derive(Debug, Parser)]
#[command(name = "load", group = ArgGroup::new("pace").required(true))]
pub struct Args {
    /// Where to send requests: http, to a loopback or 10.0.0.0/8 address
    #[arg(long, value_parser = target::parse)]
    pub url: Url,

    /// The Host header, to pass an ingress by its address
    #[arg(long, value_parser = header_value)]
    pub host: Option<HeaderValue>,

    /// A header to send; may be given many times
    #[arg(long = "header", value_name = "K: V", value_parser = header)]
    pub headers: Vec<(HeaderName, HeaderValue)>,

    /// Requests per second, sent on time whatever the answers do
    #[arg(long, group = "pace", value_parser = clap::value_parser!(u32).range(1..=5000))]
    rate: Option<u32>,

    /// Virtual users; each sends its next request when the last one was answered
    #[arg(long, group = "pace", value_parser = clap::value_parser!(u32).range(1..=1000))]
    users: Option<u32>,

    /// How long to send requests, at most 1h
    #[arg(long, value_parser = run_time)]
    pub duration: Duration,

    /// Stop after so many requests
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub max_requests: Option<u64>,

    /// Stop when this file appears
    #[arg(long, value_name = "PATH")]
    pub until_file: Option<PathBuf>,

    /// How long to wait for an answer, at most 1m
    #[arg(long, default_value = "5s", value_parser = timeout)]
    pub timeout: Duration,

    /// Open a new connection for every request
    #[arg(long)]
    pub no_keepalive: bool,

    /// How often to print a line about what is going on
    #[arg(long, default_value = "1s", value_parser = run_time)]
    pub every: Duration,

    /// Write the summary as JSON to this file; - is standard output
    #[arg(long, value_name = "FILE|-")]
    pub json: Option<PathBuf>,

    /// Write a chart of the traffic split over time to this file
    #[arg(long, value_name = "FILE.svg")]
    pub plot: Option<PathBuf>,
}

/// How requests follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// So many per second, whatever the answers do.
    Rate(u32),
    /// So many users, each waiting for its answers.
    Users(u32),
}

impl Args {
    /// How requests follow each other.
    pub fn pace(&self) -> Pace {
        match (self.rate, self.users) {
            (Some(rate), _) => Pace::Rate(rate),
            (None, users) => Pace::Users(users.unwrap_or(1)),
        }
    }

    /// Whether standard output carries the JSON.
    pub fn json_to_stdout(&self) -> bool {
        self.json.as_deref() == Some(Path::new("-"))
    }

    /// Finds what would only go wrong after a long run, or end it at once.
    pub fn check(&self) -> Result<(), String> {
        if let Some(path) = self.until_file.as_deref().filter(|path| path.exists()) {
            let path = path.display();
            return Err(format!("--until-file {path}: it is already there"));
        }
        let json = self.json.as_ref().filter(|_| !self.json_to_stdout());
        for path in json.into_iter().chain(&self.plot) {
            let folder = match path.parent() {
                Some(folder) if folder != Path::new("") => folder,
                _ => Path::new("."),
            };
            if !folder.is_dir() {
                let (path, folder) = (path.display(), folder.display());
                return Err(format!("cannot write {path}: no folder {folder}"));
            }
        }
        Ok(())
    }
}

fn run_time(text: &str) -> Result<Duration, String> {
    values::duration(text, Duration::from_millis(100), Duration::from_hours(1))
}

fn timeout(text: &str) -> Result<Duration, String> {
    values::duration(text, Duration::from_millis(1), Duration::from_mins(1))
}

fn header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text.split_once(':').ok_or("use the form 'Name: value'")?;
    let name = name.trim().parse().map_err(|_| "this is not the name of a header")?;
    Ok((name, header_value(value.trim())?))
}

fn header_value(text: &str) -> Result<HeaderValue, String> {
    HeaderValue::from_str(text).map_err(|_| "use visible characters only".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Args, String> {
        let words = std::iter::once("load").chain(line.split('|'));
        Args::try_parse_from(words).map_err(|error| error.to_string())
    }

    const URL: &str = "--url|http://127.0.0.1:8080/";

    #[test]
    fn a_full_command_line_is_read() {
        let args = parse(&format!(
            "{URL}|--host|app.example.com|--header|X-A: 1|--header|X-B:2|--users|20|--duration|1m"
        ))
        .unwrap();
        assert_eq!(args.pace(), Pace::Users(20));
        assert_eq!(args.duration, Duration::from_mins(1));
        assert_eq!(args.timeout, Duration::from_secs(5));
        assert_eq!(args.headers[1].1, "2");
    }

    #[test]
    fn a_run_is_always_bounded_and_has_one_pace() {
        for line in [
            "--rate|5",
            "--duration|10s",
            "--rate|5|--users|5|--duration|10s",
            "--rate|0|--duration|10s",
            "--rate|5001|--duration|10s",
            "--users|1001|--duration|10s",
            "--rate|5|--duration|61m",
            "--rate|5|--duration|0s",
            "--rate|5|--duration|10s|--timeout|2m",
        ] {
            assert!(parse(&format!("{URL}|{line}")).is_err(), "{line}");
        }
    }

    #[test]
    fn files_that_could_not_be_written_are_found_at_the_start() {
        let line = format!("{URL}|--rate|5|--duration|1s|--plot|/no/such/folder/a.svg");
        let message = parse(&line).unwrap().check().unwrap_err();
        assert!(message.contains("/no/such/folder"), "{message}");

        let line = format!("{URL}|--rate|5|--duration|1s|--until-file|/");
        assert!(parse(&line).unwrap().check().is_err());
        let line = format!("{URL}|--rate|5|--duration|1s|--json|-|--plot|a.svg");
        assert_eq!(parse(&line).unwrap().check(), Ok(()));
    }
}
