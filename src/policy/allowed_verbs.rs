//! Rule allowed-verbs: restricts further than RBAC which users may give which order.

use super::{Check, Occasion, Rule, Subject, profile::People};
use crate::{
    document::{
        fields::Node,
        finding::{Finding, Findings},
    },
    domain::{keys, request::Verb},
};
use std::collections::BTreeMap;
use strum::VariantNames;

/// See the module.
pub(super) static RULE: Rule = Rule {
    id: "allowed-verbs",
    doc: "For each order in the list, the users who may give it; RBAC must allow it as well. For other orders, RBAC alone decides.",
    example: "{promote-full: {groups: [release-managers]}, abort: {groups: [on-call], serviceAccounts: [\"ci:*\"]}}",
    read: |node| {
        let known: Vec<&str> = Verb::VARIANTS.to_vec();
        let unknown = node
            .value()
            .as_object()
            .into_iter()
            .flatten()
            .map(|(key, _)| key)
            .find(|key| !known.contains(&key.as_str()));
        if let Some(unknown) = unknown {
            let problem = format!("{unknown:?} is not an order, allowed are {}", known.join(", "));
            return node.fail(problem);
        }
        let people = node.map(|node: Node<'_>| node.object(|fields| Some(People::read(fields))))?;
        Some(Box::new(AllowedVerbs { people }) as Box<dyn Check>)
    },
};

#[derive(Debug)]
struct AllowedVerbs {
    people: BTreeMap<String, People>,
}

impl Check for AllowedVerbs {
    fn check(&self, subject: &Subject<'_>) -> Findings {
        let Occasion::Order(verb) = subject.occasion else { return Findings::new() };
        let verb = verb.to_string();
        let refused = self.people.get(&verb).filter(|people| !people.include(subject.user));
        let finding = |people: &People| {
            let problem = format!(
                "the policy does not allow user {:?} to give this order here, allowed are {}",
                subject.user.username,
                people.describe()
            );
            Finding::new(format!("metadata.annotations[{}]", keys::DO), &verb, problem)
        };
        refused.map(finding).into_iter().collect()
    }
}
