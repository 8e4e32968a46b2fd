//! Hostile input to everything that parses: no panic, no more than a second of work and 64 MiB of memory, and an
//! answer that fits.
//!
//! Each target gets every file of its folder in `corpus/`, changes of them, and patterns repeated to the size of
//! all annotations of an object. `cargo test` makes the same few changes each time; `make fuzz N=…` makes N
//! others. An input that fails goes into the corpus, together with the fix; see `README.md`.
// The lints allow it in test functions; their helpers are tests as well.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod cost;
mod edits;
mod targets;

use cost::within_limits;
use edits::{Edit, apply, edits};
use proptest::{
    prelude::*,
    test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner},
};
use std::{env, fs, path::PathBuf, sync::mpsc, thread, time::Duration};
use targets::{TARGETS, Target};

/// Default of `FUZZ_CASES`: changed inputs per target.
const CASES: u32 = 400;
/// Maximum size of all annotations of an object, in bytes.
const MAX_TEXT: usize = 256 << 10;
/// For one input on a busy machine; work that grows faster than the input takes longer.
const DEADLINE: Duration = Duration::from_mins(1);

/// The files of a target's corpus.
fn corpus(target: &Target) -> Vec<Vec<u8>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(target.name);
    let mut files: Vec<_> =
        fs::read_dir(&folder).expect("a folder").map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "nothing in {}", folder.display());
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

fn runner() -> TestRunner {
    let wanted = env::var("FUZZ_CASES").ok();
    let cases = wanted.as_ref().map_or(CASES, |cases| cases.parse().expect("FUZZ_CASES is a number"));
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 2_000, ..Config::default() };
    // Deterministic by default: a random failure would be blamed on the last change.
    let rng = if wanted.is_some() {
        TestRng::from_seed(RngAlgorithm::ChaCha, &fresh_seed())
    } else {
        TestRng::deterministic_rng(RngAlgorithm::ChaCha)
    };
    TestRunner::new_with_rng(config, rng)
}

fn fresh_seed() -> [u8; 32] {
    let mut seed = [0; 32];
    let now = haldane::runtime::clock::now().as_nanosecond().to_le_bytes();
    seed[..now.len()].copy_from_slice(&now);
    seed
}

/// Runs a target on its corpus and on changes of it.
fn fuzz(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name).expect("a target");
    let seeds = corpus(target);
    for (number, seed) in seeds.iter().enumerate() {
        within_limits(|| (target.run)(seed))
            .unwrap_or_else(|wrong| panic!("{name}, file {number} of the corpus: {wrong}"));
    }
    let inputs = (any::<prop::sample::Index>(), edits()).prop_map(|(seed, edits): (_, Vec<Edit>)| {
        let seed = seeds[seed.index(seeds.len())].clone();
        apply(seed, &edits, &seeds)
    });
    let mut runner = runner();
    let cases = runner.config().cases;
    let result =
        runner.run(&inputs, |input| within_limits(|| (target.run)(&input)).map_err(TestCaseError::fail));
    match result {
        Ok(()) => println!("{name}: {} files and {cases} changes of them", seeds.len()),
        Err(TestError::Fail(why, input)) => panic!(
            "{name}: {why}\nwith this input; save it in tests/fuzz/corpus/{name} and fix the code:\n{}",
            String::from_utf8_lossy(&input)
        ),
        Err(other) => panic!("{name}: {other}"),
    }
}

/// Patterns that are deep, wide, or expand, up to the size that an object can have.
fn grow(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name).expect("a target");
    let run = target.run;
    let plain = target.patterns.iter().map(|pattern| ("", *pattern));
    for (beginning, pattern) in plain.chain(target.within.iter().copied()) {
        let input = format!("{beginning}{}", pattern.repeat(MAX_TEXT / pattern.len()));
        let (done, end) = mpsc::channel();
        thread::spawn(move || drop(done.send(within_limits(|| run(input.as_bytes())))));
        let result = end.recv_timeout(DEADLINE);
        let result = result
            .unwrap_or_else(|why| panic!("{name}: {MAX_TEXT} bytes of {beginning:?} {pattern:?}: {why}"));
        result
            .unwrap_or_else(|wrong| panic!("{name}: {MAX_TEXT} bytes of {beginning:?} {pattern:?}: {wrong}"));
    }
}

macro_rules! targets {
    ($($name:ident),*) => {
        $(mod $name {
            #[test]
            fn is_answered_whatever_it_is() {
                super::fuzz(stringify!($name));
            }

            #[test]
            fn takes_little_time_and_memory_however_long() {
                super::grow(stringify!($name));
            }
        })*

        #[test]
        fn every_target_is_run() {
            let run = [$(stringify!($name)),*];
            assert_eq!(TARGETS.iter().map(|target| target.name).collect::<Vec<_>>(), run);
        }
    };
}

targets!(review, annotations, namespace, expression, template, policy, routing, arguments, replies, paths);
