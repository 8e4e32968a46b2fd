//! Canary releases for plain Kubernetes Deployments, without CRDs.
//!
//! ```text
//!  kubectl apply ──► webhook ──► admit(review, facts) ──► Verdict        held, allowed or denied
//!                                   ▲ one parser: config
//!  watches ──► controller ──► decide(state, seen, now) ──► Plan          state', objects, effects
//! ```
//!
//! Four layers, imports only downwards (`tests/layering.rs` enforces it):
//! **L0** [`domain`]: the field's words · **L1** [`analysis`], [`policy`], [`promql`], [`providers`], [`routers`], [`build`]: pure
//! functions from values to values · **L2** [`config`], [`admit`], [`decide`]: the two decisions ·
//! **L3** [`webhook`], [`controller`], [`runtime`]: the only sockets, clients and clock.

pub mod document;
pub mod domain;
pub mod gocompat;

pub mod analysis;
pub mod expr;
pub mod objects;
pub mod policy;
pub mod promql;
pub mod providers;
pub mod routers;

pub mod admit;
pub mod config;
pub mod decide;
pub mod notify;

pub mod cluster;
pub mod commands;
pub mod controller;
pub mod measure;
pub mod runtime;
pub mod webhook;
