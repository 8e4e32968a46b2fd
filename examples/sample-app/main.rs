//! A small web server to try canary releases with.
//!
//! It answers with its version, and it can be told, at start or while it runs, to fail,
//! to be slow, to start late and to use more and more memory. See `README.md` beside this file.

mod app;
mod config;
mod memory;
mod metrics;
mod routes;
mod serve;
mod settings;
mod spread;
mod values;

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

const USAGE: &str = "\
sample-app: a small web server to try canary releases with

It takes no arguments; everything is set by environment variables:
  PORT           port to listen on                        (8080)
  DRAIN          time to keep serving after SIGTERM       (5s)
  VERSION        version to answer with                   (v1)
  ERROR_RATE     share of requests to fail, 0..1 or 50%   (0)
  LATENCY        time added to every answer, e.g. 150ms   (0s)
  WORK           computing for every answer, e.g. 500us   (0s)
  START_DELAY    time until /healthz says ready           (0s)
  MEMORY_GROWTH  bytes to use more every second, e.g. 1Mi (0)
The last six can be changed while it runs:
  curl -X PUT 'http://127.0.0.1:8080/settings?error_rate=0.5'";

/// Writes a line to standard output; nobody reading it is no reason to fail.
fn log(line: &str) {
    let _ = writeln!(std::io::stdout(), "sample-app: {line}");
}

#[tokio::main]
async fn main() -> ExitCode {
    if let Some(argument) = std::env::args_os().nth(1) {
        if argument == "--help" || argument == "-h" {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        eprintln!("sample-app: unexpected argument {}", argument.display());
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    }
    let config = match config::Config::read(|name| std::env::var_os(name)) {
        Ok(config) => config,
        Err(refusal) => {
            eprintln!("sample-app: {refusal}");
            return ExitCode::from(2);
        }
    };
    let app = Arc::new(app::App::new(config.settings));
    match serve::run(app, config.port, config.drain).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sample-app: port {}: {error}", config.port);
            ExitCode::FAILURE
        }
    }
}
