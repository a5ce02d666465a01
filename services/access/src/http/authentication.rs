//! From a request's head to a principal.

use std::net::IpAddr;
use std::sync::Arc;

use ::http::header::AUTHORIZATION;
use ::http::{HeaderMap, HeaderName, StatusCode, Uri};
use schemas::Micros;

use super::{Problem, Query};
use crate::{Directory, Principal};

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// Where a credential may stand, by kind of route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Surface {
    /// `Authorization: Bearer` and `X-API-Key`.
    Api,
    /// Also `?token=`, because a browser's `EventSource` and `WebSocket` cannot set headers.
    Stream,
}

/// The principal that the credential of a request proves.
///
/// # Errors
/// 401 without a credential, with a bad one, or with two that differ; 429 where the address failed
/// too often (a good credential is taken from it all the same); 503 until the directory is ready.
pub fn authenticate(
    directory: &Directory,
    surface: Surface,
    headers: &HeaderMap,
    uri: &Uri,
    peer: IpAddr,
    now: Micros,
) -> Result<Arc<Principal>, Problem> {
    if !directory.is_ready() {
        return Err(Problem::unavailable(
            "this node is still reading its configuration",
            1,
        ));
    }
    let denied = match find(surface, headers, uri) {
        Ok(Some(credential)) => match directory.authenticate(&credential, now) {
            Ok(principal) => return Ok(principal),
            Err(denied) => Problem::from(denied),
        },
        // No attempt at anything: not counted.
        Ok(None) => {
            return Err(Problem::unauthorized(
                "a credential is needed: Authorization: Bearer, or X-API-Key",
            ));
        }
        Err(malformed) => Problem::unauthorized(malformed),
    };
    match directory.failed(peer, now) {
        None => Err(denied),
        Some(seconds) => Err(Problem::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too many failed authentications from this address",
        )
        .retry_after(seconds)),
    }
}

/// The one credential of a request, wherever it stands.
fn find(surface: Surface, headers: &HeaderMap, uri: &Uri) -> Result<Option<String>, &'static str> {
    let mut found: Option<String> = None;
    let mut take = |credential: &str| {
        if found.as_deref().is_some_and(|other| other != credential) {
            return Err("the request carries two credentials that differ");
        }
        found = Some(credential.to_owned());
        Ok(())
    };
    for value in headers.get_all(AUTHORIZATION) {
        take(bearer(value.to_str().map_err(|_| MALFORMED)?)?)?;
    }
    for value in headers.get_all(API_KEY) {
        take(value.to_str().map_err(|_| MALFORMED)?.trim())?;
    }
    match surface {
        Surface::Api => {}
        Surface::Stream => {
            for token in Query::parse(uri.query()).all("token") {
                take(token)?;
            }
        }
    }
    Ok(found)
}

const MALFORMED: &str = "the credential is malformed";

fn bearer(value: &str) -> Result<&str, &'static str> {
    let (scheme, credential) = value.split_once(' ').ok_or(MALFORMED)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err("the scheme of Authorization must be Bearer");
    }
    Ok(credential.trim())
}

#[cfg(test)]
mod tests {
    use ::http::HeaderValue;

    use super::*;

    fn found(
        surface: Surface,
        headers: &[(&'static str, &'static str)],
        uri: &'static str,
    ) -> Result<Option<String>, &'static str> {
        let headers = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        find(surface, &headers, &Uri::from_static(uri))
    }

    #[test]
    fn a_credential_is_found_in_either_header() {
        let uri = "/v1/events";
        for headers in [
            ("authorization", "Bearer abc"),
            ("authorization", "bearer  abc"),
            ("x-api-key", "abc"),
        ] {
            assert_eq!(found(Surface::Api, &[headers], uri), Ok(Some("abc".to_owned())));
        }
        assert_eq!(found(Surface::Api, &[], uri), Ok(None));
    }

    #[test]
    fn the_query_counts_on_streams_only() {
        let uri = "/v1/stream?token=a%2Bc";
        assert_eq!(found(Surface::Stream, &[], uri), Ok(Some("a+c".to_owned())));
        assert_eq!(found(Surface::Api, &[], uri), Ok(None));
    }

    #[test]
    fn two_credentials_must_agree() {
        let both = |key| [("authorization", "Bearer abc"), ("x-api-key", key)];
        assert_eq!(found(Surface::Api, &both("abc"), "/"), Ok(Some("abc".to_owned())));
        assert!(found(Surface::Api, &both("abd"), "/").is_err());
        let header = [("x-api-key", "abc")];
        assert!(found(Surface::Stream, &header, "/?token=abd").is_err());
    }

    #[test]
    fn another_scheme_is_refused() {
        assert!(found(Surface::Api, &[("authorization", "Basic YTpi")], "/").is_err());
        assert!(found(Surface::Api, &[("authorization", "Bearer")], "/").is_err());
    }
}
