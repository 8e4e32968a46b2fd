//! Names of the rules of admission in metrics and logs. Policy rules have their own names.

/// A changed pod template is held, even if another webhook changes the object after Haldane's.
pub const HOLD: &str = "hold";
/// Plan, selectors, names and routes must allow a canary.
pub const PLAN: &str = "plan";
/// An order must be known, possible at this stage, and the only change of its request.
pub const ORDER: &str = "order";
/// A user must have the right to give an order.
pub const RIGHTS: &str = "rights";
/// Only Haldane writes its records.
pub const FORGERY: &str = "forgery";
/// A policy profile must be valid.
pub const PROFILE: &str = "profile";
/// An analysis template must be valid.
pub const TEMPLATE: &str = "template";
/// A routing of notifications must be valid, and its hosts must be allowed.
pub const NOTIFICATIONS: &str = "notifications";
/// Haldane's keys must be where they have an effect.
pub const NO_EFFECT: &str = "no-effect";
/// The label and the defaults of a Namespace must be valid.
pub const NAMESPACE: &str = "namespace";
/// Opting out must not leave half a rollout.
pub const OPT_OUT: &str = "opt-out";
/// An autoscaler must not shrink stable below the size that an abort needs.
pub const CAPACITY_FLOOR: &str = "capacity-floor";
/// Conditions of a release or an abort end with its template.
pub const STALE_CONDITION: &str = "stale-condition";
