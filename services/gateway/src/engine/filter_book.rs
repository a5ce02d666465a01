//! The filters of one worker's streams: each compiled once, whoever has it, and run once on each change.

use std::cell::Cell;
use std::sync::Arc;

use journal::{Offset, Partition, Topic};
use prometheus::{IntCounter, IntGauge};
use query::{Field, Fields, Filter, Memo, Value};
use schemas::{Change, Document};
use smallvec::SmallVec;
use state::{Before, Filterable};

use super::filtered::{Entry, Filtered, Judge, Outcome};
use super::index::Slot;
use super::intern::{Id, Interner};
use super::record::LogRecord;
use crate::filters::Filters;
use crate::subscription::{DeviceSet, Selection};

pub(crate) struct FilterBook {
    held: Interner<Box<str>, Held>,
    index: Filtered,
    /// Of the change that is judged for live streams.
    number: Cell<u64>,
    /// Names a filter for ever, as its number in `held` does not.
    serials: u32,
    /// Of streams that are behind; none until the first one.
    remembered: Vec<Remembered>,
    evaluations: IntCounter,
    filters: IntGauge,
}

struct Held {
    filter: Arc<Filter>,
    serial: u32,
    /// On the change of that number.
    last: Cell<(u64, Verdict)>,
}

/// What is known of one filter and one change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Verdict {
    shown: Option<bool>,
    left: Option<bool>,
}

/// Streams that are behind read the same records, one after the other.
#[derive(Clone, Copy, Default)]
struct Remembered {
    serial: u32,
    partition: Partition,
    offset: Offset,
    verdict: Verdict,
}

/// Verdicts that are remembered: what a few streams read of one partition in a turn, each filter for itself.
const REMEMBERED: usize = 4_096;

impl FilterBook {
    pub(crate) fn new(evaluations: IntCounter, filters: IntGauge) -> Self {
        Self {
            held: Interner::new(),
            index: Filtered::default(),
            number: Cell::new(0),
            serials: 0,
            remembered: Vec::new(),
            evaluations,
            filters,
        }
    }

    /// The numbers of a stream's filters.
    pub(crate) fn acquire(&mut self, filters: &Filters) -> Box<[Id]> {
        let (held, serials, gauge) = (&mut self.held, &mut self.serials, &self.filters);
        let mut acquire = |filter: &Arc<Filter>| {
            held.acquire(&Box::from(filter.text()), || {
                *serials = serials.wrapping_add(1);
                gauge.inc();
                Held {
                    filter: Arc::clone(filter),
                    serial: *serials,
                    last: Cell::default(),
                }
            })
        };
        filters.iter().map(&mut acquire).collect()
    }

    /// Gives them back.
    pub(crate) fn release(&mut self, ids: &[Id]) {
        for id in ids {
            if self.held.release(*id).is_some() {
                self.filters.dec();
            }
        }
    }

    /// Has a live stream found by [`find`](Self::find).
    pub(crate) fn insert(&mut self, selection: &Selection, devices: &DeviceSet, ids: &[Id], slot: Slot) {
        for id in ids {
            let filter = &*self.held[*id].filter;
            self.index.insert(entry(selection, devices, filter, *id), slot);
        }
    }

    /// Removes a stream that was inserted with the same arguments.
    pub(crate) fn remove(&mut self, selection: &Selection, devices: &DeviceSet, ids: &[Id], slot: Slot) {
        for id in ids {
            let filter = &*self.held[*id].filter;
            self.index.remove(entry(selection, devices, filter, *id), slot);
        }
    }

    /// Adds to `wanted` the streams with filters that are to be told of a record of `wakeline.state`, each
    /// once.
    pub(crate) fn find(&self, record: &LogRecord, wanted: &mut Vec<(Slot, Outcome)>) {
        if self.index.is_silent(record.tenant()) {
            return;
        }
        let (name, kind) = ((record.tenant(), record.device()), record.kind);
        if record.value.is_none() {
            return self.index.find_deleted(name, kind, wanted);
        }
        let Some(change) = record.change() else {
            return;
        };
        self.number.set(self.number.get() + 1);
        let (after, before) = (Filterable::new(&change.document), Before::new(change));
        let ruling = Ruling {
            book: self,
            after: Memo::new(&after),
            before: Memo::new(&before),
            is_new: before.is_new(),
        };
        self.index.find(name, kind, &ruling, wanted);
    }

    /// What the filters `ids` say of a record of `wakeline.state`.
    pub(crate) fn outcome(&mut self, ids: &[Id], tells_left: bool, record: &LogRecord) -> Option<Outcome> {
        if ids.is_empty() || record.topic != Topic::State {
            return None;
        }
        if record.value.is_none() {
            return Some(Outcome::Shown);
        }
        let change = record.change()?;
        if self.remembered.is_empty() {
            self.remembered = vec![Remembered::default(); REMEMBERED];
        }
        let mut best = None;
        let mut unknown: SmallVec<[Id; 1]> = SmallVec::new();
        for id in ids {
            match self.recall(*id, record).known(tells_left) {
                Some(Some(Outcome::Shown)) => return Some(Outcome::Shown),
                Some(known) => best = best.max(known),
                None => unknown.push(*id),
            }
        }
        if unknown.is_empty() {
            return best;
        }
        self.judge(&unknown, tells_left, record, change).max(best)
    }

    fn judge(
        &mut self,
        ids: &[Id],
        tells_left: bool,
        record: &LogRecord,
        change: &Change,
    ) -> Option<Outcome> {
        let (after, before) = (Filterable::new(&change.document), Before::new(change));
        let is_new = before.is_new();
        let (after, before) = (Memo::new(&after), Memo::new(&before));
        let mut best = None;
        for id in ids {
            let mut verdict = self.recall(*id, record);
            let filter = &self.held[*id].filter;
            let (outcome, runs) = verdict.complete(filter, (&after, &before), is_new, tells_left);
            self.evaluations.inc_by(runs);
            self.remember(*id, record, verdict);
            best = best.max(outcome);
            if best == Some(Outcome::Shown) {
                break;
            }
        }
        best
    }

    /// Whether a device as it is passes.
    pub(crate) fn passes(&self, ids: &[Id], document: &Document) -> bool {
        let document = Filterable::new(document);
        let document = Memo::new(&document);
        self.evaluations.inc_by(ids.len() as u64);
        ids.iter()
            .any(|id| self.held[*id].filter.matches(&document, &document))
    }

    fn recall(&self, id: Id, record: &LogRecord) -> Verdict {
        let serial = self.held[id].serial;
        let known = &self.remembered[slot(serial, record)];
        let is_it =
            (known.serial, known.partition, known.offset) == (serial, record.partition, record.offset);
        if is_it { known.verdict } else { Verdict::default() }
    }

    fn remember(&mut self, id: Id, record: &LogRecord, verdict: Verdict) {
        let serial = self.held[id].serial;
        self.remembered[slot(serial, record)] = Remembered {
            serial,
            partition: record.partition,
            offset: record.offset,
            verdict,
        };
    }
}

fn entry<'e>(selection: &'e Selection, devices: &'e DeviceSet, filter: &'e Filter, id: Id) -> Entry<'e> {
    Entry {
        tenant: &selection.tenant,
        devices,
        // What is told to the conversation is not shown.
        kinds: selection
            .kinds
            .without(selection.told.kinds)
            .without(selection.told.of_all),
        tells_left: selection.filters.as_ref().is_some_and(Filters::tells_left),
        filter,
        id,
    }
}

/// Neighbours in the log stand side by side, filters and partitions apart.
fn slot(serial: u32, record: &LogRecord) -> usize {
    let apart = u64::from(serial) << 32 | u64::from(record.partition);
    let mixed = apart.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
    (mixed.wrapping_add(record.offset) % REMEMBERED as u64) as usize
}

impl Verdict {
    /// What it says, if that is known.
    fn known(self, tells_left: bool) -> Option<Option<Outcome>> {
        match (self.shown?, tells_left) {
            (true, _) => Some(Some(Outcome::Shown)),
            (false, false) => Some(None),
            (false, true) => self.left.map(|left| left.then_some(Outcome::Left)),
        }
    }

    /// Finds out what is missing, and how many runs that took.
    fn complete<A: Fields, B: Fields>(
        &mut self,
        filter: &Filter,
        (after, before): (&A, &B),
        is_new: bool,
        tells_left: bool,
    ) -> (Option<Outcome>, u64) {
        let mut runs = 0;
        let shown = *self.shown.get_or_insert_with(|| {
            runs += 1;
            filter.matches(after, before)
        });
        if shown {
            return (Some(Outcome::Shown), runs);
        }
        let left = tells_left
            && *self.left.get_or_insert_with(|| {
                // What was not there cannot leave.
                runs += u64::from(!is_new);
                !is_new && filter.matches(before, before)
            });
        (left.then_some(Outcome::Left), runs)
    }
}

/// One change before the filters of live streams.
struct Ruling<'r, 'c> {
    book: &'r FilterBook,
    after: Memo<'r, Filterable<'c>>,
    before: Memo<'r, Before<'c>>,
    is_new: bool,
}

impl Judge for Ruling<'_, '_> {
    fn texts(&self, field: &Field) -> [Option<&str>; 2] {
        [text(self.after.value(field)), text(self.before.value(field))]
    }

    fn outcome(&self, filter: Id, tells_left: bool) -> Option<Outcome> {
        let held = &self.book.held[filter];
        let number = self.book.number.get();
        let (of, known) = held.last.get();
        let mut verdict = if of == number { known } else { Verdict::default() };
        let change = (&self.after, &self.before);
        let (outcome, runs) = verdict.complete(&held.filter, change, self.is_new, tells_left);
        if runs > 0 {
            held.last.set((number, verdict));
            self.book.evaluations.inc_by(runs);
        }
        outcome
    }
}

fn text(value: Value<'_>) -> Option<&str> {
    match value {
        Value::Text(text) => Some(text),
        Value::Absent | Value::Boolean(_) | Value::Integer(_) | Value::Float(_) | Value::Timestamp(_) => None,
    }
}

#[cfg(test)]
mod tests;
