//! What every write to the Kubernetes API has in common.

use kube::{Error, api::PostParams};

/// Our name in `managedFields`, and the owner of what we apply.
pub const FIELD_MANAGER: &str = "haldane";

/// Parameters of a create or replace under our name.
#[must_use]
pub fn post() -> PostParams {
    PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() }
}

/// We may not do that.
#[must_use]
pub fn is_forbidden(error: &Error) -> bool {
    matches!(error, Error::Api(status) if status.code == 403)
}

/// Another writer was faster: read again and decide anew.
#[must_use]
pub fn lost_race(error: &Error) -> bool {
    // `AlreadyExists` and `Conflict` are both 409.
    matches!(error, Error::Api(status) if status.code == 409)
}
