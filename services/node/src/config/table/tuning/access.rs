//! Who gets in: JWTs, sessions, tokens, failed attempts.

use access::jwt::Algorithm;

use super::super::Setting;
use super::{count, size, time};
use crate::config::parse;

/// A setting without anything special.
const BASE: Setting = Setting {
    name: "",
    metavar: "",
    default: "",
    help: "",
    secret: false,
    apply: |_, _| Ok(()),
};

pub(super) const SETTINGS: &[Setting] = &[
    count!(
        "failed-authentications-per-minute",
        "20",
        "Failed authentications of one address in a minute before it is told 429; a good credential still gets in",
        failed_authentications_per_minute
    ),
    count!(
        "failed-addresses-max",
        "65536",
        "Addresses whose failed authentications are counted at once; beyond that the oldest are forgotten",
        failed_addresses_max
    ),
    time!(
        "session-lifetime",
        "12h",
        "A session ends after this, or with the credential that it was made with",
        administration.session_lifetime
    ),
    count!(
        "token-devices-max",
        "2000",
        "Devices that a token may name",
        administration.devices_max
    ),
    count!(
        "token-grants-max",
        "100",
        "Permissions, and organizations, that a token may have",
        administration.grants_max
    ),
    count!(
        "tokens-per-tenant-max",
        "100000",
        "Tokens of a tenant: every node holds them",
        administration.tokens_per_tenant_max
    ),
    count!(
        "token-devices-per-tenant-max",
        "200000",
        "Devices that all tokens of a tenant name",
        administration.token_devices_per_tenant_max
    ),
    count!(
        "devices-revoked-per-tenant-max",
        "200000",
        "Devices of a tenant whose tokens were taken back, which is remembered for good",
        administration.devices_revoked_per_tenant_max
    ),
    count!(
        "sessions-per-minute",
        "60",
        "Sessions that one credential may make in a minute, in this process",
        administration.sessions_per_minute
    ),
    count!(
        "sessions-per-tenant-minute",
        "1200",
        "Sessions that all credentials of a tenant may make in a minute, in this process",
        administration.sessions_per_tenant_minute
    ),
    Setting {
        name: "jwt-key-file",
        metavar: "FILE",
        help: "Accept JWTs signed by this key: a public one as PEM, or with jwt-algorithm HS256 a secret of at \
               least 32 bytes. In the file, this and the following stand under [jwt] without `jwt_`",
        apply: |c, v| {
            c.jwt.key_file = Some(v.into());
            Ok(())
        },
        ..BASE
    },
    Setting {
        name: "jwt-jwks-file",
        metavar: "FILE",
        help: "Accept JWTs signed by a key of this JWK set",
        apply: |c, v| {
            c.jwt.jwks_file = Some(v.into());
            Ok(())
        },
        ..BASE
    },
    Setting {
        name: "jwt-jwks-url",
        metavar: "URL",
        help: "Accept JWTs signed by a key of the JWK set at this URL",
        apply: |c, v| {
            let good = v
                .parse::<http::Uri>()
                .is_ok_and(|uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some());
            c.jwt.jwks_url = Some(v.to_owned());
            if good {
                Ok(())
            } else {
                Err("is not a URL, such as https://id.example.com/certs".into())
            }
        },
        ..BASE
    },
    Setting {
        name: "jwt-algorithm",
        metavar: "NAME",
        help: "The one algorithm that counts: HS256, RS256 or ES256. Without it, that of each key; HS256 with \
               jwt-key-file must be said",
        apply: |c, v| {
            let algorithm = Algorithm::from_word(v);
            c.jwt.algorithm = algorithm;
            let words = Algorithm::ALL.map(Algorithm::word).join(", ");
            algorithm.map(drop).ok_or_else(|| format!("is none of {words}"))
        },
        ..BASE
    },
    Setting {
        name: "jwt-issuer",
        metavar: "TEXT",
        help: "What the claim iss must be",
        apply: |c, v| {
            c.jwt.issuer = Some(v.to_owned());
            Ok(())
        },
        ..BASE
    },
    Setting {
        name: "jwt-audience",
        metavar: "NAMES",
        help: "What the claim aud must be, or have among it: one of these",
        apply: |c, v| {
            c.jwt.audience = parse::list(v);
            Ok(())
        },
        ..BASE
    },
    time!(
        "jwt-leeway",
        "30s",
        "How far the claims nbf and iat may lie in the future: clocks differ",
        jwt.leeway
    ),
    time!(
        "jwt-expiry-leeway",
        "0",
        "How long after its exp a JWT is still taken, and its streams go on",
        jwt.expiry_leeway
    ),
    time!(
        "jwt-refresh-every",
        "10m",
        "Keys of JWTs are read again this often; if that fails, those that there are stay",
        jwt.refresh_every
    ),
    time!(
        "jwt-refresh-rest",
        "10s",
        "After keys were read because a JWT named an unknown one, or could not be read: the least wait until the next time",
        jwt.refresh_rest
    ),
    time!(
        "jwt-refresh-wait",
        "3s",
        "How long a request with a JWT of an unknown key waits for the keys to be read",
        jwt.refresh_wait
    ),
    time!(
        "jwt-fetch-timeout",
        "5s",
        "How long the URL of keys may take to answer",
        jwt.fetch_timeout
    ),
    size!(
        "jwt-keys-bytes-max",
        "256KiB",
        "What a file or URL of keys may hold",
        jwt.keys_bytes_max
    ),
    count!(
        "jwt-keys-max",
        "64",
        "Keys of a JWK set that are looked at",
        jwt.keys_max
    ),
];
