//! Names of what decides at admission, as metrics and logs tell them; policies bring names of their own.

/// A changed pod template is held, whoever changes the object after us.
pub const HOLD: &str = "hold";
/// Plan, selectors, names and routes must be fit for a canary.
pub const PLAN: &str = "plan";
/// An order must be known, legal at this stage and alone in its request.
pub const ORDER: &str = "order";
/// An order needs the right to give it.
pub const RIGHTS: &str = "rights";
/// What Haldane records cannot be written by others.
pub const FORGERY: &str = "forgery";
/// A policy profile must be readable.
pub const PROFILE: &str = "profile";
/// An analysis template must be readable.
pub const TEMPLATE: &str = "template";
/// A key of Haldane's must stand where it has an effect.
pub const NO_EFFECT: &str = "no-effect";
/// What a Namespace says to its Deployments must be readable.
pub const NAMESPACE: &str = "namespace";
/// Opting out must not leave half a rollout.
pub const OPT_OUT: &str = "opt-out";
