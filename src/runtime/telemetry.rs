//! Logs on standard error, as text for people or JSON for machines.

use std::{error::Error, fmt::Write as _};
use tracing::Metadata;
use tracing_subscriber::{
    EnvFilter,
    filter::{ParseError, filter_fn},
    fmt,
    layer::SubscriberExt,
    registry::LookupSpan,
    util::{SubscriberInitExt, TryInitError},
};

/// The part of the client library that writes whole answers of the API server, which may be Secrets, where it
/// cannot read them.
const WRITES_ANSWERS: &str = "kube_client::client";

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Logging could not be started.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter has a syntax error.
    #[error("log filter: {0}")]
    Filter(#[from] ParseError),
    /// A subscriber is there already.
    #[error("logging: {0}")]
    Init(#[from] TryInitError),
}

/// Starts logging for the whole process; `filter` is as in `RUST_LOG`, e.g. `info,haldane=debug`.
///
/// # Errors
/// When the filter cannot be read, or when called twice.
pub fn start(format: LogFormat, filter: &str) -> Result<(), TelemetryError> {
    let registry = filtered(filter)?;
    let lines = fmt::layer().with_writer(std::io::stderr);
    match format {
        LogFormat::Text => registry.with(lines).try_init()?,
        LogFormat::Json => registry.with(lines.json().flatten_event(true)).try_init()?,
    }
    Ok(())
}

/// What passes `filter`, without answers of the API server, whatever the filter says.
fn filtered(filter: &str) -> Result<impl SubscriberExt + for<'a> LookupSpan<'a> + Send + Sync, ParseError> {
    let no_answers = filter_fn(|line: &Metadata<'_>| line.target() != WRITES_ANSWERS);
    Ok(tracing_subscriber::registry().with(EnvFilter::try_new(filter)?).with(no_answers))
}

/// An error with its causes on one line: most errors show their outermost layer only, and the reason, such
/// as a refused connection, is the innermost.
#[must_use]
pub fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        // Some errors repeat their cause in their own text.
        if !text.contains(&cause_text) {
            // Writing to a String cannot fail.
            let _ = write!(text, ": {cause_text}");
        }
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        io::{self, Write},
        sync::{Arc, Mutex},
    };

    #[derive(Debug, thiserror::Error)]
    enum Layer {
        #[error("cannot connect")]
        Outer(#[source] Box<Layer>),
        #[error("request failed: {0}")]
        Repeating(#[source] Box<Layer>),
        #[error("connection refused")]
        Inner,
    }

    #[test]
    fn answers_of_the_api_server_are_never_logged() {
        for filter in ["info", "trace", "kube_client=trace", "kube_client::client=trace,info"] {
            let lines = Lines::default();
            let layer = fmt::layer().with_ansi(false).with_writer({
                let lines = lines.clone();
                move || lines.clone()
            });
            tracing::subscriber::with_default(filtered(filter).unwrap().with(layer), || {
                tracing::warn!(target: "kube_client::client", "{{\"tls.key\": \"secret\"}}");
                tracing::warn!(target: "kube_client::client::builder", "failed with status 500");
            });
            let written = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
            assert!(!written.contains("secret"), "{filter}: {written}");
            assert!(written.contains("failed with status 500"), "{filter}: the rest is");
        }
    }

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn every_cause_is_told_once() {
        let inner = || Box::new(Layer::Inner);
        assert_eq!(causes(&Layer::Outer(inner())), "cannot connect: connection refused");
        assert_eq!(causes(&Layer::Repeating(inner())), "request failed: connection refused");
        let both = Layer::Repeating(Box::new(Layer::Outer(inner())));
        assert_eq!(causes(&both), "request failed: cannot connect: connection refused");
    }
}
