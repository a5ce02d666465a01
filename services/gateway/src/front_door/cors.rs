//! Which pages of other origins may use the API.

use std::time::Duration;

use access::http::{Body, Origins, no_content};
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderValue, Method, Response};

pub use access::http::InvalidOrigin;

const ALLOWED_METHODS: HeaderValue = HeaderValue::from_static("GET, POST, PUT, PATCH, DELETE");
const ALLOWED_HEADERS: HeaderValue =
    HeaderValue::from_static("Authorization, Content-Type, Content-Encoding, Last-Event-ID, X-API-Key");
const EXPOSED_HEADERS: HeaderValue = HeaderValue::from_static("Retry-After, Location");

/// What browsers are told. Origins that are not allowed get no header: the browser then keeps the
/// answer from the page.
#[derive(Debug)]
pub(crate) struct Cors {
    origins: Origins,
    max_age: HeaderValue,
}

impl Cors {
    pub(crate) fn new(allowed: &[String], max_age: Duration) -> Result<Self, InvalidOrigin> {
        Ok(Self {
            origins: Origins::new(allowed)?,
            max_age: HeaderValue::from(max_age.as_secs()),
        })
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
        let origins = &self.origins;
        if origins.is_empty() {
            return;
        }
        // Pages of listed origins may send cookies, which `*` does not go with: they are told by name.
        headers.append(VARY, HeaderValue::from_static("Origin"));
        let Some(origin) = origin else { return };
        if origins.lists(origin) {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        } else if origins.is_any() {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        } else {
            return;
        }
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED_HEADERS);
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
    fn a_listed_origin_may_send_cookies_and_any_origin_may_not() {
        let credentials = |cors: &Cors, origin| {
            let response = preflight(cors, origin);
            response
                .headers()
                .contains_key("access-control-allow-credentials")
        };
        let both = cors(&["*", "https://app.example.com"]);
        assert!(credentials(&both, "https://app.example.com"));
        assert!(!credentials(&both, "https://evil.example"));
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
}
