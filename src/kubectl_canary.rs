//! The plugin `kubectl canary`: flags in, exit code out.

use clap::Parser;
use haldane::{
    commands::canary::{self, cli::Cli, completion},
    runtime::telemetry,
};
use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let completes = completion::is_meant(std::env::args_os().next().as_deref());
    // Not before the arguments are known to be words for completion: others end the process here.
    let cli = if completes { None } else { Some(Cli::parse()) };
    // Without it every TLS client would panic at its first connection. Nobody else can have installed one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let done = if let Some(cli) = cli {
        Box::pin(canary::run(cli)).await
    } else {
        let words: Vec<String> = std::env::args().skip(1).collect();
        Box::pin(canary::complete(&words)).await
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {}", telemetry::causes(&error));
            ExitCode::FAILURE
        }
    }
}
