//! What connections of one worker share, counted by who uses it: feeds, sets of partitions, forms of
//! frames; and the cursors and frames that are made once for all of them.

use std::sync::Arc;

use bytes::Bytes;
use journal::{CursorWriter, Partition, Topic};
use rustc_hash::FxHashMap;

use super::{Form, Hub, Set, WorkerFeed};
use crate::dialect::Item;
use crate::engine::filtered::Outcome;
use crate::engine::frames::{self, Shown};
use crate::engine::intern::Id;
use crate::engine::record::LogRecord;
use crate::engine::ring::Place;
use crate::engine::tails::Wake;
use crate::subscription::Subscription;

impl Hub {
    pub(crate) fn acquire_set(&mut self, topic: Topic, partitions: &[Partition]) -> Id {
        let key = (topic, Box::from(partitions));
        let (tails, mailbox) = (&self.env.tails, &self.mailbox);
        let (feeds, feed_of) = (&mut self.feeds, &mut self.feed_of);
        self.sets.acquire(&key, || Set {
            topic,
            partitions: partitions.into(),
            feeds: partitions
                .iter()
                .map(|partition| {
                    let number = *feed_of.entry((topic, *partition)).or_insert_with(|| {
                        let waker: Arc<dyn Wake> = Arc::clone(mailbox) as Arc<dyn Wake>;
                        let feed = tails.acquire(topic, *partition, Some(waker));
                        feeds.insert(WorkerFeed {
                            at: feed.end(),
                            unavailable: feed.is_unavailable(),
                            feed,
                            seen: None,
                            users: 0,
                        })
                    });
                    feeds[number].users += 1;
                    number
                })
                .collect(),
            live: None,
        })
    }

    pub(crate) fn release_set(&mut self, id: Id) {
        let Some(set) = self.sets.release(id) else {
            return;
        };
        for number in set.feeds {
            let feed = &mut self.feeds[number];
            feed.users -= 1;
            if feed.users == 0 {
                let feed = self.feeds.remove(number);
                self.feed_of.remove(&(feed.feed.topic, feed.feed.partition));
            }
        }
    }

    pub(crate) fn acquire_form(&mut self, subscription: &Subscription) -> Id {
        let metrics = &subscription.selection.metrics;
        let key = (
            subscription.dialect.name(),
            subscription.carriage(),
            subscription.view,
            metrics.clone(),
        );
        self.forms.acquire(&key, || Form {
            dialect: Arc::clone(&subscription.dialect),
            carriage: subscription.carriage(),
            metrics: metrics.clone(),
            reduced: metrics.is_some() && subscription.dialect.is_reduced(),
        })
    }

    /// The cursor of whoever is live on a set, at this moment.
    pub(crate) fn live_cursor(&mut self, id: Id) -> Arc<str> {
        let sequence = self.sequence;
        if let Some((at, text)) = &self.sets[id].live
            && *at == sequence
        {
            return Arc::clone(text);
        }
        let places = self.places_before(id, usize::MAX);
        let now_ms = self.wall() / 1_000;
        let text: Arc<str> = self.cursor(id, &places, now_ms, None).into();
        self.sets[id].live = Some((sequence, Arc::clone(&text)));
        text
    }

    /// The text of a cursor. A place that is not known is left out: it starts by the cursor's time.
    pub(crate) fn cursor(
        &self,
        set: Id,
        places: &[Option<Place>],
        start_ms: i64,
        snapshot: Option<&str>,
    ) -> String {
        let mut writer = CursorWriter::default();
        self.cursor_by(&mut writer, set, places, start_ms, snapshot)
            .to_owned()
    }

    /// The same in a writer that is used again.
    pub(crate) fn cursor_by<'w>(
        &self,
        writer: &'w mut CursorWriter,
        set: Id,
        places: &[Option<Place>],
        start_ms: i64,
        snapshot: Option<&str>,
    ) -> &'w str {
        let set = &self.sets[set];
        let known = set.partitions.iter().zip(places);
        let unknown = places.iter().any(Option::is_none);
        let times = places.iter().flatten().map(|place| place.time_ms);
        let time_ms = times
            .chain((unknown || places.is_empty()).then_some(start_ms))
            .min();
        let positions = known.filter_map(|(partition, place)| Some((*partition, place.as_ref()?.next)));
        let head = (self.env.epoch, time_ms.unwrap_or(start_ms), set.topic);
        writer.write(head, positions, snapshot)
    }

    /// Begins another record: nothing is shared with the one before.
    pub(crate) fn begin_record(&mut self) {
        if self.shared.capacity() > 4_096 {
            self.shared = FxHashMap::default();
        }
        self.shared.clear();
    }

    /// The frame of a record for whoever is live on `set`: made once, shared by all of one form.
    pub(crate) fn live_frame(
        &mut self,
        form: Id,
        set: Id,
        record: &LogRecord,
        outcome: Outcome,
    ) -> Option<Bytes> {
        if let Some(frame) = self.shared.get(&(form, set, outcome)) {
            return frame.clone();
        }
        let cursor = self.live_cursor(set);
        let frame = self.frame(form, record, outcome, &cursor);
        self.shared.insert((form, set, outcome), frame.clone());
        frame
    }

    /// The frame of a record with a cursor of its own.
    pub(crate) fn frame(
        &self,
        form: Id,
        record: &LogRecord,
        outcome: Outcome,
        cursor: &str,
    ) -> Option<Bytes> {
        let form = &self.forms[form];
        if outcome == Outcome::Left {
            return frames::left(&*form.dialect, form.carriage, record, cursor);
        }
        if !form.reduced {
            return form.data(Item::Record(record), cursor);
        }
        match frames::reduce(record, form.metrics.as_deref()) {
            Shown::Whole => form.data(Item::Record(record), cursor),
            Shown::Reduced(event) => form.data(Item::Event(&event), cursor),
            Shown::Nothing => None,
        }
    }
}
