//! A device's commands: made, listed, looked at. A command is its events: open ones stand in the device's
//! document, those that ended in its history.

use std::collections::HashMap;
use std::sync::Arc;

use access::http::{Query, json};
use http::header::{CONTENT_TYPE, HOST};
use http::request::Parts;
use http::{HeaderName, StatusCode};
use schemas::Kind;
use schemas::document::DeviceCommand;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::to_raw_value;

use super::{Found, Limits, bad_request, not_found, refused, rejected, unavailable};
use crate::commands::{Order, is_end, take_step};
use crate::dialect::controller::command::object;
use crate::dialect::requests::{Do, Request, Step};
use crate::dialect::text::quoted;
use crate::dialect::{Answer, Ask, Refusal};

/// Rows read of the history at a time.
const PAGE: usize = 500;
/// Commands of a page, where the request does not say, and at most.
const PAGE_SIZE: u64 = 10;
const PAGE_SIZE_MAX: u64 = 100;
const PAGES_MAX: u64 = 1_000_000;

/// What is asked for.
#[derive(Debug, Deserialize)]
struct Asked {
    #[serde(rename = "type")]
    command_type: Box<str>,
    #[serde(default)]
    input: Option<Value>,
    #[serde(default)]
    connection: Option<Box<str>>,
}

/// Makes a command.
pub(super) fn create(request: Request, found: Found, limits: Limits) -> Step {
    let body = Do::Body {
        bytes_max: limits.body_bytes_max,
        principal: Some(Arc::clone(&found.principal)),
    };
    Step::then(body, move |done| {
        let made = done.body().and_then(|body| make(&request, &body, found, &limits));
        made.unwrap_or_else(|refusal| refused(&refusal))
    })
}

fn make(request: &Request, body: &[u8], found: Found, limits: &Limits) -> Result<Step, Refusal> {
    let asked = read(&request.parts, body)?;
    let Found {
        principal,
        tenant,
        stored,
    } = found;
    let document = stored.document;
    if document.commands.len() >= limits.commands.open_max {
        return Err(bad_request(limits.commands.too_many()));
    }
    let order = Order {
        command_type: asked.command_type,
        input: asked.input,
        secret: Vec::new(),
        connection: asked.connection,
        by: principal.id.clone(),
        lifetime: limits.commands.lifetime(),
    };
    let (command, event) = order.make(request.now);
    let item = to_raw_value(&event).map_err(|error| bad_request(error.to_string()))?;
    let act = Do::act(&principal, &tenant, &document.id, item);
    Ok(Step::then(act, move |done| match done.outcome() {
        Some(Ok(_)) => Step::Answer(json(StatusCode::CREATED, object(&document.id, &command))),
        Some(Err(rejection)) => refused(&rejected(&rejection)),
        None => refused(&unavailable()),
    }))
}

/// JSON, or the form that the original's page posts: its `input` is JSON text.
fn read(parts: &Parts, body: &[u8]) -> Result<Asked, Refusal> {
    let content_type = parts.headers.get(CONTENT_TYPE);
    let content_type = content_type
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let asked: Asked = if content_type.starts_with("application/x-www-form-urlencoded") {
        form(body)?
    } else {
        serde_json::from_slice(body).map_err(|error| bad_request(error.to_string()))?
    };
    if asked.command_type.is_empty() {
        return Err(bad_request("type must not be empty"));
    }
    Ok(asked)
}

fn form(body: &[u8]) -> Result<Asked, Refusal> {
    let text = std::str::from_utf8(body).map_err(|error| bad_request(error.to_string()))?;
    let form = Query::parse(Some(text));
    let member = |name: &str| Ok::<_, Refusal>(form.get(name)?.filter(|value| !value.is_empty()));
    let input = match member("input")? {
        Some(input) => Some(
            serde_json::from_str(input)
                .map_err(|error| bad_request(format!("input is not JSON: {error}")))?,
        ),
        None => None,
    };
    Ok(Asked {
        command_type: member("type")?
            .ok_or_else(|| bad_request("type is required"))?
            .into(),
        input,
        connection: member("connection")?.map(Into::into),
    })
}

/// A page of a device's commands, newest first.
pub(super) fn list(request: Request, found: Found, limits: &Limits) -> Result<Step, Refusal> {
    let number = |name: &str, most, default| {
        let number = request.query.number(name, 1, most)?.unwrap_or(default);
        Ok::<_, Refusal>(usize::try_from(number).unwrap_or(usize::MAX))
    };
    let page = number("page", PAGES_MAX, 1).map_err(|_| no_page())?;
    let size = number("page_size", PAGE_SIZE_MAX, PAGE_SIZE)?;
    Ok(gather(found, limits, move |device, commands| {
        let from = (page - 1).saturating_mul(size);
        if page > 1 && from >= commands.len() {
            return refused(&no_page());
        }
        let count = commands.len();
        let next = (from + size < count).then_some(page + 1);
        let previous = (page > 1).then(|| page - 1);
        let link = |page: Option<usize>| {
            page.map_or_else(
                || "null".to_owned(),
                |page| quoted(&link(&request.parts, &request.query, page)),
            )
        };
        let shown = commands.iter().skip(from).take(size);
        let shown: Vec<String> = shown.map(|command| object(device, command)).collect();
        let text = format!(
            "{{\"count\":{count},\"next\":{},\"previous\":{},\"results\":[{}]}}",
            link(next),
            link(previous),
            shown.join(",")
        );
        Step::Answer(json(StatusCode::OK, text))
    }))
}

fn no_page() -> Refusal {
    access::http::Problem::not_found("Invalid page.").into()
}

/// The address of another page, as the client would ask for it.
fn link(parts: &Parts, query: &Query, page: usize) -> String {
    let header = |name: HeaderName| parts.headers.get(name).and_then(|value| value.to_str().ok());
    let uri = &parts.uri;
    let host = uri
        .authority()
        .map(http::uri::Authority::as_str)
        .or_else(|| header(HOST));
    let scheme = header(HeaderName::from_static("x-forwarded-proto"))
        .filter(|scheme| matches!(*scheme, "http" | "https"))
        .or_else(|| uri.scheme_str())
        .unwrap_or("http");
    let mut pairs = form_urlencoded::Serializer::new(String::new());
    for name in ["page_size", "tenant"] {
        for value in query.all(name) {
            pairs.append_pair(name, value);
        }
    }
    pairs.append_pair("page", &page.to_string());
    let tail = format!("{}?{}", uri.path(), pairs.finish());
    host.map_or_else(|| tail.clone(), |host| format!("{scheme}://{host}{tail}"))
}

/// One command.
pub(super) fn one(id: Box<str>, found: Found, limits: &Limits) -> Step {
    gather(found, limits, move |device, commands| {
        match commands.iter().find(|command| command.command_id == id) {
            Some(command) => Step::Answer(json(StatusCode::OK, object(device, command))),
            None => refused(&not_found()),
        }
    })
}

/// A search of the history for commands.
struct Search {
    found: Found,
    known: HashMap<Box<str>, DeviceCommand>,
    rows: usize,
    rows_max: usize,
}

/// Looks for the device's commands, and goes on with them, newest first.
fn gather(
    found: Found,
    limits: &Limits,
    then: impl FnOnce(&str, &[DeviceCommand]) -> Step + Send + 'static,
) -> Step {
    let search = Search {
        found,
        known: HashMap::new(),
        rows: 0,
        rows_max: limits.history_rows_max,
    };
    search.read(None, Box::new(then))
}

type Then = Box<dyn FnOnce(&str, &[DeviceCommand]) -> Step + Send>;

impl Search {
    fn read(mut self, page: Option<Box<str>>, then: Then) -> Step {
        let ask = Ask::History {
            device: Some(self.found.stored.document.id.clone()),
            kinds: vec![Kind::Command],
            from: 0,
            page,
            limit: PAGE,
        };
        let ask = Do::ask(&self.found.tenant, &self.found.principal, ask);
        Step::then(ask, move |done| {
            let Answer::History(page) = done.answer() else {
                return refused(&unavailable());
            };
            self.rows += page.rows.len();
            for row in &page.rows {
                take_step(&mut self.known, &row.event);
            }
            match page.next {
                Some(next) if self.rows < self.rows_max => self.read(Some(next), then),
                Some(_) | None => self.finish(then),
            }
        })
    }

    fn finish(mut self, then: Then) -> Step {
        let document = self.found.stored.document;
        for command in &document.commands {
            let known = self.known.get(&command.command_id);
            if !known.is_some_and(|known| is_end(known.status)) {
                self.known.insert(command.command_id.clone(), command.clone());
            }
        }
        let mut commands: Vec<DeviceCommand> = self.known.into_values().collect();
        commands.sort_unstable_by(|a, b| (b.created, &b.command_id).cmp(&(a.created, &a.command_id)));
        then(&document.id, &commands)
    }
}
