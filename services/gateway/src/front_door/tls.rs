//! TLS of the front door.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The chain cannot be read.
    #[error("the certificate chain cannot be read: {reason}; it must be PEM, the server's certificate first")]
    Certificate {
        /// What is wrong.
        reason: String,
    },
    /// The key cannot be read.
    #[error(
        "the private key cannot be read: {reason}; it must be PEM (PKCS#8, PKCS#1 or SEC1), not encrypted"
    )]
    Key {
        /// What is wrong.
        reason: String,
    },
    /// They do not belong together, or are of a kind that is not supported.
    #[error("the certificate and the key cannot be used: {0}")]
    Unusable(#[from] rustls::Error),
}

/// TLS with this certificate chain and key, both PEM; HTTP/2 and HTTP/1.1.
///
/// # Errors
/// What is wrong with them.
pub fn server_config(certificates_pem: &[u8], key_pem: &[u8]) -> Result<Arc<ServerConfig>, TlsError> {
    let chain = CertificateDer::pem_slice_iter(certificates_pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| TlsError::Certificate {
            reason: error.to_string(),
        })?;
    if chain.is_empty() {
        return Err(TlsError::Certificate {
            reason: "there is none in it".to_owned(),
        });
    }
    let key = PrivateKeyDer::from_pem_slice(key_pem).map_err(|error| TlsError::Key {
        reason: error.to_string(),
    })?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named() {
        let error = server_config(b"", b"").unwrap_err().to_string();
        assert!(
            error.contains("certificate chain") && error.contains("there is none"),
            "{error}"
        );
    }
}
