//! Haldane on a real cluster, as its users see it: what they do goes through `kubectl`, what they get is asked of
//! the API and of the application behind the ingress. `tests/e2e/run` runs it all; README.md says how.
//!
//! `shared::` run side by side, each in its own namespace; `alone::` take Haldane itself away,
//! or must not be disturbed by others' changes of the ingress controller, one at a time. `long::` are
//! as these and take long, `last::` look back on it all: they run when asked for.
// The lints allow it in test functions; their helpers are tests as well.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod harness;

mod shared {
    mod analysis;
    mod blue_green;
    mod capacity;
    mod clients;
    mod cost;
    mod dashboard;
    mod denials;
    mod evidence;
    mod field_admission;
    mod habits;
    mod hostile;
    mod kubernetes;
    mod lifecycle;
    mod lifecycle_changes;
    mod namespace;
    mod native;
    mod notifications;
    mod own_account;
    mod plugin;
    mod policy;
    mod provider_faults;
    mod reasons;
    mod refused;
    mod replicas;
    mod selecting;
    mod settings;
    mod share;
    mod steps;
    mod tenant;
    mod turns;
    mod untouched;
    mod w0;
    mod walkthroughs;
}

mod alone {
    mod admission;
    mod companion;
    mod faults;
    mod gates;
    mod gateway;
    mod kill;
    mod no_effect;
    mod outage;
    mod traefik;
    mod uninstall;
    mod upgrade;
    mod zero_loss;
}

mod long {
    mod autoscaler;
    mod bypass;
    mod cert_manager;
    mod certificates;
    mod chart;
    mod examples;
    mod leader;
}

mod last {
    mod rights;
}

mod bench {
    mod abort;
    mod idle;
    mod soak;
    mod storm;
}
