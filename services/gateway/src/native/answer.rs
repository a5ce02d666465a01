//! Bodies of answers, and what all routes read from a query.

use std::time::Duration;

use access::http::{Body, Problem, json};
use http::{Response, StatusCode};
use jiff::{SignedDuration, Timestamp};
use journal::{Cursor, Micros};
use schemas::json::write_string;
use state::StoreError;

use super::{Caller, NativeSettings};

/// `{"name":[…],"next":…}`; items are JSON texts.
pub(super) fn page<T>(
    name: &str,
    items: &[T],
    next: Option<&str>,
    write: impl Fn(&T, &mut Vec<u8>),
) -> Response<Body> {
    json(StatusCode::OK, page_text(name, items, next, write))
}

/// The same, without what concerns HTTP.
pub(super) fn page_text<T>(
    name: &str,
    items: &[T],
    next: Option<&str>,
    write: impl Fn(&T, &mut Vec<u8>),
) -> Vec<u8> {
    let mut text = format!("{{\"{name}\":[").into_bytes();
    for (number, item) in items.iter().enumerate() {
        if number > 0 {
            text.push(b',');
        }
        write(item, &mut text);
    }
    text.extend_from_slice(b"],\"next\":");
    match next {
        Some(next) => write_string(next, &mut text),
        None => text.extend_from_slice(b"null"),
    }
    text.push(b'}');
    text
}

/// `{"cursor":…}`.
pub(super) fn cursor(status: StatusCode, cursor: &Cursor) -> Response<Body> {
    json(status, format!("{{\"cursor\":\"{cursor}\"}}"))
}

/// What a store's failure is for the client.
pub(super) fn store_problem(error: &StoreError) -> Problem {
    match error {
        StoreError::BadPage => Problem::bad_request("page: not one that this list gave"),
        StoreError::Unavailable { .. } => {
            tracing::warn!(%error, "a read failed");
            Problem::unavailable("the state store does not answer at present", 1)
        }
        StoreError::Corrupt { .. } => {
            tracing::error!(%error, "a read failed");
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "what is stored cannot be read")
        }
    }
}

impl Caller {
    pub(super) fn limit(&self, settings: &NativeSettings) -> Result<usize, Problem> {
        let most = settings.page_items_max;
        let limit = self.query.number("limit", 1, most as u64)?;
        Ok(limit
            .and_then(|limit| usize::try_from(limit).ok())
            .unwrap_or(settings.page_items.min(most)))
    }

    pub(super) fn page(&self) -> Result<Option<&str>, Problem> {
        Ok(self.query.get("page")?.filter(|page| !page.is_empty()))
    }

    /// A parameter that is an RFC 3339 time.
    pub(super) fn time(&self, name: &str) -> Result<Option<Micros>, Problem> {
        let Some(text) = self.query.get(name)? else {
            return Ok(None);
        };
        match text.parse::<Timestamp>() {
            Ok(time) => Ok(Some(time.as_microsecond())),
            Err(_) => Err(Problem::bad_request(format!(
                "{name}: {text:?} is no RFC 3339 time, such as 2025-05-01T12:00:00Z (write + as %2B)"
            ))),
        }
    }

    /// `wait=`: a duration such as `2s`, or seconds.
    pub(super) fn wait(&self, settings: &NativeSettings) -> Result<Duration, Problem> {
        let Some(text) = self.query.get("wait")? else {
            return Ok(settings.wait_max);
        };
        let seconds = || {
            text.parse::<f64>()
                .ok()
                .and_then(|wait| Duration::try_from_secs_f64(wait).ok())
        };
        let words = || {
            text.parse::<SignedDuration>()
                .ok()
                .and_then(|wait| Duration::try_from(wait).ok())
        };
        match seconds().or_else(words) {
            Some(wait) if wait <= settings.wait_max => Ok(wait),
            Some(_) | None => Err(Problem::bad_request(format!(
                "wait: {text:?} is no duration of at most {:?}, such as 2s",
                settings.wait_max
            ))),
        }
    }
}
