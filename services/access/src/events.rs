//! The way in for events, whatever surface they came by: validation, placement, append.
//!
//! `ingest` implements it; whoever else takes events from devices (the device socket, the dialects)
//! is handed it by `node`, so that there is one admission for all of them.

use async_trait::async_trait;
use journal::{Headers, NewRecord, Partition, Position, Topic};
use schemas::{Event, Micros};
use serde_json::value::RawValue;

use crate::Principal;

/// Events that came in together, in the order of their sender.
#[derive(Debug)]
pub struct Submission {
    /// The tenant they are for, as [`Principal::resolve_tenant`] answered.
    pub tenant: Box<str>,
    /// The device of items that name none: that of a device's socket or path.
    pub device: Option<Box<str>>,
    /// Each one event in the JSON of `POST /v1/events`.
    pub items: Vec<Box<RawValue>>,
    /// `traceparent` of the request or frame, for the records' headers.
    pub traceparent: Option<Box<str>>,
}

/// An event that is durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// Its id: the sender's, or the one it was given.
    pub id: Box<str>,
    /// The sender's sequence number.
    pub seq: Option<i64>,
    /// Where it lies in `wakeline.events`.
    pub position: Position,
    /// When it was received: the record's time.
    pub received_at: Micros,
}

/// An event that was not taken, or of which that is not known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub struct Rejection {
    /// For people; names the member and says what to do.
    pub error: String,
    /// Why.
    pub reason: Reason,
    /// The item's sequence number, where it could be read.
    pub seq: Option<i64>,
}

/// Why an event was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// No event: sending it again changes nothing.
    Invalid,
    /// Larger than an event may be.
    TooLarge,
    /// This principal may not send it.
    Forbidden,
    /// Its device sends too fast: send it again, later.
    RateLimited,
    /// The log refuses it for good.
    Refused,
    /// The log did not take it, or whether it did is not known: send it again, with the same id.
    Retry,
}

impl Rejection {
    /// Whether the sender should send the item again, later: the `retry` member of the answer.
    #[must_use]
    pub const fn retry(&self) -> bool {
        match self.reason {
            Reason::Retry | Reason::RateLimited => true,
            Reason::Invalid | Reason::TooLarge | Reason::Forbidden | Reason::Refused => false,
        }
    }
}

/// What became of one item.
pub type Outcome = Result<Accepted, Rejection>;

/// Takes events: judges each, appends the good ones, answers when they are durable.
#[async_trait]
pub trait EventSink: Send + Sync {
    /// The outcome of each item, in order. A rejected item never keeps a later one from being taken,
    /// except that after [`Reason::Retry`] every later item of the same device is rejected so too.
    async fn submit(&self, principal: &Principal, submission: Submission) -> Vec<Outcome>;
}

/// The record of `event` for `wakeline.events`, in `partition` by the tenant's placement.
#[must_use]
pub fn record(event: &Event, partition: Partition, generation: u32, traceparent: Option<&str>) -> NewRecord {
    NewRecord {
        topic: Topic::Events,
        partition,
        key: format!("{}/{}", event.tenant, event.device).into(),
        value: Some(event.encode()),
        timestamp_ms: event.received_at.div_euclid(1_000),
        headers: Headers {
            kind: event.body.kind().name().into(),
            generation,
            traceparent: traceparent.map(Into::into),
            source_offset: None,
        },
    }
}
