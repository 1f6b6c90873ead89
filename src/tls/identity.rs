//! A certificate and its key, read from files and found to fit.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::{Error as PemError, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, ServerConfig};

/// What a server shows who it is with: a certificate and its key.
///
/// Cheap to clone. Sessions are resumed only with the identity that they began
/// with, so that a client learns of a new one.
#[derive(Clone)]
pub struct Identity(Arc<ServerConfig>);

/// Why there is no [`Identity`]. Each is one line that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The key is that of another certificate.
    #[error("the key in {key} does not fit the certificate in {certificate}; name two that do")]
    Mismatch {
        /// The file with the certificate.
        certificate: PathBuf,
        /// The file with the key.
        key: PathBuf,
    },
    /// There is none in the file.
    #[error("there is no certificate in {0}; it should begin with -----BEGIN CERTIFICATE-----")]
    NoCertificate(PathBuf),
    /// There is none in the file.
    #[error("there is no private key in {0}; it should begin with -----BEGIN PRIVATE KEY-----")]
    NoKey(PathBuf),
    /// The file begins as PEM and goes on otherwise.
    #[error("{path} is damaged: {error}; write it anew")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What is wrong in it.
        error: PemError,
    },
    /// The file can not be read.
    #[error("can not read {path}: {error}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        error: io::Error,
    },
    /// They are well written, and of no use.
    #[error("can not use the certificate in {certificate} with the key in {key}: {error}")]
    Unusable {
        /// The file with the certificate.
        certificate: PathBuf,
        /// The file with the key.
        key: PathBuf,
        /// What is wrong with them.
        error: rustls::Error,
    },
}

impl Identity {
    /// Reads two PEM files: the certificate with those that vouch for it, and its key.
    ///
    /// # Errors
    ///
    /// [`TlsError`], if a file can not be read or has something else in it, or
    /// if the two do not fit.
    pub fn read(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let (chain, secret) = (read_chain(certificate)?, read_key(key)?);
        // Named, since a program may have others, which must not matter here.
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("the provider has ciphers for every version");
        let config = builder.with_no_client_auth().with_single_cert(chain, secret);
        let (certificate, key) = (certificate.to_owned(), key.to_owned());
        let mut config = config.map_err(|error| {
            if matches!(error, rustls::Error::InconsistentKeys(_)) {
                TlsError::Mismatch { certificate, key }
            } else {
                TlsError::Unusable { certificate, key, error }
            }
        })?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(Arc::new(config)))
    }

    /// What makes handshakes with it.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.0))
    }
}

fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = read(path)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let chain = chain.map_err(|error| TlsError::Syntax { path: path.to_owned(), error })?;
    if chain.is_empty() {
        return Err(TlsError::NoCertificate(path.to_owned()));
    }
    Ok(chain)
}

fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let text = read(path)?;
    PrivateKeyDer::from_pem_slice(&text).map_err(|error| {
        let path = path.to_owned();
        if matches!(error, PemError::NoItemsFound) {
            TlsError::NoKey(path)
        } else {
            TlsError::Syntax { path, error }
        }
    })
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|error| TlsError::Unreadable { path: path.to_owned(), error })
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the key.
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}
