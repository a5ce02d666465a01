//! Requests that clients of the realtime dialect also make: `/lock-events` and `/health`.

use std::sync::Arc;

use access::http::{Body, Path, Problem, Query, json};
use access::{Principal, Role, Scope};
use http::{Response, StatusCode};
use journal::Micros;
use schemas::event::{Lock, LockSource};
use schemas::{Body as EventBody, Event, Kind};
use state::HistoryPage;

use super::frames::lock_members;
use super::{SURFACE, is_in_scope, refuse, tenant};
use crate::dialect::requests::{Do, Done, Request, Requests, Step};
use crate::dialect::text::{quoted, time};
use crate::dialect::{Answer, Ask, Refusal};

const LOCK_EVENTS: &str = "/lock-events";
const HEALTH: &str = "/health";
/// Rows read of the history at a time.
const PAGE: usize = 1_000;
/// A device's clock may be ahead of ours by this much.
const AHEAD_US: Micros = 300_000_000;
/// Events passed over at most.
const OFFSET_MAX: u64 = 100_000;

/// The requests.
pub struct Realtime {
    /// Rows of the history that are looked through for one page of lock events.
    pub rows_max: usize,
}

impl Requests for Realtime {
    fn paths(&self) -> &'static [Path] {
        const { &[Path::get(LOCK_EVENTS), Path::get(HEALTH)] }
    }

    fn begin(&self, request: Request) -> Step {
        if request.parts.uri.path() == HEALTH {
            let text = format!("{{\"status\":\"ok\",\"timestamp\":{}}}", time(request.now));
            return Step::Answer(json(StatusCode::OK, text));
        }
        let rows_max = self.rows_max;
        Step::then(Do::Authenticate(SURFACE), move |done| match done {
            Done::Principal(Ok(principal)) => match Search::begin(&principal, &request.query, rows_max) {
                Ok(search) => search.read(None),
                Err(refusal) => Step::Answer(refuse(&refusal)),
            },
            Done::Principal(Err(refusal)) => Step::Answer(refuse(&refusal)),
            Done::Answer(_) | Done::Outcomes(_) | Done::Ended(_) | Done::Count(_) | Done::Body(_) => {
                unavailable()
            }
        })
    }

    fn refuse(&self, refusal: &Refusal) -> Response<Body> {
        refuse(refusal)
    }
}

/// A search for lock events, and what it has found.
struct Search {
    principal: Arc<Principal>,
    tenant: Box<str>,
    device: Option<Box<str>>,
    source: Option<LockSource>,
    locked: Option<bool>,
    code: Option<Box<str>>,
    from: Micros,
    to: Micros,
    limit: usize,
    offset: usize,
    /// Rows that may still be looked through.
    rows_left: usize,
    /// Events that match, before the page and within it.
    passed: usize,
    found: Vec<String>,
}

impl Search {
    fn begin(principal: &Arc<Principal>, query: &Query, rows_left: usize) -> Result<Self, Refusal> {
        let word = |name: &str| Ok::<_, Refusal>(query.get(name)?.filter(|value| !value.is_empty()));
        let source = match word("source")? {
            None => None,
            Some(word) => Some(LockSource::from_word(word).ok_or_else(|| {
                Problem::bad_request(format!("source must be one of {}", LockSource::WORDS.join(", ")))
            })?),
        };
        let locked = match word("event")? {
            None => None,
            Some("lock") => Some(true),
            Some("unlock") => Some(false),
            Some(_) => return Err(Problem::bad_request("event must be lock or unlock").into()),
        };
        let number = |name: &str, least, most, default| {
            let number = query.number(name, least, most)?.unwrap_or(default);
            Ok::<_, Refusal>(usize::try_from(number).unwrap_or(usize::MAX))
        };
        Ok(Self {
            tenant: tenant(principal, query)?,
            principal: Arc::clone(principal),
            device: word("hardware_id")?.map(Into::into),
            source,
            locked,
            code: word("code")?.map(Into::into),
            from: instant("from", word("from")?)?.unwrap_or(Micros::MIN),
            to: instant("to", word("to")?)?.unwrap_or(Micros::MAX),
            limit: number("limit", 1, 1_000, 100)?,
            offset: number("offset", 0, OFFSET_MAX, 0)?,
            rows_left,
            passed: 0,
            found: Vec::new(),
        })
    }

    /// Reads on from a page of the history.
    fn read(self, page: Option<Box<str>>) -> Step {
        let principal = &self.principal;
        let sees_nothing = principal.role == Role::User && principal.devices == Scope::All;
        let is_outside = |device: &str| !is_in_scope(principal, device);
        if sees_nothing || self.device.as_deref().is_some_and(is_outside) {
            return self.finish();
        }
        let ask = Ask::History {
            device: self.device.clone(),
            kinds: vec![Kind::Lock],
            from: self.from.saturating_sub(AHEAD_US).max(0),
            page,
            limit: PAGE.min(self.rows_left),
        };
        Step::then(Do::ask(&self.tenant, principal, ask), move |done| match done {
            Done::Answer(Answer::History(page)) => self.take(page),
            Done::Answer(_)
            | Done::Principal(_)
            | Done::Outcomes(_)
            | Done::Ended(_)
            | Done::Count(_)
            | Done::Body(_) => unavailable(),
        })
    }

    fn take(mut self, page: HistoryPage) -> Step {
        for row in &page.rows {
            let EventBody::Lock(lock) = &row.event.body else {
                continue;
            };
            if !self.matches(&row.event, lock) {
                continue;
            }
            if self.passed >= self.offset {
                self.found.push(lock_event(&row.event, lock));
            }
            self.passed += 1;
            if self.found.len() >= self.limit {
                return self.finish();
            }
        }
        self.rows_left = self.rows_left.saturating_sub(page.rows.len() + page.left_out);
        match page.next {
            Some(next) if self.rows_left > 0 => self.read(Some(next)),
            // What was found is not all there is, and a client cannot tell.
            Some(_) => {
                let problem = Problem::bad_request(
                    "more lock events than one answer is looked for in: name a hardware_id, or a later from",
                );
                Step::Answer(refuse(&problem.into()))
            }
            None => self.finish(),
        }
    }

    fn matches(&self, event: &Event, lock: &Lock) -> bool {
        (self.from..self.to).contains(&event.occurred_at)
            && self.source.is_none_or(|source| source == lock.source)
            && self.locked.is_none_or(|locked| locked == lock.locked)
            && self
                .code
                .as_ref()
                .is_none_or(|code| lock.code.as_ref() == Some(code))
    }

    fn finish(self) -> Step {
        let (limit, offset, returned) = (self.limit, self.offset, self.found.len());
        let pagination = format!("{{\"limit\":{limit},\"offset\":{offset},\"returned\":{returned}}}");
        let events = self.found.join(",");
        let text = format!("{{\"events\":[{events}],\"pagination\":{pagination}}}");
        Step::Answer(json(StatusCode::OK, text))
    }
}

fn lock_event(event: &Event, lock: &Lock) -> String {
    format!(
        "{{\"event_id\":{},\"hardware_id\":{},\"event\":\"{}\",\"timestamp\":{},{}}}",
        quoted(&event.id),
        quoted(&event.device),
        if lock.locked { "lock" } else { "unlock" },
        time(event.occurred_at),
        lock_members(lock),
    )
}

fn instant(name: &str, text: Option<&str>) -> Result<Option<Micros>, Refusal> {
    let Some(text) = text else {
        return Ok(None);
    };
    match text.parse::<jiff::Timestamp>() {
        Ok(time) => Ok(Some(time.as_microsecond())),
        Err(_) => Err(Problem::bad_request(format!("{name} must be an RFC 3339 time")).into()),
    }
}

fn unavailable() -> Step {
    let problem = Problem::unavailable("the history does not answer at present", 1);
    Step::Answer(refuse(&problem.into()))
}
