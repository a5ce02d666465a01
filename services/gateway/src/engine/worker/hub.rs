//! What the connections of one worker share: feeds and the worker's positions in them, sets of
//! partitions, forms of frames, the index, queues of what to do, timers.

mod cohorts;
mod sets;

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use journal::{Clock, CursorWriter, Epoch, Micros, Partition, Topic};
use rustc_hash::FxHashMap;
use schemas::control::Layout;
use slab::Slab;

use crate::dialect::{Dialect, Item};
use crate::engine::blocks::Blocks;
use crate::engine::filter_book::FilterBook;
use crate::engine::filtered::Outcome;
use crate::engine::frames;
use crate::engine::index::{Index, Slot};
use crate::engine::intern::{Id, Interner};
use crate::engine::lookups::{Lookup, Lookups};
use crate::engine::mailbox::{BlockKey, Mailbox};
use crate::engine::metrics::Metrics;
use crate::engine::record::Chunk;
use crate::engine::ring::Place;
use crate::engine::tails::{FeedPosition, FeedUse, Tails};
use crate::engine::wheel::Wheel;
use crate::engine::{Access, Token};
use crate::settings::Settings;
use crate::subscription::{Carriage, DeviceSet, KindSet, LiveEnds, Subscription, View};
pub(crate) use cohorts::Queued;
use cohorts::{Cohort, Cohorts, Shared};

/// What every worker of an engine is given.
pub(crate) struct Environment {
    pub(crate) settings: Settings,
    pub(crate) tails: Tails,
    pub(crate) blocks: Blocks,
    pub(crate) lookups: Lookups,
    pub(crate) access: Arc<dyn Access>,
    pub(crate) clock: Clock,
    pub(crate) layout: Layout,
    pub(crate) epoch: Epoch,
    pub(crate) metrics: Arc<Metrics>,
}

/// A feed as one worker reads it.
pub(crate) struct WorkerFeed {
    pub(crate) feed: FeedUse,
    /// What this worker reads next; `None` until the feed is open.
    pub(crate) at: Option<FeedPosition>,
    pub(crate) unavailable: bool,
    seen: Option<u64>,
    users: usize,
}

/// Partitions of one topic that streams touch.
pub(crate) struct Set {
    pub(crate) topic: Topic,
    pub(crate) partitions: Box<[Partition]>,
    /// Numbers of the feeds, in the order of the partitions.
    pub(crate) feeds: Box<[usize]>,
    live: Option<(u64, Arc<str>)>,
}

/// How frames look, as far as it is not the same for all: connections of one form share them.
pub(crate) struct Form {
    pub(crate) dialect: Arc<dyn Dialect>,
    pub(crate) carriage: Carriage,
    metrics: Metric,
    reduced: bool,
}

impl Form {
    /// The frame of an item; `None` when the dialect does not show it.
    pub(crate) fn data(&self, item: Item<'_>, cursor: &str) -> Option<Bytes> {
        frames::data(
            &*self.dialect,
            self.carriage,
            self.metrics.as_deref(),
            item,
            cursor,
        )
    }
}

type Metric = Option<Arc<std::collections::BTreeSet<Box<str>>>>;

/// A move of a position, so that it can be taken back.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step {
    pub(crate) feed: usize,
    pub(crate) before: Place,
}

pub(crate) struct Hub {
    pub(crate) env: Arc<Environment>,
    pub(crate) mailbox: Arc<Mailbox>,
    /// Monotonic, from any beginning.
    pub(crate) now_ms: u64,
    pub(crate) feeds: Slab<WorkerFeed>,
    feed_of: FxHashMap<(Topic, Partition), usize>,
    pub(crate) sets: Interner<(Topic, Box<[Partition]>), Set>,
    pub(crate) forms: Interner<(&'static str, Carriage, View, Metric), Form>,
    /// Streams that find their records alone.
    events: Index,
    devices: Index,
    pub(crate) cohorts: Interner<Shared, Cohort>,
    pub(crate) cohort_index: Cohorts,
    /// Streams with filters, which are on view `devices`.
    pub(crate) filters: FilterBook,
    /// Moves of the worker's positions in this turn.
    pub(crate) steps: Vec<Step>,
    /// Grows with each move of the worker's positions.
    sequence: u64,
    shared: FxHashMap<(Id, Id, Outcome), Option<Bytes>>,
    pub(crate) cursors: CursorWriter,
    /// Behind, and has something to read.
    pub(crate) runnable: VecDeque<Token>,
    /// Behind or not yet caught up, and waits for positions to move.
    pub(crate) lingering: Vec<Token>,
    pub(crate) waiting: FxHashMap<BlockKey, Vec<Token>>,
    /// Records read for streams that are behind in this turn.
    pub(crate) worked: usize,
    /// Bytes that went out to them, or to anybody.
    pub(crate) written: usize,
    pub(crate) questions: usize,
    pub(crate) wheel: Wheel<Token>,
    random: u64,
}

impl Hub {
    pub(crate) fn new(env: Arc<Environment>, mailbox: Arc<Mailbox>, now_ms: u64, seed: u64) -> Self {
        let metrics = &env.metrics;
        Self {
            filters: FilterBook::new(metrics.evaluations.clone(), metrics.filters.clone()),
            env,
            mailbox,
            now_ms,
            feeds: Slab::new(),
            feed_of: FxHashMap::default(),
            sets: Interner::new(),
            forms: Interner::new(),
            events: Index::default(),
            devices: Index::default(),
            cohorts: Interner::new(),
            cohort_index: Cohorts::default(),
            steps: Vec::new(),
            sequence: 0,
            shared: FxHashMap::default(),
            cursors: CursorWriter::default(),
            runnable: VecDeque::new(),
            lingering: Vec::new(),
            waiting: FxHashMap::default(),
            worked: 0,
            written: 0,
            questions: 0,
            wheel: Wheel::new(now_ms),
            random: seed | 1,
        }
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.env.settings
    }

    pub(crate) fn wall(&self) -> Micros {
        (self.env.clock)()
    }

    /// Milliseconds between 0 and `max`, at random (xorshift: jitter needs no more).
    pub(crate) fn jitter(&mut self, max: std::time::Duration) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % (millis(max) + 1)
    }

    /// Has a stream find the records that it wants; `devices` is what its scope leaves of those asked for.
    /// With filters, which are on view `devices`, they say what is shown.
    pub(crate) fn enlist(
        &mut self,
        subscription: &Subscription,
        devices: &DeviceSet,
        filters: Option<&[Id]>,
        slot: Slot,
    ) {
        let selection = &subscription.selection;
        for (devices, kinds) in interests(subscription, devices) {
            self.index(subscription.view)
                .insert(&selection.tenant, &devices, kinds, slot);
        }
        if subscription.view == View::Devices {
            self.filters
                .insert(selection, devices, filters.unwrap_or_default(), slot);
        }
    }

    /// Takes back [`Self::enlist`] with the same arguments.
    pub(crate) fn delist(
        &mut self,
        subscription: &Subscription,
        devices: &DeviceSet,
        filters: Option<&[Id]>,
        slot: Slot,
    ) {
        let selection = &subscription.selection;
        for (devices, kinds) in interests(subscription, devices) {
            self.index(subscription.view)
                .remove(&selection.tenant, &devices, kinds, slot);
        }
        if subscription.view == View::Devices {
            self.filters
                .remove(selection, devices, filters.unwrap_or_default(), slot);
        }
    }

    fn index(&mut self, view: View) -> &mut Index {
        match view {
            View::Events => &mut self.events,
            View::Devices => &mut self.devices,
        }
    }

    pub(crate) fn index_of(&self, topic: Topic) -> &Index {
        if topic == Topic::Events {
            &self.events
        } else {
            &self.devices
        }
    }

    /// Feeds that have changed since this was last asked: numbers go to `changed`.
    pub(crate) fn changed_feeds(&mut self, changed: &mut Vec<usize>) {
        for (number, feed) in &mut self.feeds {
            let version = feed.feed.version();
            if feed.seen != Some(version) {
                feed.seen = Some(version);
                changed.push(number);
            }
        }
    }

    pub(crate) fn has_news(&self) -> bool {
        self.feeds
            .iter()
            .any(|(_, feed)| feed.seen != Some(feed.feed.version()))
    }

    /// Looks at a feed again in the next turn.
    pub(crate) fn revisit(&mut self, number: usize) {
        if let Some(feed) = self.feeds.get_mut(number) {
            feed.seen = None;
        }
    }

    /// The worker's next offset of a feed, once it is open.
    pub(crate) fn place(&self, number: usize) -> Option<Place> {
        self.feeds.get(number)?.at.map(|at| at.place)
    }

    /// Moves the worker's position.
    pub(crate) fn step(&mut self, number: usize, place: Place) {
        if let Some(at) = self.feeds.get_mut(number).and_then(|feed| feed.at.as_mut()) {
            self.steps.push(Step {
                feed: number,
                before: at.place,
            });
            at.place = place;
            self.sequence += 1;
        }
    }

    /// Sets the worker's position to another ring's or to its beginning: not a move of streams.
    pub(crate) fn jump(&mut self, number: usize, to: FeedPosition) {
        if let Some(feed) = self.feeds.get_mut(number) {
            feed.at = Some(to);
            self.sequence += 1;
        }
    }

    /// The worker's positions over a set as they were before the moves from `mark` on.
    pub(crate) fn places_before(&self, set: Id, mark: usize) -> Vec<Option<Place>> {
        let set = &self.sets[set];
        let mut places: Vec<Option<Place>> = set.feeds.iter().map(|number| self.place(*number)).collect();
        for step in self.steps.get(mark..).unwrap_or_default().iter().rev() {
            if let Some(index) = set.feeds.iter().position(|number| *number == step.feed) {
                places[index] = Some(step.before);
            }
        }
        places
    }

    /// Where a stream starts that starts at the live end: at `ends`, which were told before its client was
    /// answered, else where the worker stands now. A partition that was not followed then and is now was
    /// promised from where that began.
    pub(crate) fn live_places(&self, set: Id, ends: Option<LiveEnds>) -> Vec<Option<Place>> {
        let Some(LiveEnds(ends)) = ends else {
            return self.places_before(set, usize::MAX);
        };
        let begun = |number: &usize| Some(self.feeds.get(*number)?.feed.begun()?.1);
        let ends = ends.into_iter().zip(&self.sets[set].feeds);
        ends.map(|(end, number)| end.or_else(|| begun(number))).collect()
    }

    /// A chunk that covers an offset, if one is in memory.
    pub(crate) fn chunk_at(&self, number: usize, offset: journal::Offset) -> Option<Arc<Chunk>> {
        let feed = &self.feeds.get(number)?.feed;
        feed.chunk_at(offset)
            .or_else(|| self.env.blocks.cached(feed.topic, feed.partition, offset))
    }

    /// Asks for the block that covers an offset, on behalf of `token`, which asks once. False when too
    /// much is asked.
    pub(crate) fn request_block(&mut self, key: BlockKey, tenant: &str, token: Token) -> bool {
        if let Some(tokens) = self.waiting.get_mut(&key) {
            tokens.push(token);
            return true;
        }
        if self.questions >= self.questions_max() || !self.env.blocks.request(key, tenant, &self.mailbox) {
            return false;
        }
        self.questions += 1;
        self.waiting.insert(key, vec![token]);
        true
    }

    /// Asks on behalf of `token`. False when too much is asked.
    pub(crate) fn request_lookup(&mut self, lookup: Lookup, tenant: &str, token: Token) -> bool {
        if self.questions >= self.questions_max()
            || !self.env.lookups.request(lookup, tenant, token, &self.mailbox)
        {
            return false;
        }
        self.questions += 1;
        true
    }

    fn questions_max(&self) -> usize {
        questions_max(self.settings())
    }
}

/// Devices and the kinds that a stream wants of them whatever filters say; no record is in two of them.
fn interests(
    subscription: &Subscription,
    devices: &DeviceSet,
) -> impl Iterator<Item = (DeviceSet, KindSet)> + use<> {
    let selection = &subscription.selection;
    let of_all = selection.told.of_all;
    let kinds = match &selection.filters {
        Some(_) => selection.told.kinds,
        None => selection.kinds.or(selection.told.kinds),
    };
    // All kinds are more than those that are known: nothing is taken from them needlessly.
    let own = if of_all == KindSet::NONE {
        kinds
    } else {
        kinds.without(of_all)
    };
    let own = (own != KindSet::NONE).then(|| (devices.clone(), own));
    let everything = DeviceSet::All.within(&subscription.principal.devices);
    let told = (of_all != KindSet::NONE).then_some((everything, of_all));
    own.into_iter().chain(told)
}

/// Questions that a worker may have open: its mailbox has room for as many answers.
pub(crate) fn questions_max(settings: &Settings) -> usize {
    settings.block_queue_max + settings.page_queue_max
}

/// Whole milliseconds.
pub(crate) fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
