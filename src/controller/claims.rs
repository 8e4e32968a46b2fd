//! Turns behind one Service or route: what rollouts that this process has started need, from the decision to start them until
//! they have ended. A watch reports their objects only later.

use crate::{domain::world::Canaries, runtime::locked::lock};
use k8s_openapi::api::apps::v1::Deployment;
use kube::runtime::reflector::ObjectRef;
use std::{
    collections::{HashMap, HashSet},
    sync::Mutex,
};

type Key = ObjectRef<Deployment>;

/// See the module.
#[derive(Debug, Default)]
pub struct Claims(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    claims: HashMap<Key, Canaries>,
    waiting: HashSet<Key>,
}

impl Claims {
    /// The rollout of this Deployment claims these Services for its canary, unless `must_wait` has a reason against it, given
    /// what the other rollouts in its namespace have claimed. A claim holds until it ends.
    pub fn claim(
        &self,
        key: &Key,
        canaries: Canaries,
        must_wait: impl FnOnce(&Canaries) -> Option<String>,
    ) -> Option<String> {
        let mut known = lock(&self.0);
        if known.claims.contains_key(key) {
            return None;
        }
        let others = known.claims.iter().filter(|(other, _)| other.namespace == key.namespace);
        let claimed = others.flat_map(|(_, canaries)| canaries.clone()).collect();
        let why = must_wait(&claimed);
        if why.is_none() {
            known.waiting.remove(key);
            known.claims.insert(key.clone(), canaries);
        } else {
            known.waiting.insert(key.clone());
        }
        why
    }

    /// Its rollout has ended, or does not start. Returns the Deployments that may have waited for it.
    #[must_use]
    pub fn end(&self, key: &Key) -> Vec<Key> {
        let mut known = lock(&self.0);
        if known.claims.remove(key).is_none() {
            return Vec::new();
        }
        known.waiting.extract_if(|waiting| waiting.namespace == key.namespace).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::world::OtherCanary;

    fn claim(claims: &Claims, namespace: &str, name: &str) -> Option<String> {
        let own = OtherCanary { deployment: name.to_owned(), service: Some("web".to_owned()) };
        let canaries = Canaries::from([(format!("{name}-canary"), own)]);
        let key = Key::new(name).within(namespace);
        claims.claim(&key, canaries, |others| others.keys().next().cloned())
    }

    #[test]
    fn the_first_of_two_that_start_at_once_has_its_turn_until_it_ends() {
        let claims = Claims::default();
        assert_eq!(claim(&claims, "shop", "web"), None);
        assert_eq!(claim(&claims, "shop", "spot").as_deref(), Some("web-canary"));
        assert_eq!(claim(&claims, "shop", "web"), None, "its own claim is not in its way");
        assert_eq!(claim(&claims, "other", "spot"), None);
        let [web, spot] = ["web", "spot"].map(|name| Key::new(name).within("shop"));
        assert_eq!(claims.end(&spot), [], "it has claimed nothing");
        assert_eq!(claims.end(&web), [spot], "it looks again");
        assert_eq!(claim(&claims, "shop", "spot"), None, "its turn has come");
        assert_eq!(claim(&claims, "shop", "web").as_deref(), Some("spot-canary"));
    }
}
