//! JWTs of an outside issuer: the section `[jwt]` of the file.

use std::path::PathBuf;
use std::time::Duration;

use access::jwt::{Algorithm, Form, KeySet};

/// Settings of JWTs. Without a source of keys, none is accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Jwt {
    /// A public key (PEM), or the secret of HS256.
    pub key_file: Option<PathBuf>,
    /// A JWK set.
    pub jwks_file: Option<PathBuf>,
    /// Where the issuer publishes its JWK set.
    pub jwks_url: Option<String>,
    /// The one algorithm that counts.
    pub algorithm: Option<Algorithm>,
    /// What `iss` must be.
    pub issuer: Option<String>,
    /// What must be in `aud`, one of them.
    pub audience: Vec<String>,
    /// How far `nbf` and `iat` may lie in the future.
    pub leeway: Duration,
    /// How long after `exp` a token is still taken.
    pub expiry_leeway: Duration,
    /// Keys are read again this often.
    pub refresh_every: Duration,
    /// The least wait between readings that tokens ask for.
    pub refresh_rest: Duration,
    /// How long a request with an unknown key waits.
    pub refresh_wait: Duration,
    /// How long the issuer may take to give its keys.
    pub fetch_timeout: Duration,
    /// What it may give, bytes.
    pub keys_bytes_max: usize,
    /// Keys in a set.
    pub keys_max: usize,
}

impl Default for Jwt {
    fn default() -> Self {
        let access = access::jwt::Settings::default();
        Self {
            key_file: None,
            jwks_file: None,
            jwks_url: None,
            algorithm: None,
            issuer: None,
            audience: Vec::new(),
            leeway: access.leeway,
            expiry_leeway: access.expiry_leeway,
            refresh_every: access.refresh_every,
            refresh_rest: access.refresh_rest,
            refresh_wait: access.refresh_wait,
            fetch_timeout: Duration::from_secs(5),
            keys_bytes_max: 256 << 10,
            keys_max: access.keys_max,
        }
    }
}

/// Where keys come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A file.
    File(PathBuf),
    /// A URL.
    Url(String),
}

impl Jwt {
    /// Where keys come from, and in which form; `None` when no JWT is accepted.
    #[must_use]
    pub fn source(&self) -> Option<(Source, Form)> {
        let file = |path: &PathBuf| Source::File(path.clone());
        let key = self.key_file.as_ref().map(|path| (file(path), Form::Key));
        let set = || self.jwks_file.as_ref().map(|path| (file(path), Form::Set));
        let url = || Some((Source::Url(self.jwks_url.clone()?), Form::Set));
        key.or_else(set).or_else(url)
    }

    /// What the part that judges JWTs is made with.
    #[must_use]
    pub fn settings(&self, form: Form) -> access::jwt::Settings {
        access::jwt::Settings {
            form,
            algorithm: self.algorithm,
            issuer: self.issuer.as_deref().map(Into::into),
            audience: self.audience.iter().map(|name| name.as_str().into()).collect(),
            leeway: self.leeway,
            expiry_leeway: self.expiry_leeway,
            refresh_every: self.refresh_every,
            refresh_rest: self.refresh_rest,
            refresh_wait: self.refresh_wait,
            keys_max: self.keys_max,
        }
    }

    /// Mistakes that show when the settings are seen together, with the files they name.
    #[must_use]
    pub fn mistakes(&self) -> Vec<(&'static str, String)> {
        let mut mistakes = Vec::new();
        let sources = [
            ("jwt-key-file", self.key_file.is_some()),
            ("jwt-jwks-file", self.jwks_file.is_some()),
            ("jwt-jwks-url", self.jwks_url.is_some()),
        ];
        let given: Vec<&str> = sources
            .iter()
            .filter(|(_, is)| *is)
            .map(|(name, _)| *name)
            .collect();
        if given.len() > 1 {
            mistakes.push((
                "jwt-key-file, jwt-jwks-file, jwt-jwks-url",
                format!("keys come from one place: keep one of {}", given.join(", ")),
            ));
        }
        let says_more = self.algorithm.is_some() || self.issuer.is_some() || !self.audience.is_empty();
        if given.is_empty() && says_more {
            mistakes.push((
                "jwt-algorithm, jwt-issuer, jwt-audience",
                "mean nothing without keys: add jwt-key-file, jwt-jwks-file or jwt-jwks-url".to_owned(),
            ));
        }
        for (setting, path, form) in [
            ("jwt-key-file", &self.key_file, Form::Key),
            ("jwt-jwks-file", &self.jwks_file, Form::Set),
        ] {
            if let Some(problem) = path.as_ref().and_then(|path| self.unusable(path, form)) {
                mistakes.push((setting, problem));
            }
        }
        if self.refresh_every.is_zero() || self.refresh_rest.is_zero() {
            mistakes.push((
                "jwt-refresh-every, jwt-refresh-rest",
                "must not be 0: keys would be read without a pause".to_owned(),
            ));
        }
        mistakes
    }

    /// Why the keys in a file cannot be used, if so.
    fn unusable(&self, path: &PathBuf, form: Form) -> Option<String> {
        let shown = path.display();
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) => return Some(format!("{shown} cannot be read: {error}")),
        };
        if bytes.len() > self.keys_bytes_max {
            return Some(format!("{shown} has more than {} bytes", self.keys_bytes_max));
        }
        let keys = KeySet::read(form, self.algorithm, &bytes, self.keys_max);
        keys.err().map(|error| format!("{shown} {error}"))
    }
}
