//! Where the keys of JWTs come from: a file, or the URL of an identity provider.

use std::path::{Path, PathBuf};
use std::time::Duration;

use access::jwt::{FetchError, KeySource};
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use reqwest::redirect::Policy;
use tokio::io::AsyncReadExt as _;

use crate::config::Jwt;
use crate::config::jwt::Source;

/// The source that the settings name.
///
/// # Errors
/// When no HTTP client can be made.
pub fn source(jwt: &Jwt, source: Source) -> Result<Box<dyn KeySource>, FetchError> {
    Ok(match source {
        Source::File(path) => Box::new(FileKeys::new(&path, jwt.keys_bytes_max)),
        Source::Url(url) => Box::new(UrlKeys::new(url, jwt.fetch_timeout, jwt.keys_bytes_max)?),
    })
}

/// Keys in a file, which is read again whenever keys are.
struct FileKeys {
    path: PathBuf,
    name: String,
    bytes_max: usize,
}

impl FileKeys {
    fn new(path: &Path, bytes_max: usize) -> Self {
        Self {
            name: path.display().to_string(),
            path: path.to_owned(),
            bytes_max,
        }
    }
}

#[async_trait]
impl KeySource for FileKeys {
    async fn fetch(&self) -> Result<Bytes, FetchError> {
        let failed = |error: std::io::Error| FetchError {
            reason: error.to_string(),
        };
        let file = tokio::fs::File::open(&self.path).await.map_err(failed)?;
        let mut bytes = Vec::new();
        let most = u64::try_from(self.bytes_max).unwrap_or(u64::MAX);
        file.take(most.saturating_add(1))
            .read_to_end(&mut bytes)
            .await
            .map_err(failed)?;
        limited(bytes.len(), self.bytes_max)?;
        Ok(bytes.into())
    }

    fn name(&self) -> &str {
        &self.name
    }
}

/// Keys that an identity provider publishes.
struct UrlKeys {
    url: String,
    /// Without a query, where a secret may stand, and without a user.
    name: String,
    http: reqwest::Client,
    bytes_max: usize,
}

impl UrlKeys {
    fn new(url: String, timeout: Duration, bytes_max: usize) -> Result<Self, FetchError> {
        // Whoever is first in the process; they are all the same.
        drop(rustls::crypto::ring::default_provider().install_default());
        let http = reqwest::Client::builder()
            .timeout(timeout)
            // Keys from somewhere else than the operator said would be somebody else's.
            .redirect(Policy::none())
            .build()
            .map_err(|error| failed(&error))?;
        let name = match url.parse::<reqwest::Url>() {
            Ok(url) => format!(
                "{}://{}{}",
                url.scheme(),
                url.host_str().unwrap_or_default(),
                url.path()
            ),
            Err(_) => String::new(),
        };
        Ok(Self {
            url,
            name,
            http,
            bytes_max,
        })
    }
}

#[async_trait]
impl KeySource for UrlKeys {
    async fn fetch(&self) -> Result<Bytes, FetchError> {
        let request = self.http.get(&self.url).header("accept", "application/json");
        let response = request.send().await.map_err(|error| failed(&error))?;
        let status = response.status();
        if !status.is_success() {
            return Err(FetchError {
                reason: format!("the answer is {status}"),
            });
        }
        let mut pieces = response.bytes_stream();
        let mut bytes = BytesMut::new();
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(|error| failed(&error))?;
            limited(bytes.len().saturating_add(piece.len()), self.bytes_max)?;
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes.freeze())
    }

    fn name(&self) -> &str {
        &self.name
    }
}

fn limited(length: usize, bytes_max: usize) -> Result<(), FetchError> {
    if length <= bytes_max {
        return Ok(());
    }
    Err(FetchError {
        reason: format!("there are more than {bytes_max} bytes"),
    })
}

/// What went wrong, down to its cause; the URL is left out, since a secret may stand in it.
fn failed(error: &reqwest::Error) -> FetchError {
    let mut reason = if error.is_timeout() {
        "no answer in time".to_owned()
    } else if error.is_connect() {
        "no connection".to_owned()
    } else {
        "no answer".to_owned()
    };
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        reason = format!("{reason}: {error}");
        cause = error.source();
    }
    FetchError { reason }
}
