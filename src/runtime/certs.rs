//! The webhook's certificate authority and serving certificate: created and checked here, stored elsewhere.
//!
//! Renewal never breaks a handshake, because clients trust a new authority before it signs anything:
//!
//! ```text
//! authority at 2/3 of its life ──► new authority first in the bundle, old one behind it, leaf kept
//!             `overlap` later  ──► leaf signed by the new authority
//!                     expired  ──► old authority dropped at the next write
//! ```

use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose,
};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use std::{fmt, time::SystemTime};
use x509_parser::{certificate::X509Certificate, extensions::GeneralName};

/// Certificates are valid from this long before their creation, for clients whose clock is behind ours; short-lived
/// ones from a tenth of their lifetime before.
const SKEW: SignedDuration = SignedDuration::from_mins(10);

/// Shortest lifetime of a serving certificate: times in certificates are whole seconds.
const SHORTEST: SignedDuration = SignedDuration::from_secs(10);

/// Maximum interval between checks of the certificate's age.
const MAX_CHECK: SignedDuration = SignedDuration::from_mins(5);

/// Last line of a certificate in a PEM text.
const END_LINE: &str = "-----END CERTIFICATE-----";

/// The stored PEM texts, under the keys that cert-manager and `kubectl create secret tls` use.
#[derive(Clone, PartialEq, Eq)]
pub struct Material {
    /// `ca.crt`: the authority that signs, then older ones that clients must still trust.
    pub ca_bundle: String,
    /// `ca.key`: key of the first authority. `None` means that someone else provides the certificate.
    pub ca_key: Option<String>,
    /// `tls.crt`: the serving certificate, with intermediates if there are any.
    pub chain: String,
    /// `tls.key`: its key.
    pub key: String,
}

impl fmt::Debug for Material {
    /// Omits the keys, so that a log line cannot leak them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Material").field("chain", &self.chain).finish_non_exhaustive()
    }
}

/// The lifetimes of certificates, and how long a new authority is published before it signs.
#[derive(Debug, Clone, Copy)]
pub struct Lifetimes {
    authority: SignedDuration,
    leaf: SignedDuration,
    overlap: SignedDuration,
}

/// With these lifetimes the server could be without a trusted certificate.
#[derive(Debug, thiserror::Error)]
#[error(
    "certificates with lifetime {leaf:#}, an authority with lifetime {authority:#} that is published {overlap:#} before it signs: {problem}"
)]
pub struct BadLifetimes {
    authority: SignedDuration,
    leaf: SignedDuration,
    overlap: SignedDuration,
    problem: &'static str,
}

impl Lifetimes {
    /// `authority`: lifetime of an authority. `leaf`: lifetime of a serving certificate, which also ends with its
    /// authority. `overlap`: time from publishing a new authority to signing with it; longer than API servers take
    /// to notice.
    ///
    /// # Errors
    /// When a certificate could expire before its successor can be used: the successor is created after two thirds
    /// of its lifetime and waits for the overlap.
    pub fn new(
        authority: SignedDuration,
        leaf: SignedDuration,
        overlap: SignedDuration,
    ) -> Result<Self, BadLifetimes> {
        let problem = if leaf < SHORTEST {
            "the lifetime of certificates must be at least 10s"
        } else if authority < leaf {
            "the lifetime of the authority must not be shorter than the lifetime of certificates"
        } else if overlap < SignedDuration::from_secs(1) {
            "the overlap must be at least 1s"
        } else if overlap > leaf / 4 {
            "the overlap must be at most a quarter of the lifetime of certificates"
        } else {
            return Ok(Self { authority, leaf, overlap });
        };
        Err(BadLifetimes { authority, leaf, overlap, problem })
    }

    /// How often to check whether a step of a renewal is due: every five minutes, or more often for shorter lifetimes.
    #[must_use]
    pub fn check_every(self) -> SignedDuration {
        MAX_CHECK.min(self.leaf / 20).min(self.overlap / 2)
    }
}

impl Default for Lifetimes {
    /// A year, 90 days and an hour: the last third of an authority's lifetime is longer than a leaf certificate
    /// that is signed at its start.
    fn default() -> Self {
        Self {
            authority: SignedDuration::from_hours(365 * 24),
            leaf: SignedDuration::from_hours(90 * 24),
            overlap: SignedDuration::from_hours(1),
        }
    }
}

/// A certificate could not be created or read.
#[derive(Debug, thiserror::Error)]
pub enum CertError {
    /// Creating or signing failed.
    #[error("cannot create a certificate: {0}")]
    Make(#[from] rcgen::Error),
    /// The text is not valid PEM, or not a certificate or key.
    #[error("unreadable {0}")]
    Unreadable(&'static str),
}

/// The names, lifetimes and start of certificates.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'a> {
    /// DNS names under which clients call the server.
    pub names: &'a [String],
    /// Their lifetimes.
    pub lifetimes: Lifetimes,
    /// The current time.
    pub now: Timestamp,
}

impl Terms<'_> {
    /// A new authority and a serving certificate, both valid from now on.
    ///
    /// Authorities of `old_bundle` that are readable and not expired stay trusted, after the new one.
    ///
    /// # Errors
    /// When the system provides no randomness or a name is not ASCII.
    pub fn make(self, old_bundle: &str) -> Result<Material, CertError> {
        let (ca, ca_key) = self.new_authority()?;
        let (chain, key) = self.new_leaf(&ca, &ca_key)?;
        Ok(Material { ca_bundle: ca + &still_valid(old_bundle, self.now), ca_key: Some(ca_key), chain, key })
    }

    /// What to store instead of `current`; `None` while that is good.
    ///
    /// One call makes one step of the renewal above; call it again every few minutes. A step that depends on the
    /// clients' bundle waits until it is `published`. Material that cannot serve at all is replaced immediately. A
    /// certificate that someone else provides (no `ca_key`) is not changed.
    ///
    /// # Errors
    /// As for [`make`](Self::make).
    pub fn renew(self, current: &Material, published: bool) -> Result<Option<Material>, CertError> {
        let Some(ca_key) = &current.ca_key else { return Ok(None) };
        let old_bundle = still_valid(&current.ca_bundle, self.now);
        let need = self.need(current, ca_key, published).unwrap_or(Need::All);
        Ok(match need {
            Need::Nothing => None,
            Need::All => Some(self.make(&old_bundle)?),
            Need::Authority => {
                let (ca, ca_key) = self.new_authority()?;
                Some(Material { ca_bundle: ca + &old_bundle, ca_key: Some(ca_key), ..current.clone() })
            }
            Need::Leaf => {
                let (chain, key) = self.new_leaf(&old_bundle, ca_key)?;
                Some(Material { ca_bundle: old_bundle, chain, key, ..current.clone() })
            }
        })
    }

    /// The next step.
    ///
    /// # Errors
    /// When the first authority is unreadable.
    fn need(self, current: &Material, ca_key: &str, published: bool) -> Result<Need, CertError> {
        let ca_der = first(&current.ca_bundle)?;
        let ca = parse(&ca_der)?;
        let (ca_made, ca_end) = life(&ca)?;
        if ca_end <= self.now {
            return Ok(Need::All);
        }
        let leaf = self.leaf_state(current, &ca).unwrap_or(LeafState::Useless);
        if !fits(&ca, ca_key) {
            return Ok(if leaf == LeafState::Useless { Need::All } else { Need::Authority });
        }
        let is_known = || {
            // A leaf that was created for a shorter overlap cannot wait for the current one.
            let patience = expiry(&current.chain)?.duration_since(ca_made) / 2;
            let known = self.now.duration_since(ca_made);
            Ok::<_, CertError>(published && known >= self.lifetimes.overlap.min(patience))
        };
        Ok(match leaf {
            LeafState::Useless => Need::Leaf,
            _ if self.is_old(&ca, self.lifetimes.authority)? => Need::Authority,
            LeafState::Due => Need::Leaf,
            LeafState::OfOlderAuthority if is_known()? => Need::Leaf,
            LeafState::OfOlderAuthority | LeafState::Good => Need::Nothing,
        })
    }

    /// The state of the serving certificate with respect to the first authority.
    ///
    /// # Errors
    /// When it is unreadable.
    fn leaf_state(self, current: &Material, ca: &X509Certificate) -> Result<LeafState, CertError> {
        let der = first(&current.chain)?;
        let leaf = parse(&der)?;
        let signed_by = |ca: &X509Certificate| leaf.verify_signature(Some(ca.public_key())).is_ok();
        let trusted = || {
            CertificateDer::pem_slice_iter(current.ca_bundle.as_bytes())
                .filter_map(Result::ok)
                .any(|der| parse(&der).is_ok_and(|ca| signed_by(&ca)))
        };
        Ok(if !fits(&leaf, &current.key) || validity(&leaf)?.1 <= self.now || !trusted() {
            LeafState::Useless
        } else if !signed_by(ca) {
            LeafState::OfOlderAuthority
        } else if self.is_old(&leaf, self.lifetimes.leaf)? || !covers(&leaf, self.names) {
            LeafState::Due
        } else {
            LeafState::Good
        })
    }

    /// After two thirds of its lifetime, so that a failing renewal can be noticed in the last third; or if its
    /// lifetime is longer than the current setting.
    fn is_old(self, cert: &X509Certificate, wanted: SignedDuration) -> Result<bool, CertError> {
        let (made, end) = life(cert)?;
        let left = end.duration_since(self.now);
        let too_long = left > wanted + SKEW.min(wanted / 10);
        Ok(too_long || self.now.duration_since(made) * 3 >= end.duration_since(made) * 2)
    }

    fn new_authority(self) -> Result<(String, String), CertError> {
        let key = KeyPair::generate()?;
        // A unique name: two authorities with the same name in a bundle confuse chain building.
        let name = format!("haldane-ca-{}", self.now.as_millisecond());
        let mut params = self.params(&name, self.after(self.lifetimes.authority)?);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        Ok((params.self_signed(&key)?.pem(), key.serialize_pem()))
    }

    /// A serving certificate signed by the first authority of `bundle`.
    fn new_leaf(self, bundle: &str, ca_key: &str) -> Result<(String, String), CertError> {
        let ca = first(bundle)?;
        let issuer = Issuer::from_ca_cert_der(&ca, KeyPair::from_pem(ca_key)?)?;
        let end = validity(&parse(&ca)?)?.1.min(self.after(self.lifetimes.leaf)?);
        let mut params = self.params("haldane-webhook", end);
        params.subject_alt_names = CertificateParams::new(self.names)?.subject_alt_names;
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        Ok((params.signed_by(&key, &issuer)?.pem(), key.serialize_pem()))
    }

    fn after(self, life: SignedDuration) -> Result<Timestamp, CertError> {
        self.now.checked_add(life).map_err(|_| CertError::Unreadable("lifetime"))
    }

    fn params(self, common_name: &str, end: Timestamp) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.not_before = SystemTime::from(self.now - SKEW.min(end.duration_since(self.now) / 10)).into();
        params.not_after = SystemTime::from(end).into();
        params
    }
}

/// The next step of a renewal.
enum Need {
    Nothing,
    Leaf,
    Authority,
    All,
}

/// The state of a serving certificate with respect to the authority that signs now.
#[derive(PartialEq)]
enum LeafState {
    Good,
    Due,
    /// Good, but a new authority replaces this one.
    OfOlderAuthority,
    /// No client would accept it.
    Useless,
}

/// When the serving certificate expires.
///
/// # Errors
/// When `chain` does not start with a readable certificate.
pub fn expiry(chain: &str) -> Result<Timestamp, CertError> {
    Ok(validity(&parse(&first(chain)?)?)?.1)
}

/// The DNS names under which the API server may call `service` in `namespace`.
#[must_use]
pub fn service_names(service: &str, namespace: &str) -> Vec<String> {
    let short = format!("{service}.{namespace}");
    vec![service.to_owned(), short.clone(), format!("{short}.svc"), format!("{short}.svc.cluster.local")]
}

fn first(pem: &str) -> Result<CertificateDer<'static>, CertError> {
    CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| CertError::Unreadable("PEM text"))
}

fn parse<'a>(der: &'a CertificateDer) -> Result<X509Certificate<'a>, CertError> {
    x509_parser::parse_x509_certificate(der)
        .map(|(_, cert)| cert)
        .map_err(|_| CertError::Unreadable("certificate"))
}

fn validity(cert: &X509Certificate) -> Result<(Timestamp, Timestamp), CertError> {
    let read = |seconds| Timestamp::from_second(seconds).map_err(|_| CertError::Unreadable("lifetime"));
    Ok((read(cert.validity.not_before.timestamp())?, read(cert.validity.not_after.timestamp())?))
}

/// When a certificate of ours was created, and when it expires: its validity starts before its creation.
fn life(cert: &X509Certificate) -> Result<(Timestamp, Timestamp), CertError> {
    let (start, end) = validity(cert)?;
    Ok((start + SKEW.min(end.duration_since(start) / 11), end))
}

fn fits(cert: &X509Certificate, key: &str) -> bool {
    KeyPair::from_pem(key)
        .is_ok_and(|key| key.public_key_raw() == &*cert.public_key().subject_public_key.data)
}

fn covers(leaf: &X509Certificate, names: &[String]) -> bool {
    let Ok(Some(san)) = leaf.subject_alternative_name() else { return false };
    names.iter().all(|name| san.value.general_names.contains(&GeneralName::DNSName(name)))
}

/// The part of a bundle that is readable and not expired.
fn still_valid(bundle: &str, now: Timestamp) -> String {
    let alive = |pem: &&str| expiry(pem).is_ok_and(|end| end > now);
    bundle
        .split_inclusive(END_LINE)
        .map(str::trim)
        .filter(alive)
        .fold(String::new(), |all, pem| all + pem + "\n")
}

#[cfg(test)]
mod tests;
