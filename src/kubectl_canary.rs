//! The plugin `kubectl canary`: flags in, exit code out.

use clap::Parser;
use haldane::{
    commands::canary::{self, cli::Cli},
    runtime::telemetry,
};
use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    // Without it every TLS client would panic at its first connection. Nobody else can have installed one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match Box::pin(canary::run(cli)).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {}", telemetry::causes(&error));
            ExitCode::FAILURE
        }
    }
}
