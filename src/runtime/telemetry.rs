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

/// Of the client library: its span says of a pass what ours says, in other words.
const REPEATS_OBJECT: &str = "kube_runtime::controller";

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
        // Each line has the spans that it belongs to, from the outermost.
        LogFormat::Json => {
            registry.with(lines.json().flatten_event(true).with_current_span(false)).try_init()?;
        }
    }
    Ok(())
}

/// What passes `filter`, without answers of the API server and without repetitions, whatever the filter says.
fn filtered(filter: &str) -> Result<impl SubscriberExt + for<'a> LookupSpan<'a> + Send + Sync, ParseError> {
    let ours = filter_fn(|written: &Metadata<'_>| {
        written.target() != WRITES_ANSWERS && !(written.is_span() && written.target() == REPEATS_OBJECT)
    });
    Ok(tracing_subscriber::registry().with(EnvFilter::try_new(filter)?).with(ours))
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
pub(crate) mod capture {
    //! Log lines as they would be written, for tests of what they say.

    use super::filtered;
    use std::{
        io::{self, Write},
        sync::{Arc, Mutex},
    };
    use tracing::subscriber::DefaultGuard;
    use tracing_subscriber::{fmt, layer::SubscriberExt, util::SubscriberInitExt};

    /// Lines of text that have been written.
    #[derive(Clone, Default)]
    pub struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Lines {
        /// Collects what this thread writes past `filter`, until the guard is dropped.
        pub fn of(filter: &str) -> (Self, DefaultGuard) {
            let lines = Self::default();
            let writer = lines.clone();
            let layer = fmt::layer().with_ansi(false).without_time().with_writer(move || writer.clone());
            let guard = filtered(filter).unwrap().with(layer).set_default();
            (lines, guard)
        }

        /// What has been written so far.
        pub fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{capture::Lines, *};

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
            let (lines, _guard) = Lines::of(filter);
            tracing::warn!(target: "kube_client::client", "{{\"tls.key\": \"secret\"}}");
            tracing::warn!(target: "kube_client::client::builder", "failed with status 500");
            let written = lines.text();
            assert!(!written.contains("secret"), "{filter}: {written}");
            assert!(written.contains("failed with status 500"), "{filter}: the rest is");
        }
    }

    #[test]
    fn the_librarys_span_of_a_pass_is_not_repeated() {
        let (lines, _guard) = Lines::of("info");
        let theirs = tracing::info_span!(target: "kube_runtime::controller", "reconciling object");
        theirs.in_scope(|| tracing::warn!(target: "kube_runtime::controller", "a line of theirs"));
        assert_eq!(lines.text(), " WARN kube_runtime::controller: a line of theirs\n");
    }

    #[test]
    fn every_cause_is_reported_once() {
        let inner = || Box::new(Layer::Inner);
        assert_eq!(causes(&Layer::Outer(inner())), "cannot connect: connection refused");
        assert_eq!(causes(&Layer::Repeating(inner())), "request failed: connection refused");
        let both = Layer::Repeating(Box::new(Layer::Outer(inner())));
        assert_eq!(causes(&both), "request failed: cannot connect: connection refused");
    }
}
