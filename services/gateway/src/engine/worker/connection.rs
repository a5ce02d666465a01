//! One stream: where it stands, what it owes its client, and what it does when something happens.
//!
//! A live stream has no position of its own: it stands where its worker stands. A stream that is behind
//! has one, and reads on by itself. A stream in its snapshot has the pinned positions and a paging key.

use std::sync::Arc;

use bytes::Bytes;
use journal::{Offset, Partition};
use smallvec::SmallVec;

use super::behind::Behind;
use super::ends::{End, Ends};
use super::hub::{Hub, millis};
use super::latest::Latest;
use super::output::{Output, Wire};
use super::owed::Owed;
use super::skip::Skip;
use super::snapshot::Snapshot;
use super::step::Step;
use super::talk::Talk;
use crate::dialect::{Control, Conversation, Ending};
use crate::engine::filtered::Outcome;
use crate::engine::intern::Id;
use crate::engine::record::LogRecord;
use crate::engine::ring::Place;
use crate::engine::seats::Seat;
use crate::engine::{Token, frames, sse, ws};
use crate::subscription::{Delivery, DeviceSet, Start, Subscription, Transport};

/// Where a stream stands.
pub(crate) enum Mode {
    /// At its worker's positions: nothing is left to read but what comes.
    Live,
    /// At its own positions.
    Behind(Box<Behind>),
    /// In its snapshot.
    Snapshot(Box<Snapshot>),
    /// It takes no more; the last bytes are on their way.
    Ended,
}

/// When to do what, on the worker's clock; 0 = never.
#[derive(Default)]
pub(crate) struct Times {
    pub(crate) keep_alive: u64,
    pub(crate) ping: u64,
    pub(crate) retry: u64,
    pub(crate) stalled: u64,
    pub(crate) expiry: u64,
    pub(crate) close: u64,
    /// The conversation's own.
    pub(crate) talk: u64,
    /// The client is read again; before, it has said enough.
    pub(crate) input: u64,
    /// When the wheel fires for this stream next.
    pub(crate) armed: u64,
}

pub(crate) struct Connection<W> {
    pub(crate) wire: W,
    pub(crate) token: Token,
    pub(crate) subscription: Box<Subscription>,
    /// What the principal's scope leaves of the devices asked for.
    pub(crate) devices: DeviceSet,
    /// Numbers of the selection's filters.
    pub(crate) filters: Option<Box<[Id]>>,
    /// How it finds its records while it is live.
    pub(crate) step: Step,
    pub(crate) set: Id,
    pub(crate) form: Id,
    pub(crate) out: Output,
    pub(crate) mode: Mode,
    pub(crate) owed: Owed,
    pub(crate) ends: Option<Box<Ends>>,
    pub(crate) skip: Option<Box<Skip>>,
    pub(crate) latest: Option<Box<Latest>>,
    pub(crate) conversation: Box<dyn Conversation>,
    pub(crate) talk: Talk,
    pub(crate) input: Option<Box<ws::Input>>,
    /// Places whose blocks were asked for.
    pub(crate) waits: SmallVec<[(Partition, Offset); 1]>,
    pub(crate) times: Times,
    pub(crate) unanswered: u8,
    pub(crate) is_dirty: bool,
    pub(crate) is_runnable: bool,
    pub(crate) is_lingering: bool,
    pub(crate) is_asking: bool,
    pub(crate) told_degraded: bool,
    pub(crate) ending: Option<Ending>,
    pub(crate) seat: Seat,
}

impl<W: Wire> Connection<W> {
    /// Takes a stream. Its first bytes are queued; [`settle`](Self::settle) does the rest.
    pub(crate) fn new(
        hub: &mut Hub,
        wire: W,
        token: Token,
        prelude: Bytes,
        (mut subscription, conversation): (Subscription, Box<dyn Conversation>),
        mut seat: Seat,
    ) -> Self {
        let live = Start::live(subscription.start.time_ms);
        let start = std::mem::replace(&mut subscription.start, live);
        let set = hub.acquire_set(subscription.view.topic(), &subscription.partitions);
        let form = hub.acquire_form(&subscription);
        let devices = subscription
            .selection
            .devices
            .within(&subscription.principal.devices);
        let selection = &subscription.selection;
        if let Err(refused) = seat.admit(selection, &subscription.principal.devices) {
            // Whoever opens streams asks before it answers; this one was not asked for.
            tracing::warn!(%refused, "the filters of a stream that was taken over are not counted");
        }
        let filters = selection
            .filters
            .as_ref()
            .map(|filters| hub.filters.acquire(filters));
        let latest =
            (subscription.delivery == Delivery::Latest).then(|| Box::new(Latest::new(subscription.every)));
        let mut connection = Self {
            wire,
            token,
            subscription: Box::new(subscription),
            devices,
            filters,
            step: Step::Out,
            set,
            form,
            out: Output::default(),
            mode: Mode::Live,
            owed: Owed::default(),
            ends: None,
            skip: Skip::with_floors(&start.source_floor).map(Box::new),
            latest,
            conversation,
            talk: Talk::default(),
            input: None,
            waits: SmallVec::new(),
            times: Times::default(),
            unanswered: 0,
            is_dirty: false,
            is_runnable: false,
            is_lingering: false,
            is_asking: false,
            told_degraded: false,
            ending: None,
            seat,
        };
        connection.open(hub, prelude, start);
        connection
    }

    fn open(&mut self, hub: &mut Hub, prelude: Bytes, start: Start) {
        if !prelude.is_empty() {
            self.out.keep(prelude);
        }
        if self.subscription.transport == Transport::Sse {
            let (least, most) = hub.settings().retry;
            let retry_ms = millis(least) + hub.jitter(most.saturating_sub(least));
            let (dialect, carriage) = (&*self.subscription.dialect, self.subscription.carriage());
            let hello = frames::control(dialect, carriage, Control::Hello, "", Some(retry_ms));
            let opening = sse::opening(carriage.framing, hello.is_none().then_some(retry_ms));
            self.out.keep(opening);
            if let Some(hello) = hello {
                self.out.keep(hello);
            }
        } else {
            self.times.ping =
                hub.now_ms + millis(hub.settings().ping) + hub.jitter(hub.settings().keep_alive_jitter);
        }
        self.talk.may_resume(hub, &self.subscription, &start);
        self.owed.reset = start.reset.map(Box::new);
        self.owed.degraded = self.is_degraded(hub);
        self.ends = Some(Box::new(Ends {
            remaining: start
                .ends
                .iter()
                .map(|(partition, end)| End::new(*partition, *end))
                .collect(),
            from_time: start.from_time,
        }));
        let now_ms = hub.wall() / 1_000;
        let asked = |partition: &Partition| {
            let (_, next) = start.positions.iter().find(|(other, _)| other == partition)?;
            let next = (*next)?;
            let end = start.ends.iter().find(|(other, _)| other == partition);
            // Where nothing is left to read there is no record to tell a time.
            let is_at_end = end.is_some_and(|(_, end)| next >= *end);
            let time_ms = if is_at_end { now_ms } else { start.time_ms };
            Some(Place { next, time_ms })
        };
        let live = hub.live_places(self.set, start.live_ends);
        let asked = self.subscription.partitions.iter().map(asked);
        let places: Vec<Option<Place>> = asked.zip(live).map(|(asked, live)| asked.or(live)).collect();
        let mode = match start.snapshot {
            Some(snapshot) => Mode::Snapshot(Box::new(Snapshot::new(snapshot, places))),
            None => Mode::Behind(Box::new(Behind::new(places))),
        };
        self.set_mode(hub, mode);
        self.set_expiry(hub);
        self.touch(hub);
    }

    /// A feed has opened: whoever starts at its live end starts at `place`.
    pub(crate) fn begin(&mut self, hub: &Hub, number: usize, place: Place) {
        let places = match &mut self.mode {
            Mode::Behind(behind) => &mut behind.places,
            Mode::Snapshot(snapshot) => match &mut snapshot.pinned {
                Some(pinned) => pinned,
                None => return,
            },
            Mode::Live | Mode::Ended => return,
        };
        let set = &hub.sets[self.set];
        if let Some(index) = set.feeds.iter().position(|other| *other == number)
            && let Some(unknown @ None) = places.get_mut(index)
        {
            *unknown = Some(place);
        }
    }

    pub(crate) fn set_mode(&mut self, hub: &mut Hub, mode: Mode) {
        if !matches!(mode, Mode::Live) {
            self.step_out(hub);
        }
        let was = matches!(self.mode, Mode::Behind(_) | Mode::Snapshot(_));
        let is = matches!(mode, Mode::Behind(_) | Mode::Snapshot(_));
        hub.env.metrics.behind.add(i64::from(is) - i64::from(was));
        self.mode = mode;
    }

    /// Sends the first bytes; reading begins in a slice of its own, so that a storm of new streams does
    /// not hold up those that are live.
    pub(crate) fn greet(&mut self, hub: &mut Hub) {
        self.write(hub);
        self.run_soon(hub);
    }

    /// Has a slice in one of the next turns.
    pub(crate) fn run_soon(&mut self, hub: &mut Hub) {
        if !self.is_runnable {
            self.is_runnable = true;
            hub.runnable.push_back(self.token);
        }
    }

    /// Takes up what is left to do, as far as the client takes it. To be called when the worker's
    /// positions rest.
    pub(crate) fn settle(&mut self, hub: &mut Hub) {
        if self.out.gone {
            return self.finish(hub, Ending::Client);
        }
        match self.mode {
            Mode::Live => self.settle_live(hub),
            Mode::Behind(_) => self.advance(hub, None),
            Mode::Snapshot(_) => self.advance_snapshot(hub, None),
            Mode::Ended => self.write(hub),
        }
    }

    /// [`settle`](Self::settle), but what is to be read for it waits for its turn: a thousand sockets that
    /// take bytes again at once do not hold up those that are live.
    pub(crate) fn settle_in_turn(&mut self, hub: &mut Hub) {
        if self.out.gone || matches!(self.mode, Mode::Live | Mode::Ended) {
            return self.settle(hub);
        }
        self.write(hub);
        if !self.out.blocked {
            self.run_soon(hub);
        }
    }

    fn settle_live(&mut self, hub: &mut Hub) {
        self.write(hub);
        self.emit_owed(hub);
        self.emit_latest(hub);
        if self.check_ends(hub) {
            self.emit_owed(hub);
        }
    }

    /// A live stream is shown a record that matches. The worker stands behind the record already;
    /// taking back its moves from `mark` on leads before it.
    pub(crate) fn show(&mut self, hub: &mut Hub, record: &Arc<LogRecord>, outcome: Outcome, mark: usize) {
        if self.skip.as_mut().is_some_and(|skip| skip.skips(record)) || self.talk.has_passed(record) {
            return;
        }
        if self.is_told(record) {
            return self.tell_live(hub, record, mark);
        }
        if let Some(latest) = &mut self.latest {
            if latest.is_full(hub.settings()) {
                return self.fall_behind(hub, mark);
            }
            return latest.offer(record, outcome, &self.subscription.selection);
        }
        if self.out.blocked {
            return self.fall_behind(hub, mark);
        }
        if let Some(frame) = hub.live_frame(self.form, self.set, record, outcome) {
            self.out.push(frame, u32::try_from(mark).unwrap_or(u32::MAX - 1));
            hub.env.metrics.frames.inc();
            if self.out.bytes() > hub.settings().turn_bytes_max {
                self.write(hub);
            }
        }
    }

    /// The conversation of a live stream is told of a record. What it says is never dropped, and its cursor
    /// counts on all that was shown before: that goes out first.
    fn tell_live(&mut self, hub: &mut Hub, record: &LogRecord, mark: usize) {
        if self.latest.is_none() {
            if self.out.is_before_told() {
                self.write(hub);
            }
            if !matches!(self.mode, Mode::Live) {
                return;
            }
            if self.out.blocked {
                return self.fall_behind(hub, mark);
            }
        }
        self.tell(hub, record, None);
    }

    /// Writes what a live stream has queued; what the client does not take it will read again.
    pub(crate) fn write(&mut self, hub: &mut Hub) {
        if let Some(mark) = self.flush(hub)
            && matches!(self.mode, Mode::Live)
        {
            self.fall_behind(hub, mark as usize);
        }
    }

    pub(crate) fn fall_behind(&mut self, hub: &mut Hub, mark: usize) {
        hub.env.metrics.fell_behind.inc();
        if let Some(skip) = &mut self.skip {
            skip.take_back();
        }
        let places = hub.places_before(self.set, mark);
        self.set_mode(hub, Mode::Behind(Box::new(Behind::new(places))));
        self.linger(hub);
    }

    /// Leaves the worker's positions as they are now, because the worker is about to leave them.
    pub(crate) fn detach(&mut self, hub: &mut Hub) {
        if matches!(self.mode, Mode::Live) {
            let now = hub.steps.len();
            self.fall_behind(hub, now);
        }
    }

    /// Writes what is queued; answers the mark to go back to, if data was dropped.
    pub(crate) fn flush(&mut self, hub: &mut Hub) -> Option<u32> {
        if self.out.is_empty() {
            return None;
        }
        let before = self.out.written;
        let dropped = self.out.flush(&mut self.wire);
        let written = self.out.written - before;
        hub.env.metrics.bytes.inc_by(written);
        hub.written += usize::try_from(written).unwrap_or(usize::MAX);
        if written > 0 {
            self.touch(hub);
        }
        self.times.stalled = match (self.out.blocked, self.times.stalled) {
            (false, _) => 0,
            (true, 0) => hub.now_ms + millis(hub.settings().stalled_max),
            (true, _) if written > 0 => hub.now_ms + millis(hub.settings().stalled_max),
            (true, at) => at,
        };
        dropped
    }

    /// Something went out: the next keep-alive is due later.
    pub(crate) fn touch(&mut self, hub: &mut Hub) {
        let settings = hub.settings();
        let after = self.subscription.dialect.keep_alive(self.subscription.transport);
        let after_ms = millis(after.unwrap_or(settings.keep_alive));
        let jitter = settings.keep_alive_jitter;
        self.times.keep_alive = hub.now_ms + after_ms + hub.jitter(jitter);
    }

    /// Sees to it that this stream is looked at again when positions move.
    pub(crate) fn linger(&mut self, hub: &mut Hub) {
        if !self.is_lingering {
            self.is_lingering = true;
            hub.lingering.push(self.token);
        }
    }

    /// Ends the stream: says why, and lets what must go out go out.
    pub(crate) fn finish(&mut self, hub: &mut Hub, ending: Ending) {
        if matches!(self.mode, Mode::Ended) {
            return;
        }
        self.ending = Some(ending);
        self.set_mode(hub, Mode::Ended);
        hub.env.metrics.ended.with_label_values(&[ending.label()]).inc();
        match self.subscription.transport {
            _ if self.out.gone => {}
            Transport::WebSocket => self.out.keep(ws::close(ending.close_code(), ending.reason())),
            Transport::Sse => {
                if matches!(ending, Ending::Credential | Ending::Scope) {
                    self.keep_control(Control::Fault { ending }, "", None);
                }
                if let Some(end) = sse::ending(self.subscription.framing) {
                    self.out.keep(end);
                }
            }
        }
        self.flush(hub);
        if self.out.is_empty() && !self.out.gone {
            self.wire.shut();
        }
        self.times = Times {
            close: hub.now_ms + LAST_WORDS_MS,
            armed: self.times.armed,
            ..Times::default()
        };
    }

    /// Whether nothing is left to do for it.
    pub(crate) fn is_over(&self, hub: &Hub) -> bool {
        let past = hub.now_ms >= self.times.close;
        matches!(self.mode, Mode::Ended)
            && (self.out.gone
                || past
                || (self.out.is_empty() && self.subscription.transport == Transport::Sse))
    }

    /// Gives back what it shares with others.
    pub(crate) fn release(mut self, hub: &mut Hub) {
        self.set_mode(hub, Mode::Ended);
        self.leave(hub);
        let filters = self.filters.take();
        hub.filters.release(filters.as_deref().unwrap_or_default());
        hub.release_set(self.set);
        hub.forms.release(self.form);
    }
}

/// How long a stream that has ended may take to take its last bytes.
const LAST_WORDS_MS: u64 = 2_000;
