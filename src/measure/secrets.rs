//! Secret arguments: read for each measurement and stored nowhere.

use crate::{analysis::ResolvedArg, cluster::api, domain::metric::SecretKeyRef};
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use std::collections::BTreeMap;

/// Reads Secrets; the names are for the advice in an error.
#[derive(Clone)]
pub struct Reader {
    /// The cluster.
    pub client: Client,
    /// Haldane's own namespace.
    pub own_namespace: String,
    /// Haldane's service account in it.
    pub service_account: String,
}

impl Reader {
    /// The values of secret arguments.
    ///
    /// # Errors
    /// Which one cannot be read, and how to allow it.
    pub async fn read(
        &self,
        namespace: &str,
        wanted: &BTreeMap<String, SecretKeyRef>,
    ) -> Result<Vec<ResolvedArg>, String> {
        let mut values = Vec::new();
        for (arg, reference) in wanted {
            let value = self.value(namespace, reference).await;
            values.push(ResolvedArg {
                name: arg.clone(),
                value: value.map_err(|problem| format!("args.{arg}: {problem}"))?,
            });
        }
        Ok(values)
    }

    async fn value(&self, namespace: &str, reference: &SecretKeyRef) -> Result<String, String> {
        let SecretKeyRef { name, key } = reference;
        let secrets = Api::<Secret>::namespaced(self.client.clone(), namespace);
        let secret = secrets.get_opt(name).await.map_err(|error| {
            if api::is_forbidden(&error) {
                self.advice(namespace, name)
            } else {
                format!("secret {name:?}: {error}")
            }
        })?;
        let data = secret.ok_or_else(|| format!("there is no secret {name:?} in {namespace}"))?.data;
        let bytes = data
            .unwrap_or_default()
            .remove(key)
            .ok_or_else(|| format!("secret {name:?} has no key {key:?}"))?;
        String::from_utf8(bytes.0).map_err(|_| format!("key {key:?} of secret {name:?} is not UTF-8 text"))
    }

    fn advice(&self, namespace: &str, name: &str) -> String {
        let Self { own_namespace, service_account, .. } = self;
        format!(
            "Haldane may not read secret {name:?}; allow it with: kubectl create rolebinding haldane-secrets -n {namespace} \
             --clusterrole=haldane-secrets --serviceaccount={own_namespace}:{service_account}"
        )
    }
}
