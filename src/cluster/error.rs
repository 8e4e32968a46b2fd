//! What an error means for the user who meets it. The category alone decides whether people are shown an Event, how loud
//! the log is, and when to try again.

use super::{
    api::{lost_race, message},
    apply::ApplyError,
    records::StateError,
    world::ObserveError,
};
use crate::decide::Refusal;
use kube::{Error, core::Status};

/// What an error means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
pub enum Category {
    /// It stays until a person changes something: an object, a quota, a policy or a permission.
    Invalid,
    /// Another writer was faster: reading again is enough.
    Conflict,
    /// It may pass by itself, such as an API server that does not answer.
    Transient,
    /// Another replica leads.
    NotLeader,
    /// The program and the API server do not understand each other.
    Bug,
}

/// An error that has a category.
pub trait Categorized {
    /// What it means.
    fn category(&self) -> Category;
}

impl Categorized for Error {
    fn category(&self) -> Category {
        match self {
            error if lost_race(error) => Category::Conflict,
            Error::Api(status) if is_terminating(status) => Category::Transient,
            Error::Api(status) => match status.code {
                // Also what a policy or a quota does not allow, and what is too large.
                403 | 413 | 422 => Category::Invalid,
                400 | 405 | 406 | 415 => Category::Bug,
                _ => Category::Transient,
            },
            Error::SerdeError(_) | Error::BuildRequest(_) | Error::HttpError(_) | Error::FromUtf8(_) => {
                Category::Bug
            }
            _ => Category::Transient,
        }
    }
}

/// A 403 because the namespace is being deleted: nobody has to do anything about it.
///
/// Source: apiserver `plugin/namespace/lifecycle`, `NamespaceTerminatingCause`.
fn is_terminating(status: &Status) -> bool {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    causes.into_iter().any(|cause| cause.reason == "NamespaceTerminating")
}

/// Whether the answer does not accept a write until somebody changes a quota, a policy, a permission, a webhook or the
/// object.
fn is_refusal(error: &Error) -> bool {
    let Error::Api(status) = error else { return false };
    // A webhook chooses the code of its denial itself; one that cannot be called is an internal error of the API server.
    let by_webhook =
        ["admission webhook", "failed calling webhook"].iter().any(|w| status.message.contains(w));
    // A kind that is missing has no name; an object that is, was deleted meanwhile.
    let no_kind = status.code == 404 && status.details.as_ref().is_none_or(|details| details.name.is_empty());
    let by_server = no_kind || matches!(status.code, 400 | 403 | 405 | 406 | 413 | 415 | 422 | 504);
    by_webhook || (by_server && !lost_race(error) && !is_terminating(status))
}

/// The answer to a write of `object`, if it does not accept it.
#[must_use]
pub fn refused(object: String, answer: &Error) -> Option<Refusal> {
    is_refusal(answer).then(|| Refusal { object, message: message(answer) })
}

/// What does not accept a write of the canary's objects or of the Deployment.
#[must_use]
pub fn refusal(error: &ApplyError) -> Option<Refusal> {
    match error {
        ApplyError::Api(object, answer) => refused(object.clone(), answer),
        ApplyError::Foreign(object) => {
            let message = "it exists and is not Haldane's; rename or delete it".to_owned();
            Some(Refusal { object: object.clone(), message })
        }
        ApplyError::Other(object, other) => {
            let message = format!(
                "it belongs to the canary of Deployment {other:?}; this release goes on when that one has ended"
            );
            Some(Refusal { object: object.clone(), message })
        }
        ApplyError::Conflict(_) | ApplyError::Predecessor(_) => None,
    }
}

impl Categorized for ObserveError {
    fn category(&self) -> Category {
        match self {
            Self::Api(error) => error.category(),
            Self::Malformed(..) => Category::Bug,
        }
    }
}

impl Categorized for StateError {
    fn category(&self) -> Category {
        match self {
            Self::Api(_, error) => error.category(),
            Self::Foreign(_) | Self::Unreadable(..) | Self::Edited(..) | Self::Newer(..) => Category::Invalid,
        }
    }
}

impl Categorized for ApplyError {
    fn category(&self) -> Category {
        match self {
            Self::Conflict(_) => Category::Conflict,
            Self::Foreign(_) => Category::Invalid,
            // Garbage collection removes it.
            Self::Predecessor(_) | Self::Other(..) => Category::Transient,
            Self::Api(_, error) => error.category(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::apply::failed;
    use serde_json::json;

    /// As the API server says it.
    fn answer(code: u16, reason: &str) -> Error {
        let status = json!({
            "status": "Failure", "code": code, "reason": reason, "message": "m",
            "details": {"name": "web", "kind": "deployments"},
        });
        Error::Api(Box::new(serde_json::from_value(status).unwrap()))
    }

    #[test]
    fn every_answer_of_the_api_server_has_its_category() {
        let cases = [
            (400, "BadRequest", Category::Bug),
            (401, "Unauthorized", Category::Transient),
            (403, "Forbidden", Category::Invalid),
            (404, "NotFound", Category::Transient),
            (409, "Conflict", Category::Conflict),
            (409, "AlreadyExists", Category::Conflict),
            (410, "Expired", Category::Transient),
            (413, "RequestEntityTooLarge", Category::Invalid),
            (415, "UnsupportedMediaType", Category::Bug),
            (422, "Invalid", Category::Invalid),
            (429, "TooManyRequests", Category::Transient),
            (500, "InternalError", Category::Transient),
            (503, "ServiceUnavailable", Category::Transient),
            (504, "Timeout", Category::Transient),
        ];
        for (code, reason, expected) in cases {
            assert_eq!(answer(code, reason).category(), expected, "{code} {reason}");
        }
    }

    #[test]
    fn a_lost_race_and_a_server_that_is_away_are_not_refusals() {
        let unreachable = json!({
            "status": "Failure", "code": 500, "reason": "InternalError",
            "message": "Internal error occurred: failed calling webhook \"a.example\": service \"a\" not found",
        });
        let denied = json!({
            "status": "Failure", "code": 409, "reason": "Conflict",
            "message": "admission webhook \"a.example\" denied the request: no label team",
        });
        let of = |error: Error| refusal(&failed("Ingress \"web\"".to_owned())(error));
        for status in [unreachable, denied] {
            let words = status["message"].as_str().unwrap().to_owned();
            let error = Error::Api(Box::new(serde_json::from_value(status).unwrap()));
            assert_eq!(of(error), Some(Refusal { object: "Ingress \"web\"".to_owned(), message: words }));
        }
        let cases = [
            (403, true),
            (413, true),
            (422, true),
            (504, true),
            (409, false),
            (429, false),
            (500, false),
            (503, false),
        ];
        for (code, expected) in cases {
            assert_eq!(of(answer(code, "Any")).is_some(), expected, "{code}");
        }
        assert!(
            refusal(&ApplyError::Foreign("a".into()))
                .is_some_and(|refusal| refusal.message.contains("rename"))
        );
    }

    #[test]
    fn a_namespace_that_is_being_deleted_needs_nobody() {
        let causes =
            json!([{"reason": "NamespaceTerminating", "message": "m", "field": "metadata.namespace"}]);
        let status =
            json!({"status": "Failure", "code": 403, "reason": "Forbidden", "details": {"causes": causes}});
        let error = Error::Api(Box::new(serde_json::from_value(status).unwrap()));
        assert_eq!(error.category(), Category::Transient);
    }

    #[test]
    fn a_patch_whose_test_failed_is_a_conflict() {
        let status = json!({"status": "Failure", "code": 422, "reason": "Invalid", "details": {}});
        let error = Error::Api(Box::new(serde_json::from_value(status).unwrap()));
        assert_eq!(error.category(), Category::Conflict);
    }

    #[test]
    fn an_api_server_that_does_not_answer_is_transient_and_an_answer_that_cannot_be_read_is_a_bug() {
        let timeout = std::io::Error::from(std::io::ErrorKind::TimedOut);
        assert_eq!(Error::Service(timeout.into()).category(), Category::Transient);
        let unread = serde_json::from_str::<u8>("{").unwrap_err();
        assert_eq!(Error::SerdeError(unread).category(), Category::Bug);
    }

    #[test]
    fn what_others_have_put_in_the_way_needs_a_person_and_what_is_collected_does_not() {
        assert_eq!(ApplyError::Foreign("a".into()).category(), Category::Invalid);
        assert_eq!(ApplyError::Predecessor("a".into()).category(), Category::Transient);
        assert_eq!(StateError::Newer("a".into(), 2).category(), Category::Invalid);
        let raced = StateError::Api("a".into(), Box::new(answer(409, "Conflict")));
        assert_eq!(raced.category(), Category::Conflict);
        let refused = ApplyError::Api("a".into(), Box::new(answer(403, "Forbidden")));
        assert_eq!(refused.category(), Category::Invalid);
    }
}
