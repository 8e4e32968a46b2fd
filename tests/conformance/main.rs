//! Recorded answers of Argo Rollouts 1.9, each line run through the real code.
//!
//! A line passes, differs by a named rule of [`differences`], does not apply to Haldane, or fails the test.
//! `cargo test --release --test conformance -- --nocapture` prints the figures.
// The lints allow it in test functions; their helpers are tests as well.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod args;
mod assess;
mod conditions;
mod differences;
mod evaluate;
mod prometheus;
mod report;
mod values;
