//! Services that send requests to pods of other workloads as well.

use crate::admit::{facts::Neighbours, object::Object};
use crate::{domain::observed::ready_pods, objects::canary_deployment::canary_name};
use k8s_openapi::api::core::v1::Service;
use std::collections::BTreeSet;

/// Characters of the hashes and random parts in the names of pods.
///
/// Source: kubernetes `apimachinery/pkg/util/rand`, `alphanums`.
const RANDOM: &str = "bcdfghjklmnpqrstvwxz2456789";
/// Longest name of a Deployment that is whole in the names of its pods: after it come a hash and a random part, and
/// Kubernetes cuts what is longer than 58 characters.
const MAX_WHOLE: usize = 46;

/// A Service whose pods belong to other workloads in part.
pub(super) fn by_others(
    service: &Service,
    object: Object<'_>,
    neighbours: &Neighbours,
    by_pods: bool,
) -> Option<String> {
    let name = object.name();
    if name.len() > MAX_WHOLE {
        return None;
    }
    let service = service.metadata.name.as_deref()?;
    let pods: BTreeSet<&str> = ready_pods(&neighbours.endpoints, service).collect();
    let canary = canary_name(name);
    let is_other = |workload: &&str| *workload != name && *workload != canary;
    let of_others: Vec<&str> = pods.iter().map(|pod| workload(pod)).filter(is_other).collect();
    let others: BTreeSet<&str> = of_others.iter().copied().collect();
    let effect = if by_pods {
        "the canary's share of its requests is smaller than the weight of the plan"
    } else {
        "the canary gets its share of what all of them serve, and at promotion all of it, but has pods for this Deployment alone"
    };
    (!others.is_empty()).then(|| {
        format!(
            "Service {service:?} has {} ready pods, of which {} belong to {}: {effect}; give each workload a Service of its own",
            pods.len(),
            of_others.len(),
            others.into_iter().collect::<Vec<_>>().join(", ")
        )
    })
}

/// The workload that a pod belongs to, by its name: `web` of `web-7c5d8f9b6-2bcdf`, `db` of `db-0`.
fn workload(pod: &str) -> &str {
    let is_random = |part: &str| part.chars().all(|c| RANDOM.contains(c));
    let Some((set, last)) = pod.rsplit_once('-') else { return pod };
    match set.rsplit_once('-') {
        Some((deployment, hash))
            if last.len() == 5 && is_random(last) && hash.len() >= 6 && is_random(hash) =>
        {
            deployment
        }
        _ => set,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_shows_its_workload_by_its_name() {
        for (pod, of) in [
            ("web-7c5d8f9b6-2bcdf", "web"),
            ("web-spot-7c5d8f9b6-2bcdf", "web-spot"),
            ("db-0", "db"),
            ("shop-db-12", "shop-db"),
            ("agent-2bcdf", "agent"),
            ("alone", "alone"),
        ] {
            assert_eq!(workload(pod), of, "{pod}");
        }
    }
}
