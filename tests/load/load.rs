//! Sends HTTP requests at a steady pace and says what came back, from which version.
//!
//! It exists to show that a canary release loses no request, so it keeps apart what the
//! application answered and what got lost on the way. See `README.md` in this folder.

mod args;
mod client;
mod clock;
mod histogram;
mod pace;
mod plot;
mod report;
mod stats;
mod target;
mod values;

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

use args::{Args, Pace};
use client::Client;
use clock::Clock;
use pace::Run;
use report::{StoppedBy, Summary};
use stats::Stats;

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    if let Err(message) = args.check() {
        eprintln!("load: {message}");
        return ExitCode::from(2);
    }
    match run(&args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("load: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: &Args) -> Result<(), Box<dyn std::error::Error>> {
    let mut signals = Signals::new()?;
    let client = Arc::new(Client::new(args)?);
    let clock = Clock::start();
    let (outcomes, mut received) = mpsc::unbounded_channel();
    let run = Run::new(client, clock, args.duration, args.max_requests, outcomes);
    let progress = run.progress();
    match args.pace() {
        Pace::Rate(rate) => pace::open_loop(run, rate)?,
        Pace::Users(users) => {
            pace::closed_loop(&run, users);
            // Only the users report from here on: the channel closes after the last of them.
            drop(run);
        }
    }

    let mut stats = Stats::default();
    let mut stopped_by = None;
    let mut live = ticks(args.every);
    let mut look = ticks(Duration::from_millis(100));
    loop {
        tokio::select! {
            outcome = received.recv() => match outcome {
                Some(outcome) => stats.record(outcome, &clock),
                // Everything was sent and came back.
                None => break,
            },
            _ = live.tick() => {
                let interval = std::mem::take(&mut stats.interval);
                say(args, &report::live_line(clock.elapsed(), &interval));
            }
            _ = look.tick(), if stopped_by.is_none() => {
                if args.until_file.as_deref().is_some_and(Path::exists) {
                    stopped_by = Some(StoppedBy::File);
                    progress.stop();
                }
            }
            () = signals.next() => {
                if stopped_by == Some(StoppedBy::Signal) {
                    // Asked twice: do not wait for what is still on its way.
                    break;
                }
                stopped_by = Some(StoppedBy::Signal);
                progress.stop();
            }
        }
    }
    let stopped_by = stopped_by.unwrap_or(if Some(progress.sent()) == args.max_requests {
        StoppedBy::MaxRequests
    } else {
        StoppedBy::Duration
    });
    let summary = Summary::new(args, &clock, progress.sent(), stopped_by, stats);
    say(args, &summary.to_string());
    write_files(args, &summary)
}

/// A ticker whose first tick comes after one period.
fn ticks(period: Duration) -> tokio::time::Interval {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.reset();
    ticks
}

/// Writes text for people: to standard output, unless that carries the JSON.
fn say(args: &Args, text: &str) {
    // The run continues even if nobody reads the output.
    let _ = if args.json_to_stdout() {
        writeln!(io::stderr(), "{text}")
    } else {
        writeln!(io::stdout(), "{text}")
    };
}

fn write_files(args: &Args, summary: &Summary) -> Result<(), Box<dyn std::error::Error>> {
    if let Some(path) = &args.json {
        let mut json = serde_json::to_vec_pretty(summary)?;
        json.push(b'\n');
        if args.json_to_stdout() {
            io::stdout().write_all(&json)?;
        } else {
            write(path, &json)?;
        }
    }
    if let Some(path) = &args.plot {
        write(path, plot::svg(summary).as_bytes())?;
    }
    Ok(())
}

/// Puts the file in place as a whole, so that nobody who waits for it reads half of it.
fn write(path: &Path, content: &[u8]) -> Result<(), String> {
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    std::fs::write(&part, content)
        .and_then(|()| std::fs::rename(&part, path))
        .map_err(|error| format!("cannot write {}: {error}", path.display()))
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
