//! Jobs that measure: created, watched until they end, and deleted when nobody waits for them any more.

use crate::cluster::world::our_labels;
use crate::{
    cluster::api,
    objects::{manifest::RUN_ANNOTATION, marks::is_ours},
    providers::JobEnd,
};
use k8s_openapi::api::{apps::v1::Deployment, batch::v1::Job};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{
    Api, Client, ResourceExt,
    api::DeleteParams,
    runtime::{reflector::ObjectRef, wait::await_condition},
};

/// Creates a Job for the `run` of a Deployment and waits until it ends, or until `cancelled`.
///
/// The name is predictable, so a Job that already exists counts only if it was created for this run: it must have
/// the labels that only Haldane can set, the owner, and the name of the run.
///
/// # Cancellation
/// When `cancelled` completes first, the Job and its pods are deleted.
///
/// # Errors
/// Why the Job cannot be created or watched, or that it was cancelled or deleted.
pub async fn run(
    client: &Client,
    owner: &ObjectRef<Deployment>,
    job: Job,
    run: &str,
    cancelled: impl Future<Output = ()>,
) -> Result<JobEnd, String> {
    let jobs = Api::<Job>::namespaced(client.clone(), owner.namespace.as_deref().unwrap_or_default());
    let name = job.name_any();
    let explain = |error: kube::Error| format!("job {name}: {error}");
    match jobs.create(&api::post(), &owned(job, owner, run)).await {
        Ok(_) => {}
        // A previous leader has created it.
        Err(error) if api::lost_race(&error) => {
            let known = jobs.get(&name).await.map_err(explain)?;
            if !is_of_run(&known, owner, run) {
                return Err(format!("job {name} exists but was not created for this measurement; delete it"));
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
            // This deletes its pods as well. If it fails, the deadline of the Job ends it.
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

fn is_of_run(job: &Job, owner: &ObjectRef<Deployment>, run: &str) -> bool {
    let uid = owner.extra.uid.as_deref().unwrap_or_default();
    is_ours(&job.metadata)
        && job.owner_references().iter().any(|reference| reference.uid == uid)
        && job.annotations().get(RUN_ANNOTATION).is_some_and(|known| known == run)
}

/// The Job with its owner, so that it is deleted together with the Deployment, and with our labels and its run.
fn owned(mut job: Job, owner: &ObjectRef<Deployment>, run: &str) -> Job {
    job.metadata.owner_references = Some(vec![OwnerReference {
        api_version: "apps/v1".to_owned(),
        kind: "Deployment".to_owned(),
        name: owner.name.clone(),
        uid: owner.extra.uid.clone().unwrap_or_default(),
        ..OwnerReference::default()
    }]);
    job.metadata.labels.get_or_insert_default().extend(our_labels(&owner.name));
    job.metadata.annotations.get_or_insert_default().insert(RUN_ANNOTATION.to_owned(), run.to_owned());
    job
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_cannot_be_got_around_by_a_job_of_a_foreseen_name() {
        let mut owner = ObjectRef::<Deployment>::new("web").within("shop");
        owner.extra.uid = Some("u".to_owned());
        let made = owned(Job::default(), &owner, "run of today");
        assert!(is_of_run(&made, &owner, "run of today"));
        assert!(!is_of_run(&made, &owner, "run of yesterday"), "the verdict of another run");
        let forged = |change: &dyn Fn(&mut Job)| {
            let mut job = made.clone();
            change(&mut job);
            is_of_run(&job, &owner, "run of today")
        };
        for key in our_labels("web").keys() {
            assert!(!forged(&|job| drop(job.labels_mut().remove(key))), "without {key}");
        }
        assert!(!forged(&|job| job.annotations_mut().clear()), "of no run");
        assert!(!forged(&|job| job.metadata.owner_references = None), "without an owner");
        assert!(!forged(&|job| job.owner_references_mut()[0].uid = "v".into()), "of a Deployment before");
    }
}
