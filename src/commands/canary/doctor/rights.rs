//! What the user may do, by the API server's own answer.

use super::{Line, Read};
use crate::domain::request::Verb;
use std::fmt;
use strum::IntoEnumIterator;

/// A right in the namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Right {
    /// The verb.
    pub verb: String,
    /// The API group; empty for the core.
    pub group: &'static str,
    /// The resource.
    pub resource: &'static str,
    /// Whether it is an order, which can be left to others.
    pub is_order: bool,
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verb, self.resource)
    }
}

/// Rights to read releases.
const READ: &[(&str, &str, &[&str])] = &[
    ("apps", "deployments", &["get", "list", "watch"]),
    ("", "configmaps", &["get", "list", "watch"]),
    ("apps", "replicasets", &["list"]),
    ("", "pods", &["list"]),
];

/// Every right that the plugin's commands need.
pub fn needed() -> Vec<Right> {
    let read = READ.iter().flat_map(|(group, resource, verbs)| {
        verbs.iter().map(|verb| Right { verb: (*verb).to_owned(), group, resource, is_order: false })
    });
    let of_deployments =
        |verb: String| Right { verb, group: "apps", resource: "deployments", is_order: true };
    let orders = ["patch".to_owned()].into_iter().chain(Verb::iter().map(|verb| verb.to_string()));
    read.chain(orders.map(of_deployments)).collect()
}

/// One line for reading, one for orders.
pub fn examine(rights: &[(Right, Read<bool>)]) -> Vec<Line> {
    let without = |is_order: bool| {
        let denied = rights.iter().filter(|(right, may)| right.is_order == is_order && *may == Ok(false));
        denied.map(|(right, _)| right.to_string()).collect::<Vec<_>>().join(", ")
    };
    if let Some(why) = rights.iter().find_map(|(_, may)| may.as_ref().err()) {
        return vec![Line::unread("your rights", why)];
    }
    if rights.is_empty() {
        return Vec::new();
    }
    let (unread, unordered) = (without(false), without(true));
    let reading = if unread.is_empty() {
        Line::good("you may read releases")
    } else {
        Line::problem(format!("you may not {unread}"), "have ClusterRole view bound to you in the namespace")
    };
    let ordering = if unordered.is_empty() {
        Line::good("you may give every order")
    } else {
        Line::warning(
            format!("you may not {unordered}"),
            "to give orders, have ClusterRole edit and haldane-operator bound to you in the namespace",
        )
    };
    vec![reading, ordering]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::canary::doctor::Level;

    fn levels(may: impl Fn(&Right) -> Read<bool>) -> Vec<(Level, String)> {
        let rights: Vec<_> = needed().into_iter().map(|right| (right.clone(), may(&right))).collect();
        examine(&rights).into_iter().map(|line| (line.level, line.text)).collect()
    }

    #[test]
    fn reading_is_needed_and_orders_may_be_left_to_others() {
        assert_eq!(levels(|_| Ok(true)).iter().map(|line| line.0).collect::<Vec<_>>(), [Level::Good; 2]);
        let guest = levels(|right| Ok(!right.is_order || right.verb == "abort"));
        assert_eq!(guest[1].0, Level::Warning);
        assert!(guest[1].1.starts_with("you may not patch deployments, promote deployments, "), "{guest:?}");
        assert!(!guest[1].1.contains("abort"), "{guest:?}");
        let blind = levels(|right| Ok(right.resource != "pods"));
        assert_eq!(blind[0], (Level::Problem, "you may not list pods".to_owned()));
        let unknown = levels(|_| Err("no connection".to_owned()));
        assert_eq!(unknown, [(Level::Warning, "your rights not checked: no connection".to_owned())]);
    }
}
