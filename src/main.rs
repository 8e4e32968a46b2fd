//! The `haldane` binary: flags in, exit code out.

use clap::Parser;
use haldane::{
    commands::{
        cli::{Cli, Command},
        eject::eject,
        run::run,
    },
    runtime::telemetry::{self, LogFormat},
};
use std::{error::Error, process::ExitCode};

// Nearly all is waiting. More threads on a large node would only mean more heaps, each as large as the
// largest review that ever passed through it.
#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    let command = Cli::parse().command;
    let work = async {
        let (format, filter) = match &command {
            Command::Run(args) => (args.log_format, &args.log),
            Command::Eject(args) => (LogFormat::Text, &args.log),
        };
        telemetry::start(format, filter)?;
        // Without it every TLS client would panic at its first connection.
        rustls::crypto::ring::default_provider()
            .install_default()
            .map_err(|_| "another TLS crypto provider is installed already")?;
        match command {
            Command::Run(args) => run(*args).await.map_err(Box::<dyn Error>::from),
            Command::Eject(args) => Box::pin(eject(args)).await.map_err(Box::<dyn Error>::from),
        }
    };
    match work.await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("haldane: {}", telemetry::causes(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}
