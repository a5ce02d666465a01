//! Where the credential of a request stands.

use ::http::header::{AUTHORIZATION, COOKIE};
use ::http::{HeaderMap, Uri};

use super::Surface;
use crate::http::Query;

/// Cookies that are tried; a browser sends more than one of a name when their paths differ.
const COOKIES_MAX: usize = 8;
const MALFORMED: &str = "the credential is malformed";

/// What a request carries.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// No credential.
    Nothing,
    /// The one that the client put there itself.
    Given(String),
    /// Cookies, in the order to try them.
    Cookies(Vec<String>),
}

/// The credential of a request.
pub(super) fn find(surface: Surface, headers: &HeaderMap, uri: &Uri) -> Result<Found, &'static str> {
    if let Some(given) = given(surface, headers, uri)? {
        return Ok(Found::Given(given));
    }
    let cookies = cookies(surface, headers);
    Ok(if cookies.is_empty() {
        Found::Nothing
    } else {
        Found::Cookies(cookies)
    })
}

/// The one credential that the client gives, wherever it stands.
fn given(surface: Surface, headers: &HeaderMap, uri: &Uri) -> Result<Option<String>, &'static str> {
    let mut found: Option<String> = None;
    let mut take = |credential: &str| {
        if credential.is_empty() {
            return Ok(());
        }
        if found.as_deref().is_some_and(|other| other != credential) {
            return Err("the request carries two credentials that differ");
        }
        found = Some(credential.to_owned());
        Ok(())
    };
    if surface.bearer {
        for value in headers.get_all(AUTHORIZATION) {
            take(bearer(value.to_str().map_err(|_| MALFORMED)?)?)?;
        }
    }
    for name in surface.headers {
        for value in headers.get_all(*name) {
            take(value.to_str().map_err(|_| MALFORMED)?.trim())?;
        }
    }
    if !surface.query.is_empty() {
        let query = Query::parse(uri.query());
        for credential in surface.query.iter().flat_map(|name| query.all(name)) {
            take(credential)?;
        }
    }
    Ok(found)
}

fn bearer(value: &str) -> Result<&str, &'static str> {
    let (scheme, credential) = value.split_once(' ').unwrap_or((value, ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err("the scheme of Authorization must be Bearer");
    }
    Ok(credential.trim())
}

/// The values of the surface's cookies, each once, by the surface's order of names.
fn cookies(surface: Surface, headers: &HeaderMap) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    if surface.cookies.is_empty() {
        return found;
    }
    let lines: Vec<&str> = headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .collect();
    for name in surface.cookies {
        let pairs = lines.iter().flat_map(|line| line.split(';'));
        for (key, value) in pairs.filter_map(|pair| pair.trim().split_once('=')) {
            let value = unquoted(value.trim());
            let is_new = !value.is_empty() && found.iter().all(|other| other != value);
            if key.trim_end() == *name && is_new && found.len() < COOKIES_MAX {
                found.push(value.to_owned());
            }
        }
    }
    found
}

/// RFC 6265 lets a value stand in double quotes.
fn unquoted(value: &str) -> &str {
    value
        .strip_prefix('"')
        .and_then(|value| value.strip_suffix('"'))
        .unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use ::http::{HeaderName, HeaderValue};

    use super::*;

    fn found(
        surface: Surface,
        headers: &[(&'static str, &'static str)],
        uri: &'static str,
    ) -> Result<Found, &'static str> {
        let headers = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        find(surface, &headers, &Uri::from_static(uri))
    }

    fn given(text: &str) -> Result<Found, &'static str> {
        Ok(Found::Given(text.to_owned()))
    }

    fn cookies(values: &[&str]) -> Result<Found, &'static str> {
        Ok(Found::Cookies(
            values.iter().map(|value| (*value).to_owned()).collect(),
        ))
    }

    #[test]
    fn a_credential_is_found_in_either_header() {
        let uri = "/v1/events";
        for headers in [
            ("authorization", "Bearer abc"),
            ("authorization", "bearer  abc"),
            ("x-api-key", "abc"),
        ] {
            assert_eq!(found(Surface::API, &[headers], uri), given("abc"));
        }
        assert_eq!(found(Surface::API, &[], uri), Ok(Found::Nothing));
    }

    #[test]
    fn the_query_counts_on_streams_only() {
        let uri = "/v1/stream?token=a%2Bc";
        assert_eq!(found(Surface::STREAM, &[], uri), given("a+c"));
        assert_eq!(found(Surface::API, &[], uri), Ok(Found::Nothing));
    }

    #[test]
    fn two_credentials_must_agree() {
        let both = |key| [("authorization", "Bearer abc"), ("x-api-key", key)];
        assert_eq!(found(Surface::API, &both("abc"), "/"), given("abc"));
        assert!(found(Surface::API, &both("abd"), "/").is_err());
        let header = [("x-api-key", "abc")];
        assert!(found(Surface::STREAM, &header, "/?token=abd").is_err());
    }

    #[test]
    fn another_scheme_is_refused_where_bearer_counts() {
        let basic = [("authorization", "Basic YTpi")];
        assert!(found(Surface::API, &basic, "/").is_err());
        let elsewhere = Surface {
            query: &["api_key"],
            ..Surface::NONE
        };
        assert_eq!(found(elsewhere, &basic, "/?api_key=k"), given("k"));
    }

    #[test]
    fn an_empty_credential_is_none() {
        for headers in [
            ("authorization", "Bearer "),
            ("authorization", "Bearer"),
            ("x-api-key", ""),
        ] {
            assert_eq!(found(Surface::STREAM, &[headers], "/?token="), Ok(Found::Nothing));
        }
        let empty = [("x-api-key", "")];
        assert_eq!(found(Surface::STREAM, &empty, "/?token=abc"), given("abc"));
    }

    #[test]
    fn cookies_come_by_the_order_of_the_surface_and_after_what_is_given() {
        let header = [(
            "cookie",
            "pulse_session=c; other=x; sessionid=\"b\";wakeline_session=a",
        )];
        assert_eq!(found(Surface::API, &header, "/"), cookies(&["a", "b", "c"]));
        assert_eq!(found(Surface::STREAM, &header, "/?token=t"), given("t"));
        let one = Surface {
            cookies: &["sessionid"],
            ..Surface::NONE
        };
        assert_eq!(found(one, &header, "/"), cookies(&["b"]));
        assert_eq!(found(Surface::NONE, &header, "/"), Ok(Found::Nothing));
    }

    #[test]
    fn a_cookie_of_a_longer_name_is_another() {
        let header = [(
            "cookie",
            "xwakeline_session=a; wakeline_session2=b; wakeline_session",
        )];
        assert_eq!(found(Surface::API, &header, "/"), Ok(Found::Nothing));
    }

    #[test]
    fn only_so_many_cookies_are_tried() {
        let header = [(
            "cookie",
            "sessionid=1;sessionid=2;sessionid=3;sessionid=4;sessionid=5;sessionid=6;sessionid=7;sessionid=8;sessionid=9",
        )];
        let Ok(Found::Cookies(found)) = found(Surface::API, &header, "/") else {
            panic!("cookies")
        };
        assert_eq!(found.len(), COOKIES_MAX);
    }
}
