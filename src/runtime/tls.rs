//! TLS for the server, with a certificate that can be replaced while it runs.

use super::certs::{self, CertError, Material};
use arc_swap::ArcSwapOption;
use jiff::Timestamp;
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use std::sync::Arc;

/// The certificate or key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The texts are not PEM.
    #[error("tls.crt or tls.key is not PEM: {0}")]
    Pem(#[from] rustls::pki_types::pem::Error),
    /// The certificate is damaged.
    #[error(transparent)]
    Cert(#[from] CertError),
    /// The key does not fit the certificate or is of an unknown kind.
    #[error("tls.crt and tls.key cannot be used together: {0}")]
    Key(#[from] rustls::Error),
}

/// The certificate of the next handshake. Replacing it does not affect established connections.
#[derive(Debug, Default)]
pub struct LiveCertificate(ArcSwapOption<CertifiedKey>);

impl LiveCertificate {
    /// Serves `material` from the next handshake on and returns when it expires. If it cannot be used, the last
    /// good certificate stays.
    ///
    /// # Errors
    /// When the texts are not PEM, damaged, or do not belong together.
    pub fn install(&self, material: &Material) -> Result<Timestamp, TlsError> {
        let expiry = certs::expiry(&material.chain)?;
        let chain = CertificateDer::pem_slice_iter(material.chain.as_bytes()).collect::<Result<_, _>>()?;
        let key = PrivateKeyDer::from_pem_slice(material.key.as_bytes())?;
        let certified = CertifiedKey::from_der(chain, key, &ring::default_provider())?;
        self.0.store(Some(Arc::new(certified)));
        Ok(expiry)
    }
}

impl ResolvesServerCert for LiveCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // For any server name: API servers may use a URL, a port-forward or an address.
        self.0.load_full()
    }
}

/// TLS 1.2 and 1.3, HTTP/2 preferred, no client certificates.
///
/// # Errors
/// When the crypto provider does not support the protocol versions; the built-in one does.
pub fn server_config(live: Arc<LiveCertificate>) -> Result<ServerConfig, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(live);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::{
        certs::{Lifetimes, Terms},
        clock,
    };

    #[test]
    fn the_last_good_certificate_stays_when_a_bad_one_comes() {
        let names = ["webhook".to_owned()];
        let terms = Terms { names: &names, lifetimes: Lifetimes::default(), now: clock::now() };
        let (good, other) = (terms.make("").unwrap(), terms.make("").unwrap());
        let live = LiveCertificate::default();
        live.install(&good).unwrap();
        let served = live.0.load_full().unwrap();
        for bad in [
            Material { chain: String::new(), ..good.clone() },
            Material { key: String::new(), ..good.clone() },
            Material { key: other.key, ..good.clone() },
            Material { chain: good.chain.replace('M', "N"), ..good.clone() },
        ] {
            live.install(&bad).unwrap_err();
            assert!(Arc::ptr_eq(&served, &live.0.load_full().unwrap()));
        }
    }
}
