//! Which pages of other origins may use the API.

use ::http::header::{HOST, ORIGIN};
use ::http::{HeaderMap, HeaderValue, Uri};

/// Origins whose pages may use the API.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origins {
    any: bool,
    listed: Vec<HeaderValue>,
}

/// An origin that cannot stand in a header.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{origin:?} is no origin: write it as https://app.example.com, without a path, or *")]
pub struct InvalidOrigin {
    /// As it was set.
    pub origin: String,
}

impl Origins {
    /// The origins of a setting: each as `https://app.example.com`; `*` is any.
    ///
    /// # Errors
    /// The first that is no origin.
    pub fn new(allowed: &[String]) -> Result<Self, InvalidOrigin> {
        let mut origins = Self::default();
        for origin in allowed {
            let invalid = || InvalidOrigin {
                origin: origin.clone(),
            };
            if origin == "*" {
                origins.any = true;
                continue;
            }
            let (scheme, authority) = origin.split_once("://").ok_or_else(invalid)?;
            if scheme.is_empty() || authority.is_empty() || authority.contains(['/', '?', '#', ' ']) {
                return Err(invalid());
            }
            origins
                .listed
                .push(origin.to_ascii_lowercase().parse().map_err(|_| invalid())?);
        }
        Ok(origins)
    }

    /// Whether no other origin is allowed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.any && self.listed.is_empty()
    }

    /// Whether every origin is allowed (`*`).
    #[must_use]
    pub const fn is_any(&self) -> bool {
        self.any
    }

    /// Whether `origin` is one of those listed by name.
    #[must_use]
    pub fn lists(&self, origin: &HeaderValue) -> bool {
        self.listed
            .iter()
            .any(|listed| listed.as_bytes().eq_ignore_ascii_case(origin.as_bytes()))
    }

    /// Whether a request that a browser sent with its cookies comes from a page that may use them: one
    /// of an origin listed by name, or of this host itself. `*` is not enough: with it, any page on the
    /// web could act as whoever looks at it. Without `Origin` it is not known which page asks.
    #[must_use]
    pub fn allow_cookies(&self, headers: &HeaderMap, uri: &Uri) -> bool {
        let mut origins = headers.get_all(ORIGIN).iter();
        let (Some(origin), None) = (origins.next(), origins.next()) else {
            return false;
        };
        self.lists(origin) || is_own(origin, headers, uri)
    }
}

/// Whether `origin` is the host that the request went to. The scheme is not compared: behind a proxy
/// that ends TLS it is not known.
fn is_own(origin: &HeaderValue, headers: &HeaderMap, uri: &Uri) -> bool {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let host = host.or_else(|| uri.authority().map(::http::uri::Authority::as_str));
    let (Some(host), Ok(origin)) = (host, origin.to_str()) else {
        return false;
    };
    let (Some(("http" | "https", authority)), false) = (origin.split_once("://"), host.is_empty()) else {
        return false;
    };
    authority.eq_ignore_ascii_case(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origins(listed: &[&str]) -> Origins {
        let listed: Vec<String> = listed.iter().map(|origin| (*origin).to_owned()).collect();
        Origins::new(&listed).unwrap()
    }

    fn from(origin: &'static str) -> HeaderMap {
        HeaderMap::from_iter([
            (HOST, HeaderValue::from_static("api.example.com:8080")),
            (ORIGIN, HeaderValue::from_static(origin)),
        ])
    }

    fn allowed(listed: &[&str], headers: &HeaderMap) -> bool {
        origins(listed).allow_cookies(headers, &Uri::from_static("/v1/session"))
    }

    #[test]
    fn a_listed_origin_may_use_cookies() {
        let listed = ["https://App.example.com"];
        assert!(allowed(&listed, &from("https://app.example.com")));
        assert!(!allowed(&listed, &from("https://evil.example")));
        assert!(!allowed(&listed, &from("https://app.example.com.evil.example")));
        assert!(!allowed(&listed, &from("http://app.example.com")));
        assert!(!allowed(&listed, &from("null")));
    }

    #[test]
    fn a_page_of_the_host_itself_may_use_cookies() {
        assert!(allowed(&[], &from("http://api.example.com:8080")));
        assert!(allowed(&[], &from("https://api.example.com:8080")));
        assert!(!allowed(&[], &from("http://api.example.com")));
        assert!(!allowed(&[], &from("ftp://api.example.com:8080")));
    }

    #[test]
    fn a_request_that_names_no_page_or_two_may_not() {
        let mut headers = from("https://app.example.com");
        headers.append(ORIGIN, HeaderValue::from_static("https://app.example.com"));
        assert!(!allowed(&["https://app.example.com"], &headers));
        headers.remove(ORIGIN);
        assert!(!allowed(&["https://app.example.com"], &headers));
    }

    #[test]
    fn any_origin_is_not_enough_for_cookies() {
        assert!(origins(&["*"]).is_any());
        assert!(!allowed(&["*"], &from("https://evil.example")));
    }

    #[test]
    fn what_is_no_origin_is_refused() {
        for origin in ["app.example.com", "https://app.example.com/path", "https://"] {
            assert!(Origins::new(&[origin.to_owned()]).is_err(), "{origin}");
        }
    }
}
