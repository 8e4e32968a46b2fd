//! Secret arguments: read for each measurement and stored nowhere.

use crate::{
    analysis::ResolvedArg,
    cluster::{
        api,
        error::{Categorized, Category},
    },
    domain::metric::SecretKeyRef,
};
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

/// Why a value cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread {
    /// What to do about it.
    pub problem: String,
    /// Whether it may pass by itself: the API server is away, or the Secret is not there yet.
    pub may_pass: bool,
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
                value: value.map_err(|unread| format!("args.{arg}: {}", unread.problem))?,
            });
        }
        Ok(values)
    }

    /// The value of a key.
    ///
    /// # Errors
    /// Why it cannot be read, and how to allow it.
    pub async fn value(&self, namespace: &str, reference: &SecretKeyRef) -> Result<String, Unread> {
        let SecretKeyRef { name, key } = reference;
        let secrets = Api::<Secret>::namespaced(self.client.clone(), namespace);
        let secret = secrets.get_opt(name).await.map_err(|error| {
            let may_pass = error.category() != Category::Invalid;
            let problem = if api::is_forbidden(&error) {
                self.advice(namespace, name)
            } else {
                format!("secret {name:?}: {}", api::message(&error))
            };
            Unread { problem, may_pass }
        })?;
        let absent = || format!("there is no secret {name:?} in {namespace}");
        let data = secret.ok_or_else(|| Unread { problem: absent(), may_pass: true })?.data;
        let lasting = |problem| Unread { problem, may_pass: false };
        let bytes = data.unwrap_or_default().remove(key);
        let bytes = bytes.ok_or_else(|| lasting(format!("secret {name:?} has no key {key:?}")))?;
        String::from_utf8(bytes.0)
            .map_err(|_| lasting(format!("key {key:?} of secret {name:?} is not UTF-8 text")))
    }

    fn advice(&self, namespace: &str, name: &str) -> String {
        let Self { own_namespace, service_account, .. } = self;
        format!(
            "Haldane may not read secret {name:?}; allow it with: \
             kubectl create role haldane-{name} -n {namespace} --verb=get --resource=secrets --resource-name={name} && \
             kubectl create rolebinding haldane-{name} -n {namespace} --role=haldane-{name} \
             --serviceaccount={own_namespace}:{service_account}"
        )
    }
}
