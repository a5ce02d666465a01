//! `/v1/session`: a cookie for a browser, under every name that a dialect knows.

use ::http::header::{CACHE_CONTROL, SET_COOKIE};
use ::http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};

use super::AdministrationService;
use crate::Denied;
use crate::administration::SessionRefused;
use crate::http::authentication::SESSION_COOKIES;
use crate::http::{Attempt, Body, Problem, Refusal, Surface, authenticate, no_content};

const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// Who asks for a session shows the credential itself.
const CREDENTIAL: Surface = Surface {
    cookies: &[],
    ..Surface::API
};
/// Who ends one shows the session: in its cookie, mostly.
const COOKIE: Surface = Surface {
    cookies: &SESSION_COOKIES,
    ..Surface::NONE
};

impl AdministrationService {
    pub(super) async fn session(&self, attempt: Attempt<'_>) -> Result<Response<Body>, Problem> {
        match *attempt.method {
            Method::POST => self.begin(attempt).await,
            Method::DELETE => self.end(attempt).await,
            _ => Err(Problem::method_not_allowed(super::Route::Session.methods())),
        }
    }

    async fn begin(&self, attempt: Attempt<'_>) -> Result<Response<Body>, Problem> {
        let administration = &self.administration;
        let actor = authenticate(administration.directory(), CREDENTIAL, attempt).await?;
        let session = administration.create_session(&actor)?;
        let left_s = session.expires_at.saturating_sub(attempt.now).max(0) / 1_000_000;
        Ok(self.answer_with(&session.credential, left_s, attempt.headers))
    }

    async fn end(&self, attempt: Attempt<'_>) -> Result<Response<Body>, Problem> {
        let directory = self.administration.directory();
        let shown = match authenticate(directory, COOKIE, attempt).await {
            Err(Refusal::Missing) => authenticate(directory, CREDENTIAL, attempt).await,
            shown => shown,
        };
        match shown {
            Ok(actor) => self.administration.end_session(&actor).await?,
            // It ended before; what the browser still keeps of it goes all the same.
            Err(Refusal::Denied(Denied::Expired | Denied::Revoked)) => {}
            Err(refusal) => return Err(refusal.into()),
        }
        Ok(self.answer_with("", 0, attempt.headers))
    }

    /// 204 that sets every cookie.
    fn answer_with(&self, value: &str, max_age_s: i64, headers: &HeaderMap) -> Response<Body> {
        let secure = self.settings.secure_cookies || is_forwarded_from_tls(headers);
        let secure = if secure { "; Secure" } else { "" };
        let mut response = no_content();
        let answer = response.headers_mut();
        answer.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        for name in SESSION_COOKIES {
            let cookie =
                format!("{name}={value}; Path=/; Max-Age={max_age_s}; HttpOnly; SameSite=Lax{secure}");
            // Of base64url and our own words only.
            if let Ok(cookie) = HeaderValue::try_from(cookie) {
                answer.append(SET_COOKIE, cookie);
            }
        }
        response
    }
}

/// Whether a proxy says that the client speaks TLS with it. The front door lets only trusted ones say so.
fn is_forwarded_from_tls(headers: &HeaderMap) -> bool {
    let proto = headers.get(FORWARDED_PROTO).and_then(|value| value.to_str().ok());
    proto.is_some_and(|proto| {
        let nearest_client = proto.split(',').next().unwrap_or_default();
        nearest_client.trim().eq_ignore_ascii_case("https")
    })
}

impl From<SessionRefused> for Problem {
    fn from(refused: SessionRefused) -> Self {
        match refused {
            SessionRefused::FromSession | SessionRefused::NoBasis => Self::forbidden(refused.to_string()),
            SessionRefused::TooMany { retry_after_s } => {
                let problem = Self::new(StatusCode::TOO_MANY_REQUESTS, refused.to_string());
                problem.retry_after(retry_after_s)
            }
            SessionRefused::TooLong | SessionRefused::NoSession => Self::bad_request(refused.to_string()),
            SessionRefused::Log(error) => error.into(),
        }
    }
}
