//! What the reasons of the condition and of Events mean, and what to do: the rows of `docs/troubleshooting.md`.

use super::WaitReason;
use crate::domain::troubles::Trouble;

impl WaitReason {
    /// What the wait means; `None` for waits that end by themselves and are not a reason of the condition.
    #[must_use]
    pub const fn trouble(self) -> Option<Trouble> {
        let (says, means, advice): (&[&str], _, _) = match self {
            Self::Traffic => return None,
            Self::Turn => (
                &["WaitsForTurn"],
                "As many canaries run as the policy of the namespace allows, or another Deployment behind the same Service is in a release.",
                "nothing: it starts by itself; to go first, end the release that the message names",
            ),
            Self::Permission => (
                &["WaitsForPermission"],
                "The plan, the policy or the time does not let the release start.",
                "correct what the message names; it is checked again every half minute",
            ),
            Self::Pods => (
                &["WaitsForPods"],
                "Pods of the canary, or of the new template at promotion, are not available. The message gives the first reason.",
                "repair the image, Secret, probe, quota or room on nodes that the message names, and apply the fixed template; without progress the release is aborted after progressDeadlineSeconds",
            ),
            Self::Time => (
                &["WaitsForTime"],
                "A pause with a duration; the message says until when.",
                "nothing, or haldane.dev/do=promote to go on now",
            ),
            Self::Verdict => (
                &["WaitsForVerdict"],
                "An analysis is measured, or a query is rehearsed on stable before the first traffic.",
                "nothing; kubectl canary analysis NAME shows the measurements",
            ),
            Self::Share => (
                &["WaitsForShare"],
                "By the metrics of the data plane, the canary clearly gets another share of the requests than its weight. What is measured then is not about the traffic of the plan.",
                "correct what the message names, and the release goes on by itself; without that it is aborted after progressDeadlineSeconds; haldane.dev/do=promote goes on nevertheless, and observeShare: false turns the comparison off",
            ),
            Self::Data => (
                &["WaitsForData"],
                "A metric has had no data since the canary got traffic. A person is asked before anything goes on unseen.",
                "check that requests reach the canary, and that the query finds series of its pods; haldane.dev/do=promote goes on without evidence",
            ),
            Self::Surroundings => (
                &["WaitsForSurroundings"],
                "The Deployment is scaled to 0, no route sends requests to its Services, the promotion would leave a Service without pods, or the data plane does not follow the traffic as it is written.",
                "change what the message names; haldane.dev/do=abort ends the release; where the data plane does not follow, it is aborted after progressDeadlineSeconds",
            ),
            Self::Person => (
                &["WaitsForPerson"],
                "A pause without a duration, an inconclusive analysis, missing evidence, or an order to pause.",
                "order haldane.dev/do=resume or promote to go on, abort to go back",
            ),
            Self::Refused => (
                &["WaitsForRefused"],
                "An object is refused, see [WriteRefused](#writerefused).",
                "do what the table there says for the answer in the message",
            ),
        };
        Some(Trouble { says, means, advice })
    }
}

/// Warnings among the Events, in the order in which a release meets them.
pub static EVENTS: [Trouble; 16] = [
    Trouble {
        says: &["InvalidSpec"],
        means: "The rollout cannot start, or its record cannot be read or written.",
        advice: "correct the field that the message names, and apply again; delete a ConfigMap haldane-NAME that cannot be read, and the rollout starts again at weight 0",
    },
    Trouble {
        says: &["RolloutBlocked"],
        means: "The policy of the namespace does not let the rollout start: its plan, the policy or the time has changed since it was applied.",
        advice: "correct the plan as the message says, or wait until the freeze ends",
    },
    Trouble {
        says: &["HeldLate", "ReleasedNatively"],
        means: "The template changed while no webhook was called. It was held afterwards, or its pods already served.",
        advice: "apply the webhook configurations in webhook-config/ again, and look who removed them",
    },
    Trouble {
        says: &["WriteRefused"],
        means: "An object is refused, see [WriteRefused](#writerefused).",
        advice: "do what the table there says",
    },
    Trouble {
        says: &["PodsUnavailable"],
        means: "Pods are not available, with the first reason that Kubernetes gives.",
        advice: "see WaitsForPods",
    },
    Trouble {
        says: &["RolloutPaused"],
        means: "As a warning: a query gave no usable answer on stable, there is no evidence, or a verdict is inconclusive. A person is asked.",
        advice: "correct the query and apply again, or order what the message names to go on without",
    },
    Trouble {
        says: &["WeightNotFollowed"],
        means: "The canary clearly gets another share of the requests than its weight, or the data plane does not accept what is written.",
        advice: "see WaitsForShare and WaitsForSurroundings",
    },
    Trouble {
        says: &["MetricFailed", "MetricError", "MetricInconclusive"],
        means: "A metric ended: its condition failed, its provider gave errors, or neither condition was met.",
        advice: "see the measurements with kubectl canary analysis NAME; for errors, check the address and the credentials of the provider",
    },
    Trouble {
        says: &["AnalysisRunFailed", "AnalysisRunError", "AnalysisRunInconclusive"],
        means: "An analysis ended. Failed and Error abort the release, Inconclusive pauses it.",
        advice: "fix the version and apply it, or order haldane.dev/do=retry if the metric was wrong; after Inconclusive, promote or abort",
    },
    Trouble {
        says: &["RolloutAborted"],
        means: "All traffic is back on stable, and the template stays held.",
        advice: "apply a fixed template, or the stable one to end the release; haldane.dev/do=retry tries the same again",
    },
    Trouble {
        says: &["RolloutResumed"],
        means: "A person went on without evidence, if it is a warning.",
        advice: "watch the release yourself: the named metric does not",
    },
    Trouble {
        says: &["PromotingWithoutSurge"],
        means: "There is no room for a canary of full size, so stable is replaced while the canary keeps its weight.",
        advice: "nothing now; for the next release, give the namespace or the nodes room for as many pods again",
    },
    Trouble {
        says: &["RolloutUpdated"],
        means: "As a warning: the record was lost, or the template was started without its canary. The canary is removed.",
        advice: "look who deleted the ConfigMap haldane-NAME, or changed the template without the webhook",
    },
    Trouble {
        says: &["RequestIgnored"],
        means: "An order came too late, or was for a template that has been replaced since.",
        advice: "look at the state of the release, and give the order again if it still makes sense",
    },
    Trouble {
        says: &["RolloutQueued"],
        means: "The release waits for another one.",
        advice: "see WaitsForTurn",
    },
    Trouble {
        says: &["NotificationFailed"],
        means: "A notification was not delivered. The release goes on; each destination has one such Event for a release.",
        advice: "correct the ConfigMap haldane-notifications, the Secret or the receiver that the message names",
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use strum::IntoEnumIterator;

    #[test]
    fn waits_are_explained_by_the_reason_of_the_condition() {
        for reason in WaitReason::iter() {
            let name: &'static str = reason.into();
            let says = reason.trouble().map(|trouble| trouble.says);
            assert_eq!(says, (reason != WaitReason::Traffic).then_some(&[name][..]), "{name}");
        }
    }
}
