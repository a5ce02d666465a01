//! Errors of a request, as RFC 9457 has them.

use ::http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use ::http::{HeaderName, HeaderValue, Response, StatusCode};
use serde_json::{Map, Value};

use super::Body;
use crate::TenantError;

/// An error of a request: becomes `application/problem+json`.
#[derive(Debug, Clone, PartialEq)]
pub struct Problem(Box<Inner>);

/// Behind one pointer, because every fallible step of a request carries room for it.
#[derive(Debug, Clone, PartialEq)]
struct Inner {
    status: StatusCode,
    kind: &'static str,
    detail: String,
    members: Map<String, Value>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    /// An error with this status. `detail` is for people: what is wrong here, and what to do.
    #[must_use]
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            status,
            kind: "about:blank",
            detail: detail.into(),
            members: Map::new(),
            headers: Vec::new(),
        }))
    }

    /// 400.
    #[must_use]
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// 401, and how to authenticate.
    #[must_use]
    pub fn unauthorized(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, detail).header(
            WWW_AUTHENTICATE,
            HeaderValue::from_static("Bearer realm=\"wakeline\""),
        )
    }

    /// 403.
    #[must_use]
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, detail)
    }

    /// 404.
    #[must_use]
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    /// 405. `allow` lists the methods of the path, separated by commas.
    #[must_use]
    pub fn method_not_allowed(allow: &'static str) -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, format!("this path takes {allow}"))
            .header(ALLOW, HeaderValue::from_static(allow))
    }

    /// 503, to be tried again in so many seconds.
    #[must_use]
    pub fn unavailable(detail: impl Into<String>, retry_after_s: u64) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, detail).retry_after(retry_after_s)
    }

    /// Says which problem this is to a machine: a URI.
    #[must_use]
    pub fn kind(mut self, kind: &'static str) -> Self {
        self.0.kind = kind;
        self
    }

    /// Adds a member.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.members.insert(name.to_owned(), value.into());
        self
    }

    /// Adds `Retry-After`, in seconds.
    #[must_use]
    pub fn retry_after(self, seconds: u64) -> Self {
        self.header(RETRY_AFTER, HeaderValue::from(seconds))
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.push((name, value));
        self
    }

    /// Its status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// What is wrong, for people.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// The body: `type`, `title`, `status`, `detail`, then the members added.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut members = Map::new();
        members.insert("type".to_owned(), self.0.kind.into());
        let title = self.0.status.canonical_reason().unwrap_or("Error");
        members.insert("title".to_owned(), title.into());
        members.insert("status".to_owned(), self.0.status.as_u16().into());
        members.insert("detail".to_owned(), self.0.detail.as_str().into());
        for (name, value) in &self.0.members {
            members.entry(name.clone()).or_insert_with(|| value.clone());
        }
        Value::Object(members).to_string()
    }

    /// The response.
    #[must_use]
    pub fn into_response(self) -> Response<Body> {
        let mut response = super::json(self.0.status, self.to_json());
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.extend(self.0.headers);
        response
    }
}

impl From<TenantError> for Problem {
    fn from(error: TenantError) -> Self {
        match error {
            TenantError::Required | TenantError::Invalid => Self::bad_request(error.to_string()),
            TenantError::Missing | TenantError::Foreign => Self::forbidden(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    #[tokio::test]
    async fn a_problem_has_the_members_of_the_standard_and_its_own() {
        let response = Problem::unavailable("the log is slow", 7)
            .with("tenant", "acme")
            .into_response();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        assert_eq!(response.headers()["retry-after"], "7");
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        let value: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(
            value,
            serde_json::json!({
                "type": "about:blank", "title": "Service Unavailable", "status": 503,
                "detail": "the log is slow", "tenant": "acme",
            })
        );
    }

    #[test]
    fn an_added_member_never_replaces_one_of_the_standard() {
        let problem = Problem::bad_request("no").with("status", 200);
        assert!(problem.to_json().contains(r#""status":400"#));
    }
}
