//! Jobs that measure: made, awaited by a watch on the one object, deleted when nobody waits any more.

use crate::{
    build::manifest::{MANAGED_BY, MANAGED_BY_LABEL},
    providers::JobEnd,
    runtime::api,
};
use k8s_openapi::api::{apps::v1::Deployment, batch::v1::Job};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{
    Api, Client, ResourceExt,
    api::DeleteParams,
    runtime::{reflector::ObjectRef, wait::await_condition},
};

/// Makes a Job for a Deployment and waits for its end, or for `cancelled`.
///
/// # Cancellation
/// When `cancelled` ends first the Job is deleted, with its pods.
///
/// # Errors
/// Why the Job cannot be made or watched, or that it was cancelled or deleted.
pub async fn run(
    client: &Client,
    owner: &ObjectRef<Deployment>,
    job: Job,
    cancelled: impl Future<Output = ()>,
) -> Result<JobEnd, String> {
    let jobs = Api::<Job>::namespaced(client.clone(), owner.namespace.as_deref().unwrap_or_default());
    let name = job.name_any();
    let explain = |error: kube::Error| format!("job {name}: {error}");
    match jobs.create(&api::post(), &owned(job, owner)).await {
        Ok(_) => {}
        // A controller before this one has made it.
        Err(error) if api::lost_race(&error) => {
            let known = jobs.get(&name).await.map_err(explain)?;
            let uid = owner.extra.uid.as_deref().unwrap_or_default();
            if !known.owner_references().iter().any(|reference| reference.uid == uid) {
                return Err(format!("job {name} exists and is not this Deployment's"));
            }
        }
        Err(error) => return Err(explain(error)),
    }
    let ended =
        await_condition(jobs.clone(), &name, |job: Option<&Job>| job.is_none_or(|job| end(job).is_some()));
    tokio::select! {
        ended = ended => match ended {
            Ok(Some(job)) => end(&job).ok_or_else(|| format!("job {name} was deleted")),
            Ok(None) => Err(format!("job {name} was deleted")),
            Err(error) => Err(format!("job {name}: {error}")),
        },
        () = cancelled => {
            // Its pods go with it. If this fails, its deadline ends it.
            let _ = jobs.delete(&name, &DeleteParams::background()).await;
            Err("Metric Terminated".to_owned())
        }
    }
}

/// How a Job has ended, if it has.
fn end(job: &Job) -> Option<JobEnd> {
    let conditions = job.status.as_ref()?.conditions.as_ref()?;
    conditions.iter().filter(|condition| condition.status == "True").find_map(|condition| {
        match condition.type_.as_str() {
            "Complete" => Some(JobEnd::Complete),
            "Failed" => {
                let parts = [condition.reason.as_deref(), condition.message.as_deref()];
                Some(JobEnd::Failed(parts.into_iter().flatten().collect::<Vec<_>>().join(": ")))
            }
            _ => None,
        }
    })
}

/// The Job with its owner, so that it goes with the Deployment, and with our mark.
fn owned(mut job: Job, owner: &ObjectRef<Deployment>) -> Job {
    job.metadata.owner_references = Some(vec![OwnerReference {
        api_version: "apps/v1".to_owned(),
        kind: "Deployment".to_owned(),
        name: owner.name.clone(),
        uid: owner.extra.uid.clone().unwrap_or_default(),
        ..OwnerReference::default()
    }]);
    let labels = job.metadata.labels.get_or_insert_default();
    labels.insert(MANAGED_BY_LABEL.to_owned(), MANAGED_BY.to_owned());
    job
}
