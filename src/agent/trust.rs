//! The certificate of a run's authority, in files that clients read: alone, and together with those that the system
//! trusts, for clients that a file given to them makes forget the system's.

mod jks;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde::{Deserialize, Serialize};
use std::fmt::Write;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Variables that name a file with every certificate that is trusted.
pub(super) const WHOLE: &[&str] = &[
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "AWS_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "CARGO_HTTP_CAINFO",
    "PIP_CERT",
    "DENO_CERT",
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
];
/// The variable that names a file with more certificates than those that the client knows.
pub(super) const MORE: &str = "NODE_EXTRA_CA_CERTS";

/// Files that are removed when this is dropped.
pub struct Trust {
    _directory: tempfile::TempDir,
    files: TrustFiles,
}

/// Where the certificates are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrustFiles {
    /// The authority of the run, and what the caller had in `NODE_EXTRA_CA_CERTS`.
    pub own: PathBuf,
    /// The same and what the system trusts.
    pub whole: PathBuf,
    /// That for Java, which reads no PEM.
    pub java: PathBuf,
}

impl Trust {
    /// Writes a certificate (PEM) into a directory that nobody else reads.
    ///
    /// # Errors
    /// When there is no place for temporary files.
    pub fn in_files(certificate: &str) -> io::Result<Trust> {
        let directory = tempfile::Builder::new().prefix("retake-trust-").tempdir()?;
        let file = |name: &str| directory.path().join(name);
        let files =
            TrustFiles { own: file("authority.pem"), whole: file("trusted.pem"), java: file("trusted.jks") };
        let more = std::env::var_os(MORE).and_then(|path| fs::read_to_string(Path::new(&path)).ok());
        let own = format!("{}\n{certificate}", more.unwrap_or_default());
        let system = rustls_native_certs::load_native_certs().certs;
        let mut whole = String::new();
        system.iter().for_each(|der| whole.push_str(&pem(der)));
        fs::write(&files.whole, format!("{whole}{own}"))?;
        // What is no certificate in the caller's own file is nothing to Java.
        let added: Vec<CertificateDer<'_>> =
            CertificateDer::pem_slice_iter(own.as_bytes()).filter_map(Result::ok).collect();
        let all = system.iter().chain(&added).map(AsRef::as_ref);
        fs::write(&files.java, jks::store(all))?;
        fs::write(&files.own, own)?;
        Ok(Trust { _directory: directory, files })
    }

    /// Where they are.
    pub fn files(&self) -> &TrustFiles {
        &self.files
    }
}

fn pem(der: &[u8]) -> String {
    let mut text = String::from("-----BEGIN CERTIFICATE-----\n");
    for line in STANDARD.encode(der).as_bytes().chunks(64) {
        let _ = writeln!(text, "{}", String::from_utf8_lossy(line));
    }
    text.push_str("-----END CERTIFICATE-----\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_hold_the_certificate_and_go_with_their_owner() {
        let trust =
            Trust::in_files("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
        let files = trust.files().clone();
        for path in [&files.own, &files.whole] {
            assert!(fs::read_to_string(path).unwrap().contains("AAAA"), "{path:?}");
        }
        let store = fs::read(&files.java).unwrap();
        assert!(
            memchr::memmem::find(&store, b"\0\0\0\x03\0\0\0").is_some(),
            "the three bytes of the certificate"
        );
        drop(trust);
        assert!(!files.own.exists() && !files.whole.exists() && !files.java.exists());
    }

    #[test]
    fn what_is_written_as_pem_reads_as_it_was() {
        let der: Vec<u8> = (0..=255).collect();
        assert_eq!(CertificateDer::from_pem_slice(pem(&der).as_bytes()).unwrap().as_ref(), der);
    }
}
