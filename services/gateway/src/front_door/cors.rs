//! Which pages of other origins may use the API.

use std::time::Duration;

use access::http::{Body, no_content};
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderValue, Method, Response};

const ALLOWED_METHODS: HeaderValue = HeaderValue::from_static("GET, POST, PUT, PATCH, DELETE");
const ALLOWED_HEADERS: HeaderValue =
    HeaderValue::from_static("Authorization, Content-Type, Content-Encoding, Last-Event-ID, X-API-Key");
const EXPOSED_HEADERS: HeaderValue = HeaderValue::from_static("Retry-After, Location");

/// What browsers are told. Origins that are not allowed get no header: the browser then keeps the
/// answer from the page.
#[derive(Debug)]
pub(crate) struct Cors {
    any: bool,
    origins: Vec<HeaderValue>,
    max_age: HeaderValue,
}

/// An origin that cannot stand in a header.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{origin:?} is no origin: write it as https://app.example.com, without a path, or *")]
pub struct InvalidOrigin {
    /// As it was set.
    pub origin: String,
}

impl Cors {
    pub(crate) fn new(allowed: &[String], max_age: Duration) -> Result<Self, InvalidOrigin> {
        let mut cors = Self {
            any: false,
            origins: Vec::new(),
            max_age: HeaderValue::from(max_age.as_secs()),
        };
        for origin in allowed {
            let invalid = || InvalidOrigin {
                origin: origin.clone(),
            };
            if origin == "*" {
                cors.any = true;
                continue;
            }
            let (scheme, authority) = origin.split_once("://").ok_or_else(invalid)?;
            if scheme.is_empty() || authority.is_empty() || authority.contains(['/', '?', '#', ' ']) {
                return Err(invalid());
            }
            cors.origins
                .push(origin.to_ascii_lowercase().parse().map_err(|_| invalid())?);
        }
        Ok(cors)
    }

    /// The answer to a preflight, if the request is one.
    pub(crate) fn preflight(&self, method: &Method, headers: &HeaderMap) -> Option<Response<Body>> {
        if method != Method::OPTIONS || !headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD) {
            return None;
        }
        let mut response = no_content();
        let answer = response.headers_mut();
        self.apply(headers.get(ORIGIN), answer);
        if answer.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN) {
            answer.insert(ACCESS_CONTROL_ALLOW_METHODS, ALLOWED_METHODS);
            answer.insert(ACCESS_CONTROL_ALLOW_HEADERS, ALLOWED_HEADERS);
            answer.insert(ACCESS_CONTROL_MAX_AGE, self.max_age.clone());
        }
        Some(response)
    }

    /// Adds to the head of an answer what the page of `origin` needs to read it.
    pub(crate) fn apply(&self, origin: Option<&HeaderValue>, headers: &mut HeaderMap) {
        if !self.any && self.origins.is_empty() {
            return;
        }
        if !self.any {
            headers.append(VARY, HeaderValue::from_static("Origin"));
        }
        let Some(origin) = origin else { return };
        if self.any {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        } else if self.allows(origin) {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        } else {
            return;
        }
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED_HEADERS);
    }

    fn allows(&self, origin: &HeaderValue) -> bool {
        self.origins
            .iter()
            .any(|allowed| allowed.as_bytes().eq_ignore_ascii_case(origin.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cors(origins: &[&str]) -> Cors {
        let origins: Vec<String> = origins.iter().map(|origin| (*origin).to_owned()).collect();
        Cors::new(&origins, Duration::from_secs(600)).unwrap()
    }

    fn preflight(cors: &Cors, origin: &'static str) -> Response<Body> {
        let headers = HeaderMap::from_iter([
            (ORIGIN, HeaderValue::from_static(origin)),
            (ACCESS_CONTROL_REQUEST_METHOD, HeaderValue::from_static("GET")),
        ]);
        cors.preflight(&Method::OPTIONS, &headers).unwrap()
    }

    #[test]
    fn an_allowed_origin_may_send_last_event_id() {
        let response = preflight(&cors(&["https://app.example.com"]), "https://app.example.com");
        assert_eq!(response.status(), 204);
        assert_eq!(
            response.headers()["access-control-allow-origin"],
            "https://app.example.com"
        );
        let allowed = response.headers()["access-control-allow-headers"]
            .to_str()
            .unwrap();
        assert!(allowed.contains("Last-Event-ID") && allowed.contains("Authorization"));
        assert_eq!(response.headers()["vary"], "Origin");
    }

    #[test]
    fn another_origin_is_told_nothing() {
        let response = preflight(&cors(&["https://app.example.com"]), "https://evil.example");
        assert_eq!(response.headers().get("access-control-allow-origin"), None);
    }

    #[test]
    fn any_origin_is_any_origin() {
        let response = preflight(&cors(&["*"]), "https://evil.example");
        assert_eq!(response.headers()["access-control-allow-origin"], "*");
    }

    #[test]
    fn an_options_request_without_the_header_is_no_preflight() {
        assert!(
            cors(&["*"])
                .preflight(&Method::OPTIONS, &HeaderMap::new())
                .is_none()
        );
    }

    #[test]
    fn what_is_no_origin_is_refused() {
        for origin in ["app.example.com", "https://app.example.com/path", "https://"] {
            assert!(
                Cors::new(&[origin.to_owned()], Duration::ZERO).is_err(),
                "{origin}"
            );
        }
    }
}
