//! A Kubernetes Job whose success or failure is the verdict.
//!
//! Source: argo-rollouts `metricproviders/job`. The Deployment owns the Job. Its name consists of the run, the
//! metric and the number of the measurement, so that the next leader finds it again.

use super::{JobEnd, MetricProvider, Question, Sample, Step};
use crate::{
    document::{
        fields::{Node, reread},
        schema::Schema,
    },
    domain::{
        metric::AnalysisPhase,
        names::suffixed,
        value::{Reading, ResultType},
    },
};
use k8s_openapi::{
    api::batch::v1::{Job as KubernetesJob, JobSpec},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use serde_json::Value;
use std::collections::BTreeMap;

/// Longest name of a Job: its pods have it as the value of a label.
const MAX_NAME: usize = 63;

/// Default of `ttlSecondsAfterFinished`: a finished Job is kept so that its log can be read.
const TTL_SECONDS: i32 = 600;

/// Default of `activeDeadlineSeconds`.
const MAX_SECONDS: i64 = 3600;

/// The provider that creates a Job for every measurement.
#[derive(Debug)]
pub struct Job;

impl MetricProvider for Job {
    fn key(&self) -> &'static str {
        "job"
    }

    fn doc(&self) -> &'static str {
        "A Kubernetes Job in the namespace of the Deployment; its success or failure is the measurement."
    }

    fn example(&self) -> &'static str {
        "spec:\n  \
           template:\n    \
             spec:\n      \
               restartPolicy: Never\n      \
               containers: [{name: smoke, image: \"registry.example.com/smoke-test:1\", args: [\"http://web-canary\"]}]\n"
    }

    fn check(&self, config: Node<'_>) -> Option<()> {
        read(config).map(|_| ())
    }

    fn asked(&self, _: &Value) -> Option<String> {
        None
    }

    fn result_type(&self, _: &Value) -> ResultType {
        ResultType::Verdict
    }

    fn stores_configuration(&self) -> bool {
        true
    }

    fn measure(&self, question: &Question<'_>) -> Step {
        let mut job = match reread(question.config, "job", read) {
            Ok(job) => job,
            Err(problem) => return Step::fail(problem),
        };
        let name = name(question.name);
        job.metadata.name = Some(name.clone());
        Step::Job(Box::new(job), Box::new(move |end| Step::Done(Ok(sample(name, end)))))
    }
}

fn sample(name: String, end: JobEnd) -> Sample {
    let (phase, message) = match end {
        JobEnd::Complete => (AnalysisPhase::Successful, String::new()),
        JobEnd::Failed(why) => (AnalysisPhase::Failed, format!("job {name} failed: {why}")),
    };
    let metadata = BTreeMap::from([("job-name".to_owned(), name)]);
    Sample { reading: Reading::Verdict { phase, message }, metadata }
}

/// A name that Kubernetes accepts; the number at its end is kept when the name is shortened.
fn name(measurement: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let name: String = measurement.chars().map(plain).collect();
    match name.rfind('-') {
        Some(at) => {
            suffixed(name.get(..at).unwrap_or_default(), name.get(at..).unwrap_or_default(), MAX_NAME)
        }
        None => suffixed(&name, "", MAX_NAME),
    }
}

fn read(node: Node<'_>) -> Option<KubernetesJob> {
    node.object(|fields| {
        let meta = fields.doc("`labels` and `annotations` of the Job.").optional("metadata", metadata);
        let spec = fields
            .doc("The Job's spec. A Job that completes is a successful measurement, and one that fails is a failed one. By default it is terminated after an hour (`activeDeadlineSeconds`), is not retried (`backoffLimit: 0`), and is kept for ten minutes (`ttlSecondsAfterFinished`). A Job that still runs when the analysis ends is deleted.")
            .required("spec", |node| node.typed(Schema::Any, spec));
        Some(KubernetesJob { metadata: meta.unwrap_or_default(), spec: Some(spec?), ..KubernetesJob::default() })
    })
}

fn metadata(node: Node<'_>) -> Option<ObjectMeta> {
    let (labels, annotations) = node.metadata()?;
    Some(ObjectMeta { labels: Some(labels), annotations: Some(annotations), ..ObjectMeta::default() })
}

fn spec(node: Node<'_>) -> Option<JobSpec> {
    let mut spec: JobSpec = match serde_json::from_value(node.value().clone()) {
        Ok(spec) => spec,
        Err(error) => return node.fail(format!("is not the spec of a Job: {error}")),
    };
    let pods = spec.template.spec.as_ref();
    if pods.is_none_or(|pods| pods.containers.is_empty()) {
        return node.fail("template.spec.containers must name a container");
    }
    if !matches!(pods.and_then(|pods| pods.restart_policy.as_deref()), Some("Never" | "OnFailure")) {
        return node.fail("template.spec.restartPolicy must be Never or OnFailure");
    }
    spec.backoff_limit.get_or_insert(0);
    spec.active_deadline_seconds.get_or_insert(MAX_SECONDS);
    spec.ttl_seconds_after_finished.get_or_insert(TTL_SECONDS);
    Some(spec)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        document::fields,
        providers::{Defaults, Release},
    };
    use proptest::prelude::*;
    use serde_json::json;

    fn begin(measurement: &str) -> (KubernetesJob, crate::providers::Then<JobEnd>) {
        let pods = json!({"restartPolicy": "Never", "containers": [{"name": "smoke", "image": "smoke:1"}]});
        let config = json!({"spec": {"template": {"spec": pods}}});
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        let (defaults, release) = (Defaults::default(), Release::default());
        match Job.measure(&Question { config: &config, defaults: &defaults, now, name: measurement, release })
        {
            Step::Job(job, then) => (*job, then),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_end_of_the_job_is_the_verdict() {
        let (job, then) = begin("web-abc-2-1-Smoke_Test-3");
        assert_eq!(job.metadata.name.as_deref(), Some("web-abc-2-1-smoke-test-3"));
        let spec = job.spec.unwrap();
        let bounds = (spec.backoff_limit, spec.active_deadline_seconds, spec.ttl_seconds_after_finished);
        assert_eq!(bounds, (Some(0), Some(3600), Some(600)));
        let Step::Done(Ok(sample)) = then(JobEnd::Failed("BackoffLimitExceeded".to_owned())) else {
            panic!("no verdict")
        };
        let message = "job web-abc-2-1-smoke-test-3 failed: BackoffLimitExceeded".to_owned();
        assert_eq!(sample.reading, Reading::Verdict { phase: AnalysisPhase::Failed, message });
        assert_eq!(sample.metadata["job-name"], "web-abc-2-1-smoke-test-3");
    }

    #[test]
    fn an_invalid_job_spec_is_refused() {
        for (config, problem) in [
            (json!({}), "job.spec: is required"),
            (json!({"spec": {"template": {"spec": {"containers": []}}}}), "must name a container"),
            (
                json!({"spec": {"template": {"spec": {"containers": [{"name": "a"}]}}}}),
                "restartPolicy must be",
            ),
            (json!({"spec": {"template": 5}}), "is not the spec of a Job"),
            (json!({"specs": {}}), "did you mean \"spec\"?"),
        ] {
            let findings = fields::read(&config, "job", |node| Job.check(node)).unwrap_err();
            assert!(findings.iter().any(|f| f.to_string().contains(problem)), "{problem}: {findings:?}");
        }
    }

    proptest! {
        #[test]
        fn every_measurement_has_a_name_of_its_own(run in "[a-z0-9-]{1,90}", number in 1_u32..1000) {
            let (this, next) = (name(&format!("{run}-m-{number}")), name(&format!("{run}-m-{}", number + 1)));
            prop_assert!(this.len() <= MAX_NAME && this != next, "{this} {next}");
        }
    }
}
