//! How fast admission is: `make bench-admission`.
//!
//! A process of its own runs the webhook on one thread: the server, its TLS, the wire format and the decision
//! are the real ones, only what is looked up in the cluster is given beforehand. This process sends it reviews
//! of 10 to 100 KiB over HTTP/1.1, as API servers do (`pkg/util/webhook/client.go`): first at a constant rate,
//! each request on time whatever became of the others, then as fast as it can. Both use loopback addresses only.
//!
//! The last line is JSON: requests per second that were answered at the constant rate, percentiles of their
//! latency, and the server's memory at the end.
// A tool of the tests: it may end when something is wrong with it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod client;
mod reviews;
mod server;

use clap::Parser;
use client::{Client, Timing};
use std::time::Duration;

#[derive(Parser)]
struct Args {
    /// Seconds at the constant rate; 600 show whether memory grows.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=3600))]
    seconds: u32,
    /// Requests per second.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    rate: u32,
    /// Be the server instead; used by the benchmark itself.
    #[arg(long, hide = true)]
    serve: bool,
}

/// Until connections, allocators and branch predictors are as they stay.
const WARM_UP: Duration = Duration::from_secs(2);
/// How long it runs as fast as it can.
const FLAT_OUT: Duration = Duration::from_secs(5);
/// Requests without an answer at a time, then.
const USERS: usize = 8;

fn main() {
    let args = Args::parse();
    if args.serve {
        return server::run();
    }
    let server = server::Child::start();
    let reviews = reviews::all();
    let sizes: Vec<_> = reviews.iter().map(|review| review.body.len() / 1024).collect();
    println!("reviews of {} to {} KiB", sizes.iter().min().unwrap(), sizes.iter().max().unwrap());
    let client = Client::new(server.port, &server.ca, reviews);

    client.at_rate(args.rate, WARM_UP);
    let (before, cpu) = (server.rss_mib(), server.cpu_ms());
    let steady = client.at_rate(args.rate, Duration::from_secs(args.seconds.into()));
    let (after, cpu) = (server.rss_mib(), server.cpu_ms() - cpu);
    let flat_out = client.flat_out(USERS, FLAT_OUT);
    describe(&format!("at {}/s", args.rate), &steady);
    describe("flat out", &flat_out);
    println!(
        "processor: {:.3} ms an answer at {}/s; more on a busy machine, whose caches are cold",
        cpu / steady.count(),
        args.rate
    );
    println!("memory of the server: {before:.1} MiB after the warm-up, {after:.1} MiB at the end");
    println!(
        "{}",
        serde_json::json!({
            "rps": rounded(steady.rate()),
            "p50_ms": rounded(steady.percentile(50.0)),
            "p99_ms": rounded(steady.percentile(99.0)),
            "rss_mib": rounded(after),
        })
    );
    assert_eq!(steady.failed + flat_out.failed, 0, "requests without the right answer");
}

fn describe(what: &str, timing: &Timing) {
    println!(
        "{what}: {:.0} answers/s, p50 {:.2} ms, p90 {:.2} ms, p99 {:.2} ms, p99.9 {:.2} ms, longest {:.2} ms, {} failed",
        timing.rate(),
        timing.percentile(50.0),
        timing.percentile(90.0),
        timing.percentile(99.0),
        timing.percentile(99.9),
        timing.percentile(100.0),
        timing.failed
    );
}

fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}
