//! The fold, and the projector's state machine over it: however the log is cut into batches, whatever is
//! forgotten between them, the same events give the same bytes.

mod model;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use journal::{Headers, NewRecord, Offset, Record};
use projector::Settings;
use projector::partition::{Decision, Partition, Rules};
use projector::reactor::{Heartbeat, Silence};
use projector::source::SourceBatch;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use schemas::{Body, Document, Event, Kind};
use state::counts::{self, CountsByTenant};
use state::{DeviceKey, Limits, Stored, Write};

use crate::fleet::{SECOND, START, TENANTS, body, pick};
use crate::runner::{Simulation, Trace, check};
use model::{Expected, StateRecord, one_by_one};

pub(crate) struct Folding;

/// The next event of the log.
#[derive(Clone)]
pub(crate) struct Step(Event);

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut json = Vec::new();
        schemas::json::write_event(&self.0, &mut json);
        f.write_str(&String::from_utf8_lossy(&json))
    }
}

/// Documents may have so many bytes here, so that some events are refused.
const LIMITS: Limits = Limits {
    document_bytes_max: 1_500,
    registration_required: false,
};
/// Ways in which one log is cut into batches.
const CUTS: u64 = 3;

impl Simulation for Folding {
    type Step = Step;
    const NAME: &'static str = "any_batches_give_the_same_bytes";

    fn plan(&self, random: &mut StdRng, steps: usize) -> Vec<Step> {
        let mut events: Vec<Event> = Vec::with_capacity(steps);
        for number in 0..steps as i64 {
            let again = random.random_range(0..8) == 0;
            if let (true, Some(at)) = (again, events.len().checked_sub(1)) {
                let mut event = events[at - random.random_range(0..=at.min(30))].clone();
                event.received_at = START + number * SECOND;
                events.push(event);
                continue;
            }
            let at = START + number * SECOND + random.random_range(-2..=2) * SECOND / 2;
            let body = if random.random_range(0..30) == 0 {
                Body::Deleted
            } else {
                body(random)
            };
            let device = format!("bus-{}", random.random_range(0..4));
            let mut event =
                crate::fleet::event(&format!("e{number}"), pick(random, &TENANTS), &device, at, body);
            if random.random_range(0..4) == 0 {
                event.occurred_at -= random.random_range(0..20) * SECOND;
            }
            events.push(event);
        }
        events.into_iter().map(Step).collect()
    }

    fn run(&self, seed: u64, steps: &[Step]) -> Result<Trace, String> {
        let events: Vec<&Event> = steps.iter().map(|step| &step.0).collect();
        let expected = one_by_one(&events)?;
        for cut in 0..CUTS {
            let mut random = StdRng::seed_from_u64(seed.wrapping_mul(CUTS).wrapping_add(cut));
            in_batches(&mut random, &events, &expected).map_err(|broken| format!("cut {cut}: {broken}"))?;
        }
        let line = |(source, key, value): &StateRecord| {
            format!("{source} {key} {:08x}", value.as_deref().map_or(0, checksum))
        };
        Ok(expected.records.iter().map(line).collect())
    }
}

#[test]
fn any_batches_give_the_same_bytes() {
    check(&Folding, 0..60, 250);
}

fn checksum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(2_166_136_261, |hash, byte| {
        (hash ^ u32::from(*byte)).wrapping_mul(16_777_619)
    })
}

/// What the state machine leaves in a store and in the log.
struct Replayed {
    partition: Partition,
    rows: BTreeMap<DeviceKey, (Bytes, Offset)>,
    records: Vec<StateRecord>,
}

fn in_batches(random: &mut StdRng, events: &[&Event], expected: &Expected) -> Result<(), String> {
    let rules = Rules {
        partition: 3,
        generation: 1,
        limits: LIMITS,
        history_kinds: Kind::ALL.to_vec(),
        rejected_per_batch_max: 10,
        // From hardly any to all.
        cached_document_bytes_max: pick(random, &[0, 3_000, 1 << 20]),
        silence: Silence {
            stale_after: 30 * SECOND,
            offline_after: 600 * SECOND,
            unobserved_max: 5 * SECOND,
            pending_max: 60 * SECOND,
        },
        heartbeat: Heartbeat::of(&Settings::default()),
    };
    let batch_max = pick(random, &[1, 7, 60]);
    let mut replayed = Replayed {
        partition: Partition::new(rules.clone()),
        rows: BTreeMap::new(),
        records: Vec::new(),
    };
    let records: Vec<Record> = (0..)
        .zip(events)
        .map(|(offset, event)| record(offset, event))
        .collect();
    let mut from = 0;
    while from < records.len() {
        if random.random_range(0..6) == 0 {
            replayed.restart(&rules)?;
        }
        let until = (from + random.random_range(1..=batch_max)).min(records.len());
        replayed.take(&SourceBatch::read(&records[from..until], until as u64))?;
        from = until;
    }
    replayed.restart(&rules)?;
    replayed.equals(expected)
}

fn record(offset: Offset, event: &Event) -> Record {
    Record {
        offset,
        timestamp_ms: event.received_at / 1_000,
        key: format!("{}/{}", event.tenant, event.device).into(),
        value: Some(event.encode()),
        headers: Headers {
            kind: event.body.kind().name().into(),
            generation: 1,
            ..Headers::default()
        },
    }
}

impl Replayed {
    fn stored(&self, key: &DeviceKey) -> Result<Option<Stored>, String> {
        let Some((bytes, source)) = self.rows.get(key) else {
            return Ok(None);
        };
        let document = Document::decode(bytes).map_err(|error| error.to_string())?;
        Ok(Some(Stored {
            document: Arc::new(document),
            source: *source,
        }))
    }

    /// Forgets all but what is stored.
    fn restart(&mut self, rules: &Rules) -> Result<(), String> {
        let counts = self.partition.counts().clone();
        self.partition = Partition::new(rules.clone());
        for key in self.rows.keys() {
            if let Some(stored) = self.stored(key)? {
                self.partition.restore(&stored);
            }
        }
        if *self.partition.counts() != counts {
            return Err(format!(
                "counted again: {:?}, was {counts:?}",
                self.partition.counts()
            ));
        }
        Ok(())
    }

    fn take(&mut self, batch: &SourceBatch) -> Result<(), String> {
        let mut fetched = Vec::new();
        for key in self.partition.missing(&batch.events) {
            let stored = self.stored(&key)?;
            fetched.push((key, stored));
        }
        let now = batch.events.last().map_or(START, |event| event.event.received_at);
        let Decision {
            state, writes, next, ..
        } = self.partition.handle(batch, fetched, now);
        if next != batch.next {
            return Err(format!(
                "the batch ends at {}, the decision at {next}",
                batch.next
            ));
        }
        self.records.extend(state.into_iter().map(
            |NewRecord {
                 key, value, headers, ..
             }| { (headers.source_offset.unwrap_or(Offset::MAX), key, value) },
        ));
        for Write {
            key,
            document,
            source,
            ..
        } in writes
        {
            match document {
                Some(document) => drop(self.rows.insert(key, (document.encode(), source))),
                None => drop(self.rows.remove(&key)),
            }
        }
        let counted: CountsByTenant = counts::count(self.documents()?.values());
        if counted != *self.partition.counts() {
            return Err(format!(
                "counts are {:?}, should be {counted:?}",
                self.partition.counts()
            ));
        }
        Ok(())
    }

    fn documents(&self) -> Result<BTreeMap<DeviceKey, Document>, String> {
        let decode = |(key, (bytes, _)): (&DeviceKey, &(Bytes, Offset))| {
            Document::decode(bytes)
                .map(|document| (key.clone(), document))
                .map_err(|error| error.to_string())
        };
        self.rows.iter().map(decode).collect()
    }

    fn equals(&self, expected: &Expected) -> Result<(), String> {
        if let Some((found, due)) = self
            .records
            .iter()
            .zip(&expected.records)
            .find(|(found, due)| found != due)
        {
            return Err(format!(
                "the state record of event {} differs, or that of {}",
                found.0, due.0
            ));
        }
        if self.records.len() != expected.records.len() {
            return Err(format!(
                "{} state records, should be {}",
                self.records.len(),
                expected.records.len()
            ));
        }
        let rows: BTreeMap<_, _> = self
            .rows
            .iter()
            .map(|(key, (bytes, _))| (key, bytes.clone()))
            .collect();
        let due: BTreeMap<_, _> = expected
            .documents
            .iter()
            .map(|(key, document)| (key, document.encode()))
            .collect();
        if rows != due {
            let differs = due.iter().find(|(key, bytes)| rows.get(*key) != Some(bytes));
            return Err(format!(
                "documents differ, such as that of {:?}",
                differs.map(|(key, _)| key)
            ));
        }
        Ok(())
    }
}
