//! What people meet when something does not go on: what it says, what it means, and what to do.

/// A thing that people meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trouble {
    /// What it says: a reason, or one of these texts.
    pub says: &'static [&'static str],
    /// What it means, with Markdown.
    pub means: &'static str,
    /// What to do, as plain text: messages end with it as well.
    pub advice: &'static str,
}

impl Trouble {
    /// Whether a text says it.
    #[must_use]
    pub fn is_in(&self, text: &str) -> bool {
        self.says.iter().any(|words| text.contains(words))
    }
}

/// A quota has no room. It may have some later.
pub static QUOTA: Trouble = Trouble {
    says: &["exceeded quota"],
    means: "A ResourceQuota has no room for the object.",
    advice: "raise the quota: a canary needs one more Deployment, Service and route, and pods for its share",
};

/// A policy or a webhook has said no.
pub static DENIED: Trouble = Trouble {
    says: &["denied the request", "denied request"],
    means: "A ValidatingAdmissionPolicy or another webhook does not accept the object.",
    advice: "let it accept objects with the label app.kubernetes.io/managed-by: haldane, or give the Deployment and its Services the labels that it requires, which the canary copies",
};

/// Haldane may not.
pub static FORBIDDEN: Trouble = Trouble {
    says: &["cannot create", "cannot patch", "cannot delete"],
    means: "Haldane's ServiceAccount lacks a right.",
    advice: "give Haldane's ServiceAccount the rights in deploy/ again",
};

/// Why objects are refused, in the order in which answers are searched.
pub static REFUSALS: [&Trouble; 6] = [
    &QUOTA,
    &DENIED,
    &Trouble {
        says: &["failed calling webhook"],
        means: "A webhook with `failurePolicy: Fail` cannot be called, so no object of its kinds can be written.",
        advice: "repair the webhook, or set its failurePolicy to Ignore until it is repaired",
    },
    &FORBIDDEN,
    &Trouble {
        says: &["is not Haldane's"],
        means: "An object of a user has the name.",
        advice: "rename or delete the object that has the name",
    },
    &Trouble {
        says: &["belongs to the canary of Deployment"],
        means: "Another Deployment behind the same Service is in a release.",
        advice: "wait until the other release has ended, or abort it",
    },
];

/// What to do about a refusal in these words, if that is known.
#[must_use]
pub fn advice_on(answer: &str) -> Option<&'static str> {
    REFUSALS.into_iter().find(|refusal| refusal.is_in(answer)).map(|refusal| refusal.advice)
}
