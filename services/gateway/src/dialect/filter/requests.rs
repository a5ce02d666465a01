//! The request that clients of the filter dialect also make: `GET /api/v2/devices`.

use std::sync::Arc;

use access::Principal;
use access::http::{Body, Path, Problem, json};
use http::{Response, StatusCode};
use query::Limits;
use schemas::json::write_merged_document;
use state::Page;

use super::{FILTER_PARSE, SURFACE, error, refuse, tenant};
use crate::dialect::requests::{Do, Request, Requests, Step};
use crate::dialect::text::quoted;
use crate::dialect::{Answer, Ask, Refusal};
use crate::filters::Filters;
use crate::open::OpenSettings;

const DEVICES: &str = "/api/v2/devices";
/// Documents that are looked at in one step.
const LOOKS: usize = 250;
/// Steps of one answer, whatever the settings say: fewer than the desk takes.
const STEPS_MAX: usize = 900;

/// Limits of the filter dialect's requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Devices in one answer.
    pub devices_max: usize,
    /// Bytes of one answer; one step may pass it.
    pub answer_bytes_max: usize,
    /// Documents that are looked at for one answer.
    pub looks_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            devices_max: 10_000,
            answer_bytes_max: 16 << 20,
            looks_max: 100_000,
        }
    }
}

/// The request.
pub struct Devices {
    settings: Settings,
    limits: Limits,
}

impl Devices {
    /// Under these limits.
    #[must_use]
    pub fn new(settings: &OpenSettings) -> Self {
        Self {
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
        Step::then(Do::Authenticate(SURFACE), move |done| {
            let principal = match done.principal() {
                Ok(principal) => principal,
                Err(refusal) => return Step::Answer(refuse(&refusal)),
            };
            match Search::begin(&principal, &request, settings, &limits) {
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
    count: usize,
    /// The devices found, as they stand in the answer.
    found: Vec<u8>,
}

impl Search {
    fn begin(
        principal: &Arc<Principal>,
        request: &Request,
        settings: Settings,
        limits: &Limits,
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
            count: 0,
            found: Vec::new(),
        })
    }

    fn read(self) -> Step {
        let ask = Ask::Devices {
            filters: self.filters.clone(),
            page: self.page.clone(),
            limit: LOOKS.min(self.settings.devices_max.max(1)),
        };
        Step::then(Do::ask(&self.tenant, &self.principal, ask), move |done| {
            let Answer::Devices(page) = done.answer() else {
                return unavailable();
            };
            let Some(page) = page else {
                let problem = Problem::bad_request("page: no answer to this request named it as next");
                return Step::Answer(refuse(&problem.into()));
            };
            self.take(page)
        })
    }

    fn take(mut self, page: Page) -> Step {
        for stored in &page.documents {
            if self.count > 0 {
                self.found.push(b',');
            }
            self.count += 1;
            write_merged_document(&stored.document, &mut self.found);
        }
        self.steps += 1;
        self.page = page.next;
        if self.page.is_none() || self.is_full() {
            return self.finish();
        }
        self.read()
    }

    /// Whether another page might be too much.
    fn is_full(&self) -> bool {
        let Settings {
            devices_max,
            answer_bytes_max,
            looks_max,
        } = self.settings;
        self.count + LOOKS > devices_max
            || self.found.len() >= answer_bytes_max
            || self.steps * LOOKS >= looks_max
            || self.steps >= STEPS_MAX
    }

    /// The answer; `next` only where there is more. A client that knows of no pages would take a part for
    /// the whole, and is told so instead.
    fn finish(self) -> Step {
        if self.page.is_some() && !self.is_paged {
            let problem = Problem::bad_request(
                "more devices than one answer takes; narrow q, or ask for pages: page= at first, then the next of each \
                 answer",
            );
            return Step::Answer(refuse(&problem.into()));
        }
        let found = String::from_utf8_lossy(&self.found);
        let next = self
            .page
            .map_or_else(String::new, |page| format!(",\"next\":{}", quoted(&page)));
        Step::Answer(json(StatusCode::OK, format!("{{\"devices\":[{found}]{next}}}")))
    }
}

fn unavailable() -> Step {
    let problem = Problem::unavailable("the devices cannot be read at present", 1);
    Step::Answer(refuse(&problem.into()))
}
