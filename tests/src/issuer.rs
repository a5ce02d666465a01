//! An identity provider: signs JWTs with keys of its own, and publishes them on loopback.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use access::jwt::Algorithm;
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{EncodingKey, Header};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// A key that signs.
pub struct Issuer {
    /// What it signs with.
    pub algorithm: Algorithm,
    /// The public key as PEM; of HS256, the secret.
    pub public: String,
    kid: &'static str,
    key: EncodingKey,
}

impl Issuer {
    /// A new key of this name.
    #[must_use]
    pub fn new(algorithm: Algorithm, kid: &'static str) -> Self {
        let (public, key) = match algorithm {
            Algorithm::Hs256 => {
                let secret = STANDARD.encode(rand::random::<[u8; 32]>());
                let key = EncodingKey::from_secret(secret.as_bytes());
                (secret, key)
            }
            Algorithm::Rs256 => {
                let pair = RsaKeyPair::generate(KeySize::Rsa2048).expect("a key");
                let private: Pkcs8V1Der<'_> = pair.as_der().expect("DER");
                let private = pem("PRIVATE KEY", private.as_ref());
                let key = EncodingKey::from_rsa_pem(private.as_bytes()).expect("a key");
                (public_pem(pair.public_key()), key)
            }
            Algorithm::Es256 => {
                let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key");
                let private = pem("PRIVATE KEY", pair.to_pkcs8v1().expect("DER").as_ref());
                let key = EncodingKey::from_ec_pem(private.as_bytes()).expect("a key");
                (public_pem(pair.public_key()), key)
            }
        };
        Self {
            algorithm,
            public,
            kid,
            key,
        }
    }

    /// A token with these claims, that names its key.
    #[must_use]
    pub fn sign(&self, claims: &Value) -> String {
        let mut header = Header::new(self.library());
        header.kid = Some(self.kid.to_owned());
        jsonwebtoken::encode(&header, claims, &self.key).expect("a token")
    }

    /// A token of `tenant` with a role of the realm, that ends in so many seconds, perhaps ago.
    #[must_use]
    pub fn token(&self, tenant: &str, role: &str, lasts_s: i64) -> String {
        self.sign(&claims(tenant, role, lasts_s))
    }

    /// Its public key as a JWK; of HS256, the secret.
    #[must_use]
    pub fn jwk(&self) -> Value {
        let mut jwk = match self.algorithm {
            Algorithm::Hs256 => json!({"kty": "oct", "k": URL_SAFE_NO_PAD.encode(&self.public)}),
            Algorithm::Rs256 | Algorithm::Es256 => {
                let jwk = Jwk::from_encoding_key(&self.key, self.library()).expect("a JWK");
                serde_json::to_value(jwk).expect("JSON")
            }
        };
        jwk["kid"] = self.kid.into();
        jwk["use"] = "sig".into();
        jwk
    }

    fn library(&self) -> jsonwebtoken::Algorithm {
        self.algorithm.word().parse().expect("an algorithm")
    }
}

/// Claims as an identity provider writes them.
#[must_use]
pub fn claims(tenant: &str, role: &str, lasts_s: i64) -> Value {
    let now_s = jiff::Timestamp::now().as_second();
    json!({
        "iss": "https://id.example.com/realms/fleet",
        "aud": ["account", "wakeline"],
        "sub": "6f1c9a52-somebody",
        "iat": now_s.min(now_s + lasts_s),
        "exp": now_s + lasts_s,
        "organization": {tenant: {"id": "1"}},
        "realm_access": {"roles": ["offline_access", role]},
    })
}

/// The JWK set of these keys.
#[must_use]
pub fn jwks(issuers: &[&Issuer]) -> String {
    let keys: Vec<Value> = issuers.iter().map(|issuer| issuer.jwk()).collect();
    json!({"keys": keys}).to_string()
}

fn public_pem(key: &impl AsDer<PublicKeyX509Der<'static>>) -> String {
    pem("PUBLIC KEY", key.as_der().expect("DER").as_ref())
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines = text.as_bytes().chunks(64).map(String::from_utf8_lossy);
    let lines: Vec<_> = lines.collect();
    format!(
        "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
        lines.join("\n")
    )
}

/// A JWK set served on loopback.
pub struct Published {
    /// Where.
    pub url: String,
    shared: Arc<Shared>,
    _server: JoinSet<()>,
}

#[derive(Default)]
struct Shared {
    /// `None`: the provider is broken.
    body: Mutex<Option<String>>,
    asked: AtomicUsize,
}

impl Published {
    /// Serves `body` until it is dropped.
    pub async fn start(body: String) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let url = format!("http://{}/certs", listener.local_addr().expect("an address"));
        let shared = Arc::new(Shared::default());
        *shared.body.lock() = Some(body);
        let mut server = JoinSet::new();
        let served = Arc::clone(&shared);
        server.spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.expect("a connection");
                answer(socket, &served).await;
            }
        });
        Self {
            url,
            shared,
            _server: server,
        }
    }

    /// From now on, `body`; `None`: an error.
    pub fn publish(&self, body: Option<String>) {
        *self.shared.body.lock() = body;
    }

    /// How often it was asked.
    #[must_use]
    pub fn asked(&self) -> usize {
        self.shared.asked.load(Ordering::SeqCst)
    }
}

async fn answer(mut socket: TcpStream, shared: &Shared) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match socket.read_buf(&mut head).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
    shared.asked.fetch_add(1, Ordering::SeqCst);
    let (status, body) = match shared.body.lock().clone() {
        Some(body) => ("200 OK", body),
        None => ("502 Bad Gateway", String::new()),
    };
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    // Who asks may be gone.
    drop(socket.write_all(answer.as_bytes()).await);
}
