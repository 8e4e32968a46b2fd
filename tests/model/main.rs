//! The decisions under random schedules: crashes before and after every write, refused and late requests,
//! lost answers, two leaders, clocks that jump, people, failing pods. After every request the promises of the
//! design are checked. `docs/decisions/0015-crash-rule.md` says what this shows and what not.
//! `stories` are single rollouts without disturbances.
//!
//! `make model N=1000000` runs more of them. A schedule that breaks a promise is printed in its shortest form;
//! `MODEL_SEED=7 cargo test --release --test model -- --nocapture` finds it again.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod faults;
mod invariants;
mod kubernetes;
mod plans;
mod refused;
mod rng;
mod scenarios;
mod schedule;
mod sim;
mod stories;
mod upgrade;

use std::{collections::BTreeMap, env, thread, time::Instant};

/// Schedules, if nothing else is said.
const SCHEDULES: u64 = 50_000;
/// Kinds of broken promises that are printed.
const MAX_SHOWN: usize = 5;

fn number(name: &str) -> Option<u64> {
    env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} must be a number")))
}

#[test]
fn promises_hold_under_every_schedule() {
    // One schedule of a seed, or all from the first.
    let (first, count) = match number("MODEL_SEED") {
        Some(seed) => (seed, 1),
        None => (0, number("MODEL_SCHEDULES").unwrap_or(SCHEDULES)),
    };
    let started = Instant::now();
    let workers = thread::available_parallelism().map_or(1, usize::from) as u64;
    let endings: Vec<_> = thread::scope(|scope| {
        let work = |worker| {
            let seeds = (first..first + count).filter(move |seed| seed % workers == worker);
            scope.spawn(move || seeds.map(|seed| (seed, whole(seed))).collect::<Vec<_>>())
        };
        let handles: Vec<_> = (0..workers).map(work).collect();
        handles.into_iter().flat_map(|handle| handle.join().unwrap()).collect()
    });
    let mut rests: BTreeMap<&str, usize> = BTreeMap::new();
    let mut violations = Vec::new();
    for (seed, result) in endings {
        match result {
            Ok(rest) => *rests.entry(rest).or_default() += 1,
            Err(violation) => violations.push((seed, violation)),
        }
    }
    for seed in examples(&violations) {
        let events = shortest(seed);
        let ending = schedule::run(seed, &|event| events.contains(&event), true);
        println!("MODEL_SEED={seed}: {:?}\n  {}", ending.result, ending.log.join("\n  "));
    }
    println!("{rests:?}");
    println!("{count} schedules, {} violations, {:.0} s", violations.len(), started.elapsed().as_secs_f64());
    assert!(violations.is_empty(), "replay with MODEL_SEED=SEED");
}

/// The first schedule of each kind of violation: those whose texts differ in more than figures.
fn examples(violations: &[(u64, invariants::Violation)]) -> Vec<u64> {
    let mut kinds: BTreeMap<String, u64> = BTreeMap::new();
    for (seed, violation) in violations {
        let kind = violation.replace(|c: char| c.is_ascii_digit(), "").chars().take(40).collect();
        let first = kinds.entry(kind).or_insert(*seed);
        *first = (*seed).min(*first);
    }
    let mut seeds: Vec<u64> = kinds.into_values().collect();
    seeds.sort_unstable();
    seeds.truncate(number("MODEL_SHOWN").and_then(|shown| shown.try_into().ok()).unwrap_or(MAX_SHOWN));
    seeds
}

fn whole(seed: u64) -> Result<&'static str, invariants::Violation> {
    schedule::run(seed, &|_| true, false).result
}

/// The events that are needed to break a promise: leaves out ever smaller runs of them while it still is.
/// All events, where none is broken.
fn shortest(seed: u64) -> Vec<u64> {
    let mut events: Vec<u64> = (0..schedule::EVENTS).collect();
    let breaks =
        |events: &[u64]| schedule::run(seed, &|event| events.contains(&event), false).result.is_err();
    if !breaks(&events) {
        return events;
    }
    let mut size = events.len() / 2;
    while size > 0 {
        let mut at = 0;
        while at < events.len() {
            let mut fewer = events.clone();
            fewer.drain(at..(at + size).min(events.len()));
            if breaks(&fewer) { events = fewer } else { at += size }
        }
        size /= 2;
    }
    events
}
