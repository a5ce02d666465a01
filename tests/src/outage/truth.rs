//! What stands in the log, read past every gateway and every proxy.

use std::collections::BTreeMap;

use journal::{Journal, Offset, Partition, Topic};
use schemas::event::{PresenceReason, Status};
use schemas::{Body, Change, Event, Micros, json};
use serde_json::Value;
use state::fold::is_sign_of_life;

use super::viewers::mark;

/// A device of a tenant.
pub type Device = (String, String);

/// An event as it stands in the log.
#[derive(Debug, Clone)]
pub struct Logged {
    /// Its partition.
    pub partition: Partition,
    /// Its offset.
    pub offset: Offset,
    /// Its id.
    pub id: String,
    /// Its kind.
    pub kind: &'static str,
    /// As clients tell it from others.
    pub mark: u64,
    /// When the device says that it was; of a verdict of silence: when its time had run out.
    pub occurred_at: Micros,
    /// When it was received; of the reactor's: when it was decided.
    pub received_at: Micros,
    /// Whether the device itself sent it, or is said to live.
    pub is_life: bool,
    /// What the reactor says, if it is one of its own. Nobody else in a run speaks of presence or alerts.
    pub reaction: Option<Reaction>,
}

/// What the reactor says of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reaction {
    /// How it is.
    Presence {
        /// From now on.
        status: Option<Status>,
        /// Because it was silent.
        of_silence: bool,
    },
    /// A step of an alert.
    Alert,
}

/// A state record.
#[derive(Debug, Clone)]
pub struct Stated {
    /// Its offset.
    pub offset: Offset,
    /// Offset of the event that made the change.
    pub source: Offset,
    /// The document as the API shows it; `None`: deleted.
    pub document: Option<Value>,
}

/// Both topics, by device, in order.
#[derive(Debug, Default)]
pub struct Truth {
    /// Events.
    pub events: BTreeMap<Device, Vec<Logged>>,
    /// Changes of state.
    pub states: BTreeMap<Device, Vec<Stated>>,
}

impl Truth {
    /// Reads both topics to their ends.
    pub async fn read(journal: &Journal) -> Self {
        let mut truth = Self::default();
        for partition in 0..journal.layout.partitions {
            for topic in [Topic::Events, Topic::State] {
                let mut at = 0;
                loop {
                    let block = journal.reader.read(topic, partition, at, 1 << 20).await;
                    let block = block.expect("the log is readable when everything runs");
                    if block.records.is_empty() {
                        break;
                    }
                    at = block.next;
                    for record in &block.records {
                        truth.take(topic, partition, record);
                    }
                }
            }
        }
        truth
    }

    fn take(&mut self, topic: Topic, partition: Partition, record: &journal::Record) {
        let (tenant, device) = record.key.split_once('/').expect("a key");
        let device = (tenant.to_owned(), device.to_owned());
        if topic == Topic::State {
            let document = record.value.as_ref().map(|value| {
                let change = Change::decode(value).expect("a change");
                let mut text = Vec::new();
                json::write_document(&change.document, &mut text);
                serde_json::from_slice(&text).expect("JSON")
            });
            let source = record.headers.source_offset.expect("a source");
            self.states.entry(device).or_default().push(Stated {
                offset: record.offset,
                source,
                document,
            });
            return;
        }
        let event = Event::decode(record.value.as_ref().expect("a value")).expect("an event");
        let kind = event.body.kind().name();
        self.events.entry(device).or_default().push(Logged {
            partition,
            offset: record.offset,
            id: event.id.to_string(),
            kind,
            mark: mark(&event.id, kind),
            occurred_at: event.occurred_at,
            received_at: event.received_at,
            is_life: is_sign_of_life(&event),
            reaction: reaction(&event.body),
        });
    }
}

fn reaction(body: &Body) -> Option<Reaction> {
    if let Body::Presence(presence) = body {
        return Some(Reaction::Presence {
            status: presence.status,
            of_silence: presence.reason == PresenceReason::Silence,
        });
    }
    matches!(body, Body::Alert(_)).then_some(Reaction::Alert)
}
