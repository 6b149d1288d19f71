//! A certificate for a host, and the authority that stands behind it.

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

pub struct Certificate {
    /// The authority's own certificate, as PEM: what clients are to trust.
    pub authority: String,
    leaf: rcgen::Certificate,
    key: KeyPair,
}

impl Certificate {
    pub fn of(host: &str) -> Certificate {
        let authority = KeyPair::generate().expect("key");
        let mut own = CertificateParams::new(Vec::new()).expect("authority");
        own.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        own.distinguished_name.push(DnType::CommonName, "authority of the test");
        let trusted = own.self_signed(&authority).expect("authority").pem();
        let key = KeyPair::generate().expect("key");
        let mut leaf = CertificateParams::new(vec![host.to_string()]).expect("certificate");
        leaf.distinguished_name.push(DnType::CommonName, host);
        let leaf = leaf.signed_by(&key, &Issuer::new(own, authority)).expect("certificate");
        Certificate { authority: trusted, leaf, key }
    }

    pub fn chain(&self) -> Vec<CertificateDer<'static>> {
        vec![self.leaf.der().clone()]
    }

    pub fn key(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.key.serialize_der()).into()
    }

    /// Certificate and key as PEM.
    pub fn pem(&self) -> (String, String) {
        (self.leaf.pem(), self.key.serialize_pem())
    }
}
