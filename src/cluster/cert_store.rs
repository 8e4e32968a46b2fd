//! The Secret that all replicas share: made by the first of them, followed by every one.

use super::api;
use crate::runtime::{
    certs::{CertError, Lifetimes, Material, Terms},
    clock,
    metrics::{self, Metric},
    telemetry::causes,
    tls::LiveCertificate,
};
use futures::StreamExt;
use jiff::SignedDuration;
use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{
    Api, Client,
    runtime::{WatchStreamExt, watcher::watch_object},
};
use prometheus_client::{metrics::gauge::Gauge, registry::Registry};
use std::{collections::BTreeMap, time::Duration};
use tokio::{sync::watch, time};
use tracing::{error, info, warn};

/// Pause after a failed write of the Secret.
const RETRY: Duration = Duration::from_secs(2);

/// The stored certificate could not be read, made or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The API refused or did not answer.
    #[error("Secret: {0}")]
    Api(#[from] kube::Error),
    /// A new certificate could not be made.
    #[error(transparent)]
    Cert(#[from] CertError),
}

/// The origin of the certificate.
#[derive(Debug, Clone, Copy)]
pub enum Issuance {
    /// Haldane, with these lifetimes, unless the Secret holds one that someone else provided.
    Own(Lifetimes),
    /// Someone else, such as cert-manager: the Secret is never written, and waited for.
    Provided,
}

/// Reads and writes the one Secret with the certificate.
#[derive(Debug)]
pub struct CertStore {
    api: Api<Secret>,
    name: String,
    dns_names: Vec<String>,
    issuance: Issuance,
    bundle: watch::Sender<String>,
    expiry: Gauge,
}

impl CertStore {
    /// A store in the Secret `name` for a server called by `dns_names`.
    #[must_use]
    pub fn new(
        client: Client,
        namespace: &str,
        name: &str,
        dns_names: Vec<String>,
        issuance: Issuance,
        registry: &mut Registry,
    ) -> Self {
        let expiry = Gauge::default();
        metrics::register(registry, Metric::CertificateExpiryTimestampSeconds, expiry.clone());
        let api = Api::namespaced(client, namespace);
        let (name, bundle) = (name.to_owned(), watch::Sender::default());
        Self { api, name, dns_names, issuance, bundle, expiry }
    }

    /// The authorities that clients must trust, as PEM; empty until a certificate is served.
    #[must_use]
    pub fn bundle(&self) -> watch::Receiver<String> {
        self.bundle.subscribe()
    }

    /// How often to call [`renew`](Self::renew): a certificate that was made for a shorter life than is usual
    /// now must not be missed.
    #[must_use]
    pub fn check_every(&self) -> SignedDuration {
        let usual = match self.issuance {
            Issuance::Own(lifetimes) => lifetimes.check_every(),
            Issuance::Provided => Lifetimes::default().check_every(),
        };
        let left = SignedDuration::from_secs(self.expiry.get()) - clock::now().as_duration();
        usual.min((left / 20).max(SignedDuration::from_secs(1)))
    }

    /// Serves whatever usable certificate the Secret holds, for ever, and fills the Secret if it holds none.
    ///
    /// # Guarantees
    /// The last good certificate stays in service while the Secret is absent, damaged or out of reach.
    pub async fn follow(&self, live: &LiveCertificate) {
        let mut secrets = std::pin::pin!(watch_object(self.api.clone(), &self.name).default_backoff());
        let (mut seen, mut served) = (None, None);
        while let Some(event) = secrets.next().await {
            let found = match event {
                Ok(secret) => secret.as_ref().and_then(material),
                Err(error) => {
                    warn!(error = causes(&error), secret = self.name, "cannot watch the certificate");
                    continue;
                }
            };
            // A watch that was interrupted repeats what it said before.
            if found.is_some() && found == seen {
                continue;
            }
            if found.as_ref().is_some_and(|material| self.serve(material, live)) {
                served.clone_from(&found);
            } else {
                self.fill(served.as_ref()).await;
            }
            seen = found;
        }
    }

    /// Takes the next step of a renewal, if one is due; see [`Terms::renew`]. `published` is the bundle that
    /// clients have, if that is known.
    ///
    /// The result arrives by [`follow`](Self::follow). Safe to call from several replicas: a write that
    /// lost a race is dropped.
    ///
    /// # Errors
    /// When the Secret cannot be read or written, or nothing can be made.
    pub async fn renew(&self, published: Option<&str>) -> Result<(), StoreError> {
        self.step(published, None).await
    }

    /// [`renew`](Self::renew); a Secret that is gone is made from `last`, or from the start.
    async fn step(&self, published: Option<&str>, last: Option<&Material>) -> Result<(), StoreError> {
        let Issuance::Own(lifetimes) = self.issuance else { return Ok(()) };
        let found = self.api.get_opt(&self.name).await?;
        let terms = Terms { names: &self.dns_names, lifetimes, now: clock::now() };
        let next = match (found.as_ref().and_then(material), last) {
            (Some(current), _) => {
                let is_published = published == Some(current.ca_bundle.as_str());
                terms.renew(&current, is_published)?
            }
            (None, Some(last)) => Some(last.clone()),
            (None, None) => Some(terms.make("")?),
        };
        let Some(next) = next else { return Ok(()) };
        match self.write(found, &next).await {
            Err(error) if !api::lost_race(&error) => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Puts `material` into service; false if something better is needed.
    fn serve(&self, material: &Material, live: &LiveCertificate) -> bool {
        let expiry = match live.install(material) {
            Ok(expiry) => expiry,
            Err(error) => {
                error!(error = causes(&error), secret = self.name, "the stored certificate cannot be served");
                return false;
            }
        };
        info!(secret = self.name, %expiry, "serving the stored certificate");
        self.expiry.set(expiry.as_second());
        self.bundle.send_replace(material.ca_bundle.clone());
        expiry > clock::now()
    }

    /// Replaces what cannot serve, as often as that fails for reasons of the API.
    ///
    /// A Secret that was deleted comes back as it was, because clients trust what is `served` already; a
    /// certificate that someone else provided does not: they delete it to withdraw it.
    async fn fill(&self, served: Option<&Material>) {
        if matches!(self.issuance, Issuance::Provided) {
            warn!(secret = self.name, "no usable certificate; waiting for one to be provided");
            return;
        }
        let ours = served.filter(|material| material.ca_key.is_some());
        while let Err(error) = self.step(None, ours).await {
            warn!(error = causes(&error), secret = self.name, "cannot store a new certificate");
            time::sleep(RETRY).await;
        }
    }

    async fn write(&self, found: Option<Secret>, material: &Material) -> kube::Result<()> {
        let (exists, mut secret) = found.map_or_else(|| (false, self.blank()), |secret| (true, secret));
        secret.data.get_or_insert_default().extend(data(material));
        if exists {
            self.api.replace(&self.name, &api::post(), &secret).await?;
        } else {
            self.api.create(&api::post(), &secret).await?;
        }
        info!(secret = self.name, "stored a new certificate");
        Ok(())
    }

    fn blank(&self) -> Secret {
        let mut secret = Secret { type_: Some("kubernetes.io/tls".to_owned()), ..Secret::default() };
        secret.metadata.name = Some(self.name.clone());
        secret.metadata.labels =
            Some([("app.kubernetes.io/managed-by".to_owned(), "haldane".to_owned())].into());
        secret
    }
}

/// The material in a Secret; none if it has no certificate yet.
fn material(secret: &Secret) -> Option<Material> {
    let text = |key: &str| {
        let ByteString(bytes) = secret.data.as_ref()?.get(key)?;
        Some(String::from_utf8_lossy(bytes).into_owned()).filter(|text| !text.trim().is_empty())
    };
    let (ca_key, chain) = (text("ca.key"), text("tls.crt"));
    // An authority without a leaf is ours to complete; nothing at all is ours to fill.
    ca_key.as_ref().or(chain.as_ref())?;
    Some(Material {
        ca_bundle: text("ca.crt").unwrap_or_default(),
        chain: chain.unwrap_or_default(),
        key: text("tls.key").unwrap_or_default(),
        ca_key,
    })
}

fn data(material: &Material) -> BTreeMap<String, ByteString> {
    let Material { ca_bundle, ca_key, chain, key } = material.clone();
    [("ca.crt", Some(ca_bundle)), ("ca.key", ca_key), ("tls.crt", Some(chain)), ("tls.key", Some(key))]
        .into_iter()
        .filter_map(|(key, text)| Some((key.to_owned(), ByteString(text?.into_bytes()))))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(entries: &[(&str, &str)]) -> Secret {
        let entries =
            entries.iter().map(|(key, text)| ((*key).to_owned(), ByteString(text.as_bytes().to_vec())));
        Secret { data: Some(entries.collect()), ..Secret::default() }
    }

    #[test]
    fn material_survives_the_secret() {
        let stored = Material {
            ca_bundle: "authorities".to_owned(),
            ca_key: Some("authority key".to_owned()),
            chain: "chain".to_owned(),
            key: "key".to_owned(),
        };
        let secret = Secret { data: Some(data(&stored)), ..Secret::default() };
        assert_eq!(material(&secret), Some(stored));
    }

    #[test]
    fn a_secret_without_a_certificate_is_ours_to_fill() {
        for entries in [&[][..], &[("tls.crt", ""), ("tls.key", "")], &[("other", "x")]] {
            assert_eq!(material(&secret(entries)), None, "{entries:?}");
        }
    }

    #[test]
    fn a_certificate_without_an_authority_key_is_provided_by_someone_else() {
        let provided = material(&secret(&[("tls.crt", "chain"), ("tls.key", "key")])).unwrap();
        assert_eq!((provided.ca_key, provided.ca_bundle), (None, String::new()));
    }
}
