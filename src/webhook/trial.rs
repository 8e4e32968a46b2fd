//! Tries the objects of a canary: creates them in a dry run, all at once.

use crate::{
    admit::plan_review::trial::Answer,
    cluster::{
        api::{message, post},
        objects::api,
    },
    objects::manifest::Manifest,
};
use futures::future::join_all;
use kube::{
    Client, Error,
    api::{DynamicObject, PostParams},
};
use tokio::time::{Instant, timeout_at};

/// What the API server says of each object before the deadline.
pub async fn answers(
    client: &Client,
    namespace: &str,
    objects: &[Manifest],
    deadline: Instant,
) -> Vec<Answer> {
    let params = PostParams { dry_run: true, ..post() };
    let tried = objects.iter().map(async |object| {
        let Ok(body) = serde_json::from_value::<DynamicObject>(object.body.clone()) else {
            return Answer::None;
        };
        let api = api(client, object.kind, namespace);
        match timeout_at(deadline, api.create(&params, &body)).await {
            Ok(Ok(_)) => Answer::Accepted,
            Ok(Err(error)) => match &error {
                Error::Api(status) => Answer::Refused(status.code, message(&error)),
                _ => Answer::None,
            },
            Err(_) => Answer::None,
        }
    });
    join_all(tried).await
}
