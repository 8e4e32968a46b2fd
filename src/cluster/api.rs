//! What every write to the Kubernetes API has in common.

use kube::{Error, api::PostParams, core::Status};

/// Our name in `managedFields`, and the owner of what we apply.
pub const FIELD_MANAGER: &str = "haldane";

/// Parameters of a create or replace under our name.
#[must_use]
pub fn post() -> PostParams {
    PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() }
}

/// What went wrong, without the dump of the whole `Status` that the error's own text has.
#[must_use]
pub fn message(error: &Error) -> String {
    match error {
        Error::Api(status) if !status.message.is_empty() => status.message.clone(),
        Error::Api(status) => format!("{} ({})", status.reason, status.code),
        // It may contain the answer's content.
        Error::SerdeError(_) => "the API server's answer cannot be read".to_owned(),
        error => error.to_string(),
    }
}

/// We may not do that.
#[must_use]
pub fn is_forbidden(error: &Error) -> bool {
    matches!(error, Error::Api(status) if status.code == 403)
}

/// There is no such API or object, or we may not see it.
#[must_use]
pub fn is_absent(error: &Error) -> bool {
    matches!(error, Error::Api(status) if status.code == 404) || is_forbidden(error)
}

/// Another writer was faster: read and decide again.
#[must_use]
pub fn lost_race(error: &Error) -> bool {
    // `AlreadyExists` and `Conflict` are both 409, and so may be the denial of a webhook.
    let is_race = |status: &Status| status.code == 409 || is_outdated_patch(status);
    matches!(error, Error::Api(status) if is_race(status) && !is_denial(status))
}

/// An admission webhook has denied the write.
fn is_denial(status: &Status) -> bool {
    status.message.starts_with("admission webhook ")
}

/// A JSON patch whose `test` failed, or whose path is gone. A refusal by validation is 422 too, but names the object.
///
/// Source: apiserver `pkg/endpoints/handlers/patch.go`, `applyJSPatch`.
fn is_outdated_patch(status: &Status) -> bool {
    status.code == 422 && status.details.as_ref().is_none_or(|details| details.name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn error(status: serde_json::Value) -> Error {
        Error::Api(Box::new(serde_json::from_value(status).unwrap()))
    }

    #[test]
    fn an_error_is_reported_without_a_dump_and_without_content() {
        let missing = json!({"status": "Failure", "code": 404, "reason": "NotFound",
            "message": "namespaces \"shop\" not found", "details": {"name": "shop"}});
        assert_eq!(message(&error(missing)), "namespaces \"shop\" not found");
        assert_eq!(
            message(&error(json!({"status": "Failure", "code": 500, "reason": "Unknown"}))),
            "Unknown (500)"
        );
        let unread = serde_json::from_str::<u8>("\"secret\"").unwrap_err();
        assert_eq!(message(&Error::SerdeError(unread)), "the API server's answer cannot be read");
    }

    #[test]
    fn conflicts_and_failed_tests_of_a_patch_are_lost_races() {
        let untested = json!({
            "status": "Failure", "code": 422, "reason": "Invalid", "details": {},
            "message": "the server rejected our request due to an error in our request",
        });
        assert!(lost_race(&error(untested)));
        assert!(lost_race(&error(json!({"status": "Failure", "code": 409, "reason": "Conflict"}))));
    }

    #[test]
    fn a_refusal_by_validation_is_not() {
        let invalid = json!({
            "status": "Failure", "code": 422, "reason": "Invalid", "details": {"name": "web", "kind": "Deployment"},
            "message": "Deployment.apps \"web\" is invalid",
        });
        assert!(!lost_race(&error(invalid)));
        assert!(!lost_race(&error(json!({"status": "Failure", "code": 403, "reason": "Forbidden"}))));
    }
}
