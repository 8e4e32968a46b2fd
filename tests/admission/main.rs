//! Admission as its users meet it: whole verdicts, with every message, cause and patch.
// The lints allow it in test functions; their helpers are tests as well.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod advice;
mod bounds;
mod by_pods;
mod bypass;
mod case;
mod findings;
mod floor;
mod freeze;
mod habits;
mod hold;
mod namespace;
mod native;
mod neighbours;
mod no_effect;
mod opt_out;
mod orders;
mod policy;
mod rehearsal;
mod routes;
mod serving;
mod stale_condition;
mod trial;
