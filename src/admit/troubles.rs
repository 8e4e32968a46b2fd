//! What refusals of requests mean, and what to do: the rows of `docs/troubleshooting.md`.

use crate::domain::troubles::Trouble;

/// Refusals of `kubectl apply` and of orders whose message leaves something to say.
pub static REQUESTS: [Trouble; 8] = [
    Trouble {
        says: &["; try again"],
        means: "The API server gave Haldane no answer within 3 s, so the request could not be checked.",
        advice: "apply again; if it lasts, look at the load of the API server",
    },
    Trouble {
        says: &["is not held (spec.paused"],
        means: "Another admission webhook changed the Deployment after Haldane's.",
        advice: "exclude Deployments with the annotation haldane.dev/canary from that webhook",
    },
    Trouble {
        says: &["which the canary needs"],
        means: "A trial of the canary's objects was refused: a policy, a webhook or the API server's validation does not accept one of them.",
        advice: "do what the message ends with; see [WriteRefused](#writerefused) for each kind of answer",
    },
    Trouble {
        says: &["no rollout is under way"],
        means: "An order was given while nothing is held.",
        advice: "change the pod template to start a release",
    },
    Trouble {
        says: &["grant the verb"],
        means: "The user may not give this order.",
        advice: "bind the user to ClusterRole haldane-operator, or to a Role with this verb on deployments",
    },
    Trouble {
        says: &["cannot be combined with a changed pod template"],
        means: "An order and a release came in one request.",
        advice: "apply the release first, then give the order",
    },
    Trouble {
        says: &["is written by Haldane only"],
        means: "A request sets a key in which Haldane records orders.",
        advice: "remove the key from the manifest; give orders with haldane.dev/do",
    },
    Trouble {
        says: &["(policy "],
        means: "The profile that the namespace enforces does not allow the plan, the release or the time.",
        advice: "change what the message names; the platform team can change the profile",
    },
];
