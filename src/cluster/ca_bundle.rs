//! Configures whom the API server trusts: `caBundle` in both webhook configurations.

use super::{api, cert_store::CertStore};
use crate::runtime::{clock, telemetry::causes};
use base64::{Engine, engine::general_purpose::STANDARD};
use futures::{Stream, StreamExt, stream};
use jiff::SignedDuration;
use json_patch::{AddOperation, Patch, PatchOperation, TestOperation};
use jsonptr::PointerBuf;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration,
};
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, PatchParams},
    runtime::{
        WatchStreamExt,
        watcher::{self, watcher},
    },
};
use serde_json::Value;
use tracing::{info, warn};

/// Both webhook configurations have this name.
pub const CONFIGURATION: &str = "haldane";

/// Pause after a failure.
const RETRY: SignedDuration = SignedDuration::from_secs(5);

/// Keeps `caBundle` equal to the stored authorities and the stored certificate young. For the leader.
///
/// Acts at once when the authorities change or a configuration is re-applied, and every five minutes, or
/// oftener if certificates live shorter. The wall clock counts: a machine that was asleep renews when it wakes up.
///
/// # Cancellation
/// May be dropped at any point; the next leader continues.
pub async fn keep(client: Client, store: &CertStore) {
    let mut bundle = store.bundle();
    let mut applied =
        std::pin::pin!(stream::select(changes(&client, &mutating()), changes(&client, &validating())));
    loop {
        let pem = bundle.borrow_and_update().clone();
        let published = patch_ca_bundle(&client, &pem).await;
        let renewed = store.renew(published.is_ok().then_some(pem.as_str())).await;
        let mut pause = store.check_every();
        if let Err(error) = published {
            warn!(error = causes(&error), "cannot write caBundle into the webhook configurations");
            pause = pause.min(RETRY);
        }
        if let Err(error) = renewed {
            warn!(error = causes(&error), "cannot renew the certificate");
            pause = pause.min(RETRY);
        }
        tokio::select! {
            changed = bundle.changed() => if changed.is_err() { return },
            _ = applied.next() => {}
            () = clock::wait_until(clock::now() + pause) => {}
        }
    }
}

/// Writes `ca_pem` as the `caBundle` of every webhook in both configurations, where it differs.
///
/// An empty text writes nothing: the certificate may be signed by an authority that API servers trust
/// anyway. A configuration that does not exist has no clients to inform.
///
/// # Errors
/// When the API refuses or does not answer, also because a configuration changed between read and write.
pub async fn patch_ca_bundle(client: &Client, ca_pem: &str) -> kube::Result<()> {
    if ca_pem.is_empty() {
        return Ok(());
    }
    for kind in [mutating(), validating()] {
        let api: Api<DynamicObject> = Api::all_with(client.clone(), &kind);
        let Some(configuration) = api.get_opt(CONFIGURATION).await? else { continue };
        let Some(patch) = bundle_patch(&configuration.data, ca_pem) else { continue };
        let params =
            PatchParams { field_manager: Some(api::FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        api.patch(CONFIGURATION, &params, &kube::api::Patch::<()>::Json(patch)).await?;
        info!(kind = kind.kind, "wrote caBundle");
    }
    Ok(())
}

/// The operations that set `caBundle` wherever it is not `ca_pem`; none if there is nothing to do.
///
/// Each is guarded by the webhook's name, so that a list that was reordered meanwhile is not mixed up.
fn bundle_patch(configuration: &Value, ca_pem: &str) -> Option<Patch> {
    let wanted = Value::from(STANDARD.encode(ca_pem));
    let webhooks = configuration.get("webhooks")?.as_array()?;
    let operations: Vec<_> = webhooks
        .iter()
        .enumerate()
        .filter(|(_, webhook)| webhook.pointer("/clientConfig/caBundle") != Some(&wanted))
        .flat_map(|(index, webhook)| {
            let at = PointerBuf::from_tokens(["webhooks", &index.to_string()]);
            let name = webhook.get("name").cloned().unwrap_or_default();
            let bundle = at.with_trailing_token("clientConfig").with_trailing_token("caBundle");
            [
                PatchOperation::Test(TestOperation { path: at.with_trailing_token("name"), value: name }),
                PatchOperation::Add(AddOperation { path: bundle, value: wanted.clone() }),
            ]
        })
        .collect();
    (!operations.is_empty()).then_some(Patch(operations))
}

fn mutating() -> ApiResource {
    ApiResource::erase::<MutatingWebhookConfiguration>(&())
}

fn validating() -> ApiResource {
    ApiResource::erase::<ValidatingWebhookConfiguration>(&())
}

/// One item whenever the configuration of this kind may have changed.
fn changes(client: &Client, kind: &ApiResource) -> impl Stream<Item = ()> + use<> {
    let objects: Api<DynamicObject> = Api::all_with(client.clone(), kind);
    let by_name = watcher::Config::default().fields(&format!("metadata.name={CONFIGURATION}"));
    watcher(objects, by_name).default_backoff().touched_objects().map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn webhooks(bundles: &[Option<&str>]) -> Value {
        let webhook = |(index, bundle): (usize, Option<&str>)| {
            let mut webhook =
                json!({"name": format!("w{index}"), "clientConfig": {"service": {"name": "s"}}});
            if let Some(pem) = bundle {
                webhook["clientConfig"]["caBundle"] = STANDARD.encode(pem).into();
            }
            webhook
        };
        json!({"webhooks": bundles.iter().copied().enumerate().map(webhook).collect::<Vec<_>>()})
    }

    #[test]
    fn every_webhook_gets_the_bundle() {
        let mut configuration = webhooks(&[None, Some("new"), Some("old")]);
        let patch = bundle_patch(&configuration, "new").unwrap();
        assert_eq!(patch.0.len(), 4, "the second has it already");
        json_patch::patch(&mut configuration, &patch).unwrap();
        assert_eq!(configuration, webhooks(&[Some("new"); 3]));
    }

    #[test]
    fn what_is_right_is_not_written() {
        assert_eq!(bundle_patch(&webhooks(&[Some("new"); 2]), "new"), None);
        assert_eq!(bundle_patch(&json!({}), "new"), None);
        assert_eq!(bundle_patch(&webhooks(&[]), "new"), None);
    }

    #[test]
    fn a_reordered_list_is_not_mixed_up() {
        let patch = bundle_patch(&webhooks(&[None, Some("old")]), "new").unwrap();
        let mut meanwhile = webhooks(&[Some("old")]);
        meanwhile["webhooks"][0]["name"] = "another".into();
        json_patch::patch(&mut meanwhile, &patch).unwrap_err();
    }
}
