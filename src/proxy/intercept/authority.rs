//! The certificate authority of one run. Its key never leaves the process: clients that are given its certificate trust
//! this proxy for as long as the run lasts, and nobody else.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ServerSessionMemoryCache, StoresServerSessions};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Certificates that are kept: a run asks the same few hosts again and again.
const KEPT: usize = 1024;
/// What HTTP/2 is called in a handshake.
pub(super) const HTTP_2: &[u8] = b"h2";
/// Sessions that are kept: clients that take one up again do so within a few connections.
const SESSIONS: usize = 1024;
/// Days for which a certificate holds. Some clients take none that holds for longer than about two years.
const DAYS: i64 = 365;

/// Signs what intercepted hosts show.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
    /// One key for all hosts: making one for each would cost more than signing.
    key: KeyPair,
    kept: Mutex<HashMap<String, Arc<ServerConfig>>>,
    /// Sessions of all hosts, to be taken up again: room for those of each would be 30 KB a host.
    sessions: Arc<dyn StoresServerSessions>,
}

impl Authority {
    /// A new one.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn new() -> Result<Authority, String> {
        let failed = |error: rcgen::Error| format!("no certificate authority could be made: {error}");
        let own = KeyPair::generate().map_err(failed)?;
        let mut params = CertificateParams::new(Vec::new()).map_err(failed)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, "retake, for this run alone");
        holds_for_a_while(&mut params);
        let certificate = params.self_signed(&own).map_err(failed)?.pem();
        let key = KeyPair::generate().map_err(failed)?;
        let (issuer, sessions) = (Issuer::new(params, own), ServerSessionMemoryCache::new(SESSIONS));
        Ok(Authority { issuer, certificate, key, kept: Mutex::default(), sessions })
    }

    /// Its certificate in PEM form, which clients are to trust.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// What a TLS server needs to pass for a host (a name or an address).
    pub(super) fn server(&self, host: &str) -> Result<Arc<ServerConfig>, String> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(config) = kept.get(host) {
            return Ok(config.clone());
        }
        if kept.len() >= KEPT {
            kept.clear();
        }
        let config = self.sign(host).map_err(|why| format!("no certificate for {host}: {why}"))?;
        kept.insert(host.to_string(), config.clone());
        Ok(config)
    }

    fn sign(&self, host: &str) -> Result<Arc<ServerConfig>, String> {
        let mut params = CertificateParams::new(vec![host.to_string()]).map_err(|e| e.to_string())?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        // A common name has room for 64 characters; clients go by the alternative name.
        params.distinguished_name.push(DnType::CommonName, host.chars().take(64).collect::<String>());
        holds_for_a_while(&mut params);
        let certificate = params.signed_by(&self.key, &self.issuer).map_err(|e| e.to_string())?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|builder| {
                builder.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key)
            })
            .map_err(|e| e.to_string())?;
        // The first that the client offers too: HTTP/2 is for those that speak nothing else.
        config.alpn_protocols = vec![b"http/1.1".to_vec(), HTTP_2.to_vec()];
        config.session_storage = self.sessions.clone();
        Ok(Arc::new(config))
    }
}

/// From yesterday on, for clocks that are behind.
fn holds_for_a_while(params: &mut CertificateParams) {
    let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    let day = |days: i64| {
        let date = today.saturating_add(jiff::Span::new().days(days));
        date_time_ymd(i32::from(date.year()), date.month() as u8, date.day() as u8)
    };
    params.not_before = day(-1);
    params.not_after = day(DAYS);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_gets_one_certificate_however_often_it_is_asked() {
        let authority = Authority::new().unwrap();
        let first = authority.server("api.example.test").unwrap();
        assert!(Arc::ptr_eq(&first, &authority.server("api.example.test").unwrap()));
        assert!(!Arc::ptr_eq(&first, &authority.server("127.0.0.1").unwrap()));
        assert!(authority.certificate().starts_with("-----BEGIN CERTIFICATE-----"));
    }

    #[test]
    fn a_host_that_is_no_name_is_an_error_and_a_long_one_is_none() {
        let authority = Authority::new().unwrap();
        assert!(authority.server("nö").is_err());
        assert!(authority.server(&format!("{}.test", "a".repeat(60))).is_ok());
    }
}
