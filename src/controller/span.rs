//! What log lines of a pass say that they are about.

use crate::domain::state::RolloutState;
use k8s_openapi::api::apps::v1::Deployment;
use tracing::{Span, error_span, field::Empty};

/// What log lines about a Deployment have in common. Of the highest level, so that no filter that lets a line pass
/// drops what it is about.
pub(super) fn span(object: &Deployment) -> Span {
    let metadata = &object.metadata;
    error_span!(
        "reconcile",
        namespace = metadata.namespace,
        deployment = metadata.name,
        uid = metadata.uid,
        stage = Empty,
        step = Empty
    )
}

/// The pass is over a rollout at this stage.
pub(super) fn at_stage(state: &RolloutState) {
    let Some(rollout) = &state.rollout else { return };
    let span = Span::current();
    span.record("stage", <&str>::from(&rollout.stage));
    span.record("step", rollout.step_index());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{controller::rollout_metrics::tests::at_step, runtime::telemetry::capture::Lines};
    use serde_json::json;

    #[test]
    fn a_line_of_a_pass_says_what_it_is_about_however_quiet_the_log_is() {
        let (lines, _guard) = Lines::of("warn");
        let web = json!({"metadata": {"name": "web", "namespace": "shop", "uid": "u-1"}});
        let web: Deployment = serde_json::from_value(web).unwrap();
        span(&web).in_scope(|| {
            tracing::warn!("before the record is read");
            at_stage(&at_step(1));
            tracing::warn!("then");
        });
        let object = r#"reconcile{namespace="shop" deployment="web" uid="u-1""#;
        let target = "haldane::controller::span::tests";
        assert_eq!(
            lines.text(),
            format!(
                " WARN {object}}}: {target}: before the record is read\n WARN {object} stage=\"step\" step=1}}: {target}: then\n"
            )
        );
    }
}
