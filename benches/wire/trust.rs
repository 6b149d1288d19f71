//! Certificates for the loopback: who signs, who shows, who trusts. Library and kind of key are retake's.

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// The name under which the upstream is known.
pub const HOST: &str = "localhost";

/// Signs for hosts, once for each.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
    key: KeyPair,
    kept: Mutex<HashMap<String, Arc<ServerConfig>>>,
}

impl Authority {
    pub fn new() -> Authority {
        let own = KeyPair::generate().expect("key");
        let mut params = CertificateParams::new(Vec::new()).expect("authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "authority of the benchmark");
        let certificate = params.self_signed(&own).expect("authority").pem();
        let key = KeyPair::generate().expect("key");
        Authority { issuer: Issuer::new(params, own), certificate, key, kept: Mutex::default() }
    }

    /// Writes its certificate for those who are to trust it.
    pub fn publish(&self, file: &Path) {
        std::fs::write(file, &self.certificate).expect("certificate");
    }

    pub fn server(&self, host: &str) -> Arc<ServerConfig> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.entry(host.to_string()).or_insert_with(|| self.sign(host)).clone()
    }

    fn sign(&self, host: &str) -> Arc<ServerConfig> {
        let mut params = CertificateParams::new(vec![host.to_string()]).expect("certificate");
        params.distinguished_name.push(DnType::CommonName, host);
        let certificate = params.signed_by(&self.key, &self.issuer).expect("certificate");
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.serialize_der()));
        let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .expect("certificate");
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Arc::new(config)
    }
}

/// A client that trusts what is in a file. `resumes`: sessions are taken up again.
pub fn client(file: &Path, resumes: bool) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    let found = CertificateDer::pem_file_iter(file).expect("certificates").flatten();
    roots.add_parsable_certificates(found);
    let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    if !resumes {
        config.resumption = rustls::client::Resumption::disabled();
    }
    config
}
