//! The profiles that bind a namespace; webhook and controller look them up alike.

use crate::{
    config::profile::Bound,
    domain::{k8s::selector::Labels, keys},
    policy::bound,
};
use futures::future::try_join_all;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, Client};

/// Looks up what the `labels` of a namespace bind; a profile that does not exist has no data.
///
/// # Errors
/// The API server's.
pub async fn look_up(client: &Client, labels: &Labels, own_namespace: &str) -> kube::Result<Vec<Bound>> {
    let maps = Api::<ConfigMap>::namespaced(client.clone(), own_namespace);
    let one = |(mode, name): (_, &str)| {
        let (maps, name) = (maps.clone(), name.to_owned());
        async move {
            // A label's value need not be a name of an object, and an empty one would list them all.
            let found = if name.is_empty() { None } else { maps.get_opt(&name).await? };
            let data = found.filter(is_profile).map(|map| map.data.unwrap_or_default());
            Ok::<_, kube::Error>(Bound { mode, name, data })
        }
    };
    try_join_all(bound(labels).into_iter().map(one)).await
}

fn is_profile(map: &ConfigMap) -> bool {
    let label = map.metadata.labels.as_ref().and_then(|labels| labels.get(keys::POLICY));
    label.is_some_and(|value| value == "true")
}
