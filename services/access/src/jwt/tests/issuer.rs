//! Who signs tokens.

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::encoding::{Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{EncodingKey, Header};
use serde_json::{Value, json};

use crate::jwt::Algorithm;

/// An issuer with one key.
pub(super) struct Issuer {
    pub(super) algorithm: Algorithm,
    pub(super) kid: &'static str,
    /// The public key as PEM, or the secret.
    pub(super) public: String,
    /// The private key as PEM, or the secret.
    pub(super) private: String,
    key: EncodingKey,
}

impl Issuer {
    pub(super) fn new(algorithm: Algorithm, kid: &'static str) -> Self {
        let (private, public, key) = match algorithm {
            Algorithm::Hs256 => {
                let mut secret = [0; 24];
                getrandom::fill(&mut secret).unwrap();
                let secret = STANDARD.encode(secret);
                let key = EncodingKey::from_secret(secret.as_bytes());
                (secret.clone(), secret, key)
            }
            Algorithm::Rs256 => {
                let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
                let private: Pkcs8V1Der<'_> = pair.as_der().unwrap();
                let public: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
                let private = pem("PRIVATE KEY", private.as_ref());
                let key = EncodingKey::from_rsa_pem(private.as_bytes()).unwrap();
                (private, pem("PUBLIC KEY", public.as_ref()), key)
            }
            Algorithm::Es256 => {
                let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
                let private = pair.to_pkcs8v1().unwrap();
                let public: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
                let private = pem("PRIVATE KEY", private.as_ref());
                let key = EncodingKey::from_ec_pem(private.as_bytes()).unwrap();
                (private, pem("PUBLIC KEY", public.as_ref()), key)
            }
        };
        Self {
            algorithm,
            kid,
            public,
            private,
            key,
        }
    }

    /// A token that names its key.
    pub(super) fn token(&self, claims: &Value) -> String {
        self.sign(Some(self.kid), claims)
    }

    /// A token that names this key, or none.
    pub(super) fn sign(&self, kid: Option<&str>, claims: &Value) -> String {
        let mut header = Header::new(self.algorithm.library());
        header.kid = kid.map(str::to_owned);
        jsonwebtoken::encode(&header, claims, &self.key).unwrap()
    }

    /// A token with this header, whatever it says.
    pub(super) fn sign_header(&self, header: &Value, claims: &Value) -> String {
        let message = format!("{}.{}", encoded(header), encoded(claims));
        let signature =
            jsonwebtoken::crypto::sign(message.as_bytes(), &self.key, self.algorithm.library()).unwrap();
        format!("{message}.{signature}")
    }

    /// Its public key as a JWK; of HS256, the secret.
    pub(super) fn jwk(&self) -> Value {
        let mut jwk = match self.algorithm {
            Algorithm::Hs256 => json!({"kty": "oct", "k": URL_SAFE_NO_PAD.encode(&self.public)}),
            Algorithm::Rs256 | Algorithm::Es256 => {
                serde_json::to_value(Jwk::from_encoding_key(&self.key, self.algorithm.library()).unwrap())
                    .unwrap()
            }
        };
        jwk["kid"] = self.kid.into();
        jwk["alg"] = self.algorithm.word().into();
        jwk["use"] = "sig".into();
        jwk
    }
}

/// The JWK set of these.
pub(super) fn jwks(issuers: &[&Issuer]) -> Value {
    json!({"keys": issuers.iter().map(|issuer| issuer.jwk()).collect::<Vec<_>>()})
}

pub(super) fn encoded(json: &Value) -> String {
    URL_SAFE_NO_PAD.encode(json.to_string())
}

pub(super) fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> = text
        .as_bytes()
        .chunks(64)
        .map(|line| std::str::from_utf8(line).unwrap())
        .collect();
    format!(
        "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
        lines.join("\n")
    )
}
