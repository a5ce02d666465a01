//! What the query of a stream asks for, before anything is looked up.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use access::http::{Problem, Query};
use http::HeaderValue;
use jiff::{SignedDuration, Timestamp};
use journal::{Cursor, Offset, Partition};
use query::ParseError;
use schemas::{Kind, json};

use super::OpenSettings;
use crate::filters::Filters;
use crate::subscription::{Delivery, DeviceSet, KindSet, View};

/// Every parameter that a stream knows; `token` is the credential.
const KNOWN: [&str; 12] = [
    "view",
    "device",
    "kind",
    "metric",
    "q",
    "since",
    "snapshot",
    "deliver",
    "every",
    "last_event_id",
    "tenant",
    "token",
];

/// From where a stream shall run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum From {
    /// Now.
    Live,
    /// The first record kept.
    Earliest,
    /// The first record at or after this time, milliseconds since the Unix epoch.
    Time(i64),
    /// Where an earlier stream was.
    Cursor(Cursor),
    /// Where what is known of the devices ends: offsets by partition. No client can ask for it.
    Position(Partition, Offset),
    /// A `Last-Event-ID` that says nothing to us.
    Unreadable,
}

/// A stream as it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Parameters {
    pub(crate) view: View,
    /// The tenant that the query names.
    pub(crate) tenant: Option<Box<str>>,
    pub(crate) devices: DeviceSet,
    pub(crate) kinds: KindSet,
    pub(crate) metrics: Option<Arc<BTreeSet<Box<str>>>>,
    pub(crate) filters: Option<Filters>,
    pub(crate) delivery: Delivery,
    pub(crate) every: Option<Duration>,
    pub(crate) snapshot: bool,
    pub(crate) from: From,
}

/// A query that cannot be followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{parameter}: {message}")]
pub(crate) struct BadParameter {
    pub(crate) parameter: Box<str>,
    pub(crate) message: String,
    /// Where the mistake stands in the value of a filter, in characters from 1.
    pub(crate) column: Option<usize>,
}

impl BadParameter {
    /// The answer to it.
    pub(crate) fn into_problem(self) -> Problem {
        let problem = Problem::bad_request(self.to_string()).with("parameter", &*self.parameter);
        match self.column {
            Some(column) => problem.with("column", column),
            None => problem,
        }
    }
}

/// A parameter that is no filter.
impl std::convert::From<ParseError> for BadParameter {
    fn from(error: ParseError) -> Self {
        Self {
            column: Some(error.column),
            ..bad("q", error.to_string())
        }
    }
}

type Parsed<T> = Result<T, BadParameter>;

fn bad(parameter: &str, message: impl Into<String>) -> BadParameter {
    BadParameter {
        parameter: parameter.into(),
        message: message.into(),
        column: None,
    }
}

impl Parameters {
    /// Reads the query and the `Last-Event-ID` header, which comes before everything in the query.
    pub(crate) fn read(
        query: &Query,
        last_event_id: Option<&HeaderValue>,
        settings: &OpenSettings,
    ) -> Parsed<Self> {
        check_names(query)?;
        let view = word(
            query,
            "view",
            &[("events", View::Events), ("devices", View::Devices)],
        )?
        .unwrap_or(View::Events);
        let deliveries = [("every", Delivery::Every), ("latest", Delivery::Latest)];
        let delivery = word(query, "deliver", &deliveries)?.unwrap_or(Delivery::Every);
        let snapshot = word(query, "snapshot", &[("true", true), ("false", false)])?;
        if view == View::Events && snapshot.is_some() {
            return Err(bad("snapshot", "belongs to view=devices"));
        }
        let snapshot = snapshot.unwrap_or(false);
        let from = from(query, last_event_id)?;
        match from {
            From::Earliest | From::Time(_) if snapshot => {
                let message = "a stream with snapshot=true begins with the present: leave one of them out";
                return Err(bad("since", message));
            }
            From::Earliest
            | From::Time(_)
            | From::Live
            | From::Cursor(_)
            | From::Position(..)
            | From::Unreadable => {}
        }
        Ok(Self {
            view,
            tenant: once(query, "tenant")?.map(Into::into),
            devices: devices(query, settings)?,
            kinds: kinds(query)?,
            metrics: metrics(query, view, settings)?,
            filters: filters(query, view, settings)?,
            every: every(query, delivery, settings)?,
            delivery,
            snapshot,
            from,
        })
    }
}

/// A misspelt name would give a stream that shows something else than was meant, for hours: it is
/// refused.
fn check_names(query: &Query) -> Parsed<()> {
    match query.names().find(|name| !KNOWN.contains(name)) {
        Some(name) => Err(bad(name, format!("unknown; a stream knows {}", KNOWN.join(", ")))),
        None => Ok(()),
    }
}

fn once<'a>(query: &'a Query, name: &str) -> Parsed<Option<&'a str>> {
    query.get(name).map_err(|problem| bad(name, problem.detail()))
}

fn word<T: Copy>(query: &Query, name: &str, words: &[(&str, T)]) -> Parsed<Option<T>> {
    let Some(given) = once(query, name)? else {
        return Ok(None);
    };
    match words.iter().find(|(word, _)| *word == given) {
        Some((_, value)) => Ok(Some(*value)),
        None => {
            let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            Err(bad(name, format!("{given:?} is none of {}", words.join(", "))))
        }
    }
}

/// The values of a parameter that is a list: separated by commas, and it may stand more than once.
fn list<'a>(query: &'a Query, name: &str) -> impl Iterator<Item = &'a str> {
    query.all(name).flat_map(|values| values.split(','))
}

fn devices(query: &Query, settings: &OpenSettings) -> Parsed<DeviceSet> {
    let mut devices = BTreeSet::new();
    for device in list(query, "device") {
        json::check_device(device)
            .map_err(|invalid| bad("device", format!("{device:?}: {}", invalid.message)))?;
        devices.insert(Box::from(device));
        if devices.len() > settings.devices_max {
            let message = format!("a stream names at most {} devices", settings.devices_max);
            return Err(bad("device", message));
        }
    }
    Ok(if devices.is_empty() {
        DeviceSet::All
    } else {
        DeviceSet::Set(Arc::new(devices))
    })
}

fn kinds(query: &Query) -> Parsed<KindSet> {
    let mut kinds = KindSet::NONE;
    for name in list(query, "kind") {
        let Some(kind) = Kind::from_name(name) else {
            let known: Vec<&str> = Kind::ALL.into_iter().map(Kind::name).collect();
            return Err(bad("kind", format!("{name:?} is none of {}", known.join(", "))));
        };
        kinds = kinds.with(kind);
    }
    Ok(if kinds == KindSet::NONE {
        KindSet::ALL
    } else {
        kinds
    })
}

fn metrics(query: &Query, view: View, settings: &OpenSettings) -> Parsed<Option<Arc<BTreeSet<Box<str>>>>> {
    let mut metrics = list(query, "metric").peekable();
    if view == View::Devices && metrics.peek().is_some() {
        return Err(bad("metric", "belongs to view=events"));
    }
    MetricLimits::of(settings)
        .check(metrics)
        .map_err(|message| bad("metric", message))
}

/// What the names of metrics may be that a stream shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MetricLimits {
    count: usize,
    bytes: usize,
}

impl MetricLimits {
    pub(crate) const fn of(settings: &OpenSettings) -> Self {
        Self {
            count: settings.metrics_max,
            bytes: settings.metric_bytes_max,
        }
    }

    /// The set of these, `None` without any; else what is wrong with them.
    pub(crate) fn check<'a>(
        self,
        names: impl Iterator<Item = &'a str>,
    ) -> Result<Option<Arc<BTreeSet<Box<str>>>>, String> {
        let Self { count, bytes } = self;
        let mut metrics = BTreeSet::new();
        for name in names {
            if name.is_empty() || name.len() > bytes {
                return Err(format!(
                    "a metric is the dotted path of a field, 1 to {bytes} bytes"
                ));
            }
            metrics.insert(Box::from(name));
            if metrics.len() > count {
                return Err(format!("a stream names at most {count} metrics"));
            }
        }
        Ok((!metrics.is_empty()).then(|| Arc::new(metrics)))
    }
}

fn filters(query: &Query, view: View, settings: &OpenSettings) -> Parsed<Option<Filters>> {
    let Some(text) = once(query, "q")? else {
        return Ok(None);
    };
    if view == View::Events {
        return Err(bad("q", "belongs to view=devices"));
    }
    Ok(Some(Filters::parse(text, &settings.filters)?))
}

fn every(query: &Query, delivery: Delivery, settings: &OpenSettings) -> Parsed<Option<Duration>> {
    let Some(text) = once(query, "every")? else {
        return Ok(None);
    };
    if delivery == Delivery::Every {
        return Err(bad("every", "belongs to deliver=latest"));
    }
    let every = text
        .parse::<SignedDuration>()
        .ok()
        .and_then(|every| Duration::try_from(every).ok());
    let (least, most) = settings.every;
    match every {
        Some(every) if (least..=most).contains(&every) => Ok(Some(every)),
        Some(_) | None => Err(bad(
            "every",
            format!("{text:?} is no duration from {least:?} to {most:?}, such as 500ms"),
        )),
    }
}

/// From where the stream runs: the header comes before everything in the query.
pub(crate) fn from(query: &Query, last_event_id: Option<&HeaderValue>) -> Parsed<From> {
    if let Some(id) = last_event_id.filter(|id| !id.is_empty()) {
        // A browser never connects again after a 400, and cannot be told to forget its id.
        let cursor = id.to_str().ok().and_then(|text| text.parse().ok());
        return Ok(cursor.map_or(From::Unreadable, From::Cursor));
    }
    if let Some(text) = once(query, "last_event_id")?.filter(|text| !text.is_empty()) {
        return cursor("last_event_id", text);
    }
    match once(query, "since")? {
        None | Some("latest") => Ok(From::Live),
        Some("earliest") => Ok(From::Earliest),
        Some(text) => match text.parse::<Timestamp>() {
            Ok(time) => Ok(From::Time(time.as_millisecond())),
            // A time whose + was not escaped.
            Err(_) if text.contains(' ') || text.contains(':') => {
                let message =
                    format!("{text:?} is no RFC 3339 time, such as 2025-05-01T12:00:00Z (write + as %2B)");
                Err(bad("since", message))
            }
            Err(_) => cursor("since", text),
        },
    }
}

fn cursor(parameter: &str, text: &str) -> Parsed<From> {
    text.parse()
        .map(From::Cursor)
        .map_err(|error: journal::cursor::CursorError| bad(parameter, error.to_string()))
}

#[cfg(test)]
mod tests;
