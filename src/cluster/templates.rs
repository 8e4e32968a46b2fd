//! Analysis templates in labelled `ConfigMaps`; webhook and controller look them up alike.

use crate::{
    config::{
        stored::read_template,
        template_tree::Lookup,
        template_tree::{self, MAX_DEPTH, MAX_TEMPLATES},
    },
    domain::{keys, strategy::TemplateRef},
};
use futures::{StreamExt, TryStreamExt, future::ready, stream};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, Client};
use std::collections::{BTreeMap, BTreeSet};

/// Templates asked for at once: each may be as large as an object can be.
const AT_ONCE: usize = 4;

/// Looks up `references` and what these name in turn; what does not exist is left out.
///
/// # Errors
/// The API server's.
pub async fn look_up(
    client: &Client,
    namespace: &str,
    own_namespace: &str,
    references: &BTreeSet<TemplateRef>,
) -> kube::Result<BTreeMap<TemplateRef, Lookup>> {
    let mut asked = references.clone();
    let mut found = level(client, namespace, own_namespace, references).await?;
    for _ in 0..MAX_DEPTH {
        let unseen = template_tree::unseen(&found, &asked);
        if unseen.is_empty() {
            break;
        }
        found.extend(level(client, namespace, own_namespace, &unseen).await?);
        asked.extend(unseen);
    }
    Ok(found)
}

async fn level(
    client: &Client,
    namespace: &str,
    own_namespace: &str,
    references: &BTreeSet<TemplateRef>,
) -> kube::Result<BTreeMap<TemplateRef, Lookup>> {
    let one = |reference: TemplateRef| async move {
        let namespace = if reference.cluster_scope { own_namespace } else { namespace };
        let map = Api::<ConfigMap>::namespaced(client.clone(), namespace).get_opt(&reference.name).await?;
        Ok(map.filter(is_template).map(|map| (reference.clone(), read(&reference, map))))
    };
    let found =
        stream::iter(references.iter().take(MAX_TEMPLATES).cloned().map(one)).buffer_unordered(AT_ONCE);
    found.try_filter_map(|found| ready(Ok(found))).try_collect().await
}

fn is_template(map: &ConfigMap) -> bool {
    let label = map.metadata.labels.as_ref().and_then(|labels| labels.get(keys::TEMPLATE_LABEL));
    label.is_some_and(|value| value == "true")
}

fn read(reference: &TemplateRef, map: ConfigMap) -> Lookup {
    let path = format!("ConfigMap[{}].data", reference.name);
    read_template(&reference.name, &map.data.unwrap_or_default(), &path)
}
