//! The decisions under random schedules: crashes between any two requests, lost answers, stale reads, two
//! leaders, people, failing pods. After every request the promises of the design are checked.
//!
//! `MODEL_SCHEDULES=100000 cargo test --release --test model -- --nocapture` runs more of them;
//! `MODEL_SEED=7` replays one and prints what happened. `mutants/` holds bugs that this must find.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod invariants;
mod plans;
mod rng;
mod schedule;
mod sim;

use std::{collections::BTreeMap, env, thread, time::Instant};

const SCHEDULES: u64 = 2_000;
/// Broken promises that are printed.
const SHOWN: usize = 5;

fn number(name: &str) -> Option<u64> {
    env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} must be a number")))
}

#[test]
fn promises_hold_under_every_schedule() {
    if let Some(seed) = number("MODEL_SEED") {
        let ending = schedule::run(seed, true);
        println!("{}", ending.log.join("\n"));
        println!("{:?}", ending.result);
        assert!(ending.result.is_ok());
        return;
    }
    let (count, started) = (number("MODEL_SCHEDULES").unwrap_or(SCHEDULES), Instant::now());
    let workers = thread::available_parallelism().map_or(1, usize::from) as u64;
    let endings: Vec<_> = thread::scope(|scope| {
        let work = |worker| {
            let seeds = (0..count).filter(move |seed| seed % workers == worker);
            scope.spawn(move || {
                seeds.map(|seed| (seed, schedule::run(seed, false).result)).collect::<Vec<_>>()
            })
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
    violations.sort_by_key(|(seed, _)| *seed);
    for (seed, violation) in violations.iter().take(SHOWN) {
        println!("MODEL_SEED={seed}: {violation}");
    }
    println!("{rests:?}");
    println!("{count} schedules, {} violations, {:.0} s", violations.len(), started.elapsed().as_secs_f64());
    assert!(violations.is_empty(), "replay with MODEL_SEED=SEED");
}
