//! Names of Haldane's own annotations and labels.

/// Prefix of everything of ours on objects of users.
pub const PREFIX: &str = "haldane.dev/";
/// Annotation that opts a Deployment in.
pub const CANARY: &str = "haldane.dev/canary";
/// Annotation that opts a Deployment in with a blue-green plan.
pub const BLUE_GREEN: &str = "haldane.dev/blue-green";
/// Annotation with an analysis template.
pub const ANALYSIS: &str = "haldane.dev/analysis";
/// Annotation with the time that a weight takes to reach every proxy.
pub const SETTLE: &str = "haldane.dev/settle";
/// Annotation by which people give orders; removed in the request that sets it.
pub const DO: &str = "haldane.dev/do";
/// Annotation that says what `kubectl rollout restart` does.
pub const RESTART: &str = "haldane.dev/restart";
/// Annotation that names annotations of the pod template of which a change is a restart.
pub const RESTART_ANNOTATIONS: &str = "haldane.dev/restart-annotations";
/// Annotation that is refused: content is tracked by name.
pub const TRACK_CONFIG: &str = "haldane.dev/track-config";
/// Annotation with the reason to release in a freeze.
pub const OVERRIDE_FREEZE: &str = "haldane.dev/override-freeze";
/// Label of a namespace: the policy profile whose violations are refused.
pub const ENFORCE: &str = "haldane.dev/enforce";
/// Label of a namespace: the policy profile whose violations are warned about.
pub const WARN: &str = "haldane.dev/warn";
/// Label of a namespace: the policy profile whose violations are written down.
pub const AUDIT: &str = "haldane.dev/audit";
/// Label of `ConfigMaps` that hold policy profiles.
pub const POLICY: &str = "haldane.dev/policy";
/// Internal annotation: the newest authorised order.
pub const REQUEST: &str = "haldane.dev/request";
/// Internal annotation: hash of the template that is held; `spec.paused` is ours while it is there.
pub const HELD: &str = "haldane.dev/held";
/// Internal annotation: the profile that does not apply to the user who released the held template, or retries it.
pub const EXEMPT: &str = "haldane.dev/exempt";
/// Internal label by which managed Deployments are watched.
pub const MANAGED: &str = "haldane.dev/managed";
/// Label of `ConfigMaps` that hold analysis templates.
pub const TEMPLATE_LABEL: &str = "haldane.dev/analysis-template";
/// Annotation that `kubectl rollout restart` writes into the pod template.
pub const RESTARTED_AT: &str = "kubectl.kubernetes.io/restartedAt";
