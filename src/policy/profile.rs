//! The document of a profile: rules, their settings, and the users who are exempt.

use super::{Check, Limits, RULES, Rule, Subject};
use crate::{
    document::{
        fields::{Fields, Node, describe, read},
        finding::{Finding, Findings},
        schema::Schema,
    },
    domain::{hosts::Hosts, review::User},
};
use serde_json::Value;

/// A checked profile.
#[derive(Debug, Default)]
pub struct Profile {
    rules: Vec<(&'static str, Box<dyn Check>)>,
    exempt: People,
}

/// Users by name, group or service account.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct People {
    /// User names.
    pub users: Vec<String>,
    /// Groups.
    pub groups: Vec<String>,
    /// Service accounts as `NAMESPACE:NAME`; `NAMESPACE:*` is all of a namespace.
    pub service_accounts: Vec<String>,
}

/// A rule and what it found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The rule.
    pub rule: &'static str,
    /// What is wrong.
    pub finding: Finding,
}

impl Profile {
    /// Reads a profile; every path of a finding begins with `path`.
    ///
    /// # Errors
    /// All findings.
    pub fn read(document: &Value, path: &str) -> Result<Self, Findings> {
        read(document, path, profile)
    }

    /// What a profile may be.
    #[must_use]
    pub fn schema() -> Schema {
        describe(profile)
    }

    /// The violations of all rules; none for exempt users.
    #[must_use]
    pub fn check(&self, subject: &Subject<'_>) -> Vec<Violation> {
        if self.exempt.include(subject.user) {
            return Vec::new();
        }
        let of = |(rule, check): &(&'static str, Box<dyn Check>)| {
            let rule = *rule;
            check.check(subject).into_iter().map(move |finding| Violation { rule, finding })
        };
        self.rules.iter().flat_map(of).collect()
    }

    /// Warnings about what the rules do not cover.
    #[must_use]
    pub fn notes(&self, subject: &Subject<'_>) -> Vec<String> {
        self.rules.iter().flat_map(|(_, check)| check.notes(subject)).collect()
    }

    /// Whether it has the rule with this name.
    #[must_use]
    pub fn has(&self, rule: &str) -> bool {
        self.rules.iter().any(|(id, _)| *id == rule)
    }

    /// The only hosts that metrics may query.
    #[must_use]
    pub fn metric_hosts(&self) -> Option<&[Hosts]> {
        self.rules.iter().find_map(|(_, check)| check.metric_hosts())
    }

    /// How many canaries may run at the same time.
    #[must_use]
    pub fn limits(&self) -> Option<Limits> {
        self.rules.iter().find_map(|(_, check)| check.limits())
    }

    /// Whether this user is exempt.
    #[must_use]
    pub fn exempts(&self, user: &User) -> bool {
        self.exempt.include(user)
    }
}

impl People {
    /// Whether the user is one of them.
    #[must_use]
    pub fn include(&self, user: &User) -> bool {
        let account = user.username.strip_prefix("system:serviceaccount:");
        let is_account = |listed: &String| {
            account.is_some_and(|account| match listed.strip_suffix(":*") {
                Some(namespace) => account.split(':').next() == Some(namespace),
                None => account == listed,
            })
        };
        self.users.contains(&user.username)
            || self.groups.iter().any(|group| user.groups.contains(group))
            || self.service_accounts.iter().any(is_account)
    }

    /// All of them, for a message.
    #[must_use]
    pub fn describe(&self) -> String {
        let kinds =
            [("users", &self.users), ("groups", &self.groups), ("service accounts", &self.service_accounts)];
        let listed: Vec<_> = kinds
            .iter()
            .filter(|(_, names)| !names.is_empty())
            .map(|(kind, names)| format!("{kind} {}", names.join(", ")))
            .collect();
        if listed.is_empty() { "nobody".to_owned() } else { listed.join("; ") }
    }

    /// Reads users, groups and service accounts.
    #[must_use]
    pub fn read(fields: &mut Fields<'_>) -> Self {
        Self {
            users: fields.list("users", Node::string),
            groups: fields.list("groups", Node::string),
            service_accounts: fields.list("serviceAccounts", service_account),
        }
    }
}

fn profile(node: Node<'_>) -> Option<Profile> {
    node.object(|fields| {
        fields.doc("What the profile is for.").optional("description", Node::string);
        let rules = fields
            .doc("The rules that apply, by name, each with its settings.")
            .required("rules", |node| node.object(|rules| Some(checks(rules))));
        let exempt = fields
            .doc("Users to whom no rule of the profile applies.")
            .optional("exemptions", |node| node.object(|people| Some(People::read(people))));
        Some(Profile { rules: rules.unwrap_or_default(), exempt: exempt.unwrap_or_default() })
    })
}

fn checks(fields: &mut Fields<'_>) -> Vec<(&'static str, Box<dyn Check>)> {
    let check = |rule: &&Rule| Some((rule.id, fields.doc(rule.doc).optional(rule.id, rule.read)?));
    RULES.iter().filter_map(check).collect()
}

fn service_account(node: Node<'_>) -> Option<String> {
    let parts = |text: &str| text.split(':').filter(|part| !part.is_empty()).count();
    node.typed(Schema::Text, |node| match node.value().as_str().map(parts) {
        Some(2) => node.string(),
        _ => node.fail("must be NAMESPACE:NAME, or NAMESPACE:* for all of a namespace"),
    })
}
