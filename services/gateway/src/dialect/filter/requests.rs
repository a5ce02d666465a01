//! The request that clients of the filter dialect also make: `GET /api/v2/devices`.

use std::sync::Arc;

use access::Principal;
use access::http::{Body, Path, Problem, json};
use http::{Response, StatusCode};
use query::Limits;
use schemas::json::write_merged_document;

use super::{FILTER_PARSE, SURFACE, error, refuse, tenant};
use crate::desk::room::{self, Held, Room, Sender};
use crate::dialect::conversation::{self, Looked};
use crate::dialect::requests::{Do, Request, Requests, Step};
use crate::dialect::text::quoted;
use crate::dialect::{Answer, Ask, Refusal};
use crate::filters::Filters;
use crate::open::OpenSettings;

const DEVICES: &str = "/api/v2/devices";
/// Documents that are read together.
const PAGE: usize = 250;
/// Documents found, from which on a step ends.
const ENOUGH: usize = 1_000;
/// Documents that are looked at in one step.
const LOOKS: usize = 5_000;
/// Steps of one answer, whatever the settings say: fewer than the desk takes.
const STEPS_MAX: usize = 900;
/// Charged for an answer beside what it says: the documents of a step.
const STEP_BYTES: usize = 2 << 20;

/// Limits of the filter dialect's requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Devices in one answer.
    pub devices_max: usize,
    /// Bytes of one answer; one step may pass it.
    pub answer_bytes_max: usize,
    /// Documents that are looked at for one answer.
    pub looks_max: usize,
    /// Bytes of all answers that are under way at once.
    pub held_bytes_max: usize,
    /// Those to one tenant, so that it leaves room to others.
    pub held_tenant_bytes_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            devices_max: 10_000,
            answer_bytes_max: 16 << 20,
            looks_max: 2_000_000,
            held_bytes_max: 128 << 20,
            held_tenant_bytes_max: 48 << 20,
        }
    }
}

/// The request.
pub struct Devices {
    settings: Settings,
    limits: Limits,
    room: Arc<Room>,
}

impl Devices {
    /// Under these limits.
    #[must_use]
    pub fn new(settings: &OpenSettings) -> Self {
        Self {
            room: Arc::new(Room::new(room::Limits {
                all: settings.filter.held_bytes_max,
                tenant: settings.filter.held_tenant_bytes_max,
                // Everybody who is answered is known.
                nameless: 0,
                address: 0,
            })),
            settings: settings.filter.clone(),
            // Devices as they are have no before.
            limits: settings.filters.clone().without_previous(),
        }
    }
}

impl Requests for Devices {
    fn paths(&self) -> &'static [Path] {
        const { &[Path::get(DEVICES)] }
    }

    fn begin(&self, request: Request) -> Step {
        let (settings, limits) = (self.settings.clone(), self.limits.clone());
        let room = Arc::clone(&self.room);
        Step::then(Do::Authenticate(SURFACE), move |done| {
            let principal = match done.principal() {
                Ok(principal) => principal,
                Err(refusal) => return Step::Answer(refuse(&refusal)),
            };
            let mut held = room.held(Sender::known(&principal));
            if !held.take(STEP_BYTES) {
                return no_room();
            }
            match Search::begin(&principal, &request, settings, &limits, held) {
                Ok(search) => search.read(),
                Err(refused) => Step::Answer(refused.answer()),
            }
        })
    }

    fn refuse(&self, refusal: &Refusal) -> Response<Body> {
        refuse(refusal)
    }
}

/// Why there is no search.
enum Refused {
    /// The filter is none.
    Filter(query::ParseError),
    Other(Refusal),
}

impl Refused {
    fn answer(&self) -> Response<Body> {
        match self {
            Self::Filter(mistake) => {
                let text = error(FILTER_PARSE, &mistake.to_string());
                json(StatusCode::BAD_REQUEST, text)
            }
            Self::Other(refusal) => refuse(refusal),
        }
    }
}

impl<R: Into<Refusal>> From<R> for Refused {
    fn from(refusal: R) -> Self {
        Self::Other(refusal.into())
    }
}

/// A search for devices, and what it has found.
struct Search {
    settings: Settings,
    principal: Arc<Principal>,
    tenant: Box<str>,
    filters: Option<Filters>,
    page: Option<Box<str>>,
    /// The client asked for pages: it reads `next`.
    is_paged: bool,
    steps: usize,
    /// Documents that were looked at.
    looks: usize,
    count: usize,
    /// The answer, up to the devices found so far.
    text: Vec<u8>,
    /// The room that it has.
    held: Held,
}

impl Search {
    fn begin(
        principal: &Arc<Principal>,
        request: &Request,
        settings: Settings,
        limits: &Limits,
        held: Held,
    ) -> Result<Self, Refused> {
        let word = |name: &str| Ok::<_, Refused>(request.query.get(name)?.filter(|value| !value.is_empty()));
        let tenant = tenant(principal, &request.query)?;
        let parsed = word("q")?.map(|text| Filters::parse(text, limits)).transpose();
        Ok(Self {
            settings,
            principal: Arc::clone(principal),
            tenant,
            filters: parsed.map_err(Refused::Filter)?,
            page: word("page")?.map(Into::into),
            is_paged: request.query.get("page")?.is_some(),
            steps: 0,
            looks: 0,
            count: 0,
            text: b"{\"devices\":[".to_vec(),
            held,
        })
    }

    /// Documents that are read together.
    fn page_documents(&self) -> usize {
        PAGE.min(self.settings.devices_max.max(1))
    }

    fn read(self) -> Step {
        let room = self.settings.devices_max.saturating_sub(self.count);
        let enough = if self.is_paged { ENOUGH.min(room) } else { ENOUGH };
        let ask = Ask::Devices(conversation::Search {
            filters: self.filters.clone(),
            page: self.page.clone(),
            limit: self.page_documents(),
            enough,
            looks: LOOKS.min(self.settings.looks_max.saturating_sub(self.looks)),
        });
        Step::then(Do::ask(&self.tenant, &self.principal, ask), move |done| {
            let Answer::Devices(found) = done.answer() else {
                return unavailable();
            };
            let Some(found) = found else {
                let problem = Problem::bad_request("page: no answer to this request named it as next");
                return Step::Answer(refuse(&problem.into()));
            };
            self.take(found)
        })
    }

    fn take(mut self, found: Looked) -> Step {
        let before = self.text.len();
        for stored in &found.documents {
            if self.count > 0 {
                self.text.push(b',');
            }
            self.count += 1;
            write_merged_document(&stored.document, &mut self.text);
        }
        self.steps += 1;
        self.looks += found.looks;
        self.page = found.next;
        if !self.held.take(self.text.len() - before) {
            return no_room();
        }
        if self.is_too_much() {
            return Step::Answer(refuse(&too_much()));
        }
        if self.page.is_none() {
            return self.finish();
        }
        match (self.may_go_on(), self.is_paged) {
            (true, _) => self.read(),
            (false, true) => self.finish(),
            (false, false) => Step::Answer(refuse(&too_much())),
        }
    }

    /// Whether more was found than an answer without pages may hold.
    fn is_too_much(&self) -> bool {
        let Settings {
            devices_max,
            answer_bytes_max,
            ..
        } = self.settings;
        !self.is_paged && (self.count > devices_max || self.text.len() > answer_bytes_max)
    }

    /// Whether more may be looked at. Where there are pages, not if the next documents might be too many.
    fn may_go_on(&self) -> bool {
        let Settings {
            devices_max,
            answer_bytes_max,
            looks_max,
            ..
        } = self.settings;
        let has_room = !self.is_paged
            || (self.count + self.page_documents() <= devices_max && self.text.len() < answer_bytes_max);
        has_room && self.looks < looks_max && self.steps < STEPS_MAX
    }

    /// The answer; `next` only where there is more, and the client asked for pages.
    fn finish(mut self) -> Step {
        self.text.push(b']');
        if let Some(page) = &self.page {
            self.text.extend_from_slice(b",\"next\":");
            self.text.extend_from_slice(quoted(page).as_bytes());
        }
        self.text.push(b'}');
        Step::Answer(json(StatusCode::OK, self.held.answer(self.text)))
    }
}

/// A client that knows of no pages would take a part for the whole, and is told so instead.
fn too_much() -> Refusal {
    Problem::bad_request(
        "more devices than one answer takes; narrow q, or ask for pages: page= at first, then the next of each \
         answer",
    )
    .into()
}

fn no_room() -> Step {
    let problem = Problem::unavailable("too many answers are under way", 1);
    Step::Answer(refuse(&problem.into()))
}

fn unavailable() -> Step {
    let problem = Problem::unavailable("the devices cannot be read at present", 1);
    Step::Answer(refuse(&problem.into()))
}
