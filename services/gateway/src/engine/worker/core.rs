//! One worker without its sockets and its thread: what is told and what time it is comes in by method
//! calls, what goes out goes to the wires. Tests drive it with scripted wires and any interleaving.

mod pull;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use slab::Slab;

use super::connection::{Connection, Mode};
use super::hub::{Environment, Hub};
use super::output::Wire;
use crate::engine::blocks::BlockAnswer;
use crate::engine::filtered::Outcome;
use crate::engine::index::Slot;
use crate::engine::intern::Id;
use crate::engine::lookups::LookupAnswer;
use crate::engine::mailbox::{BlockKey, Mailbox, Reply};
use crate::engine::{Adoption, Reading, Token};

pub(crate) struct Core<W> {
    connections: Slab<Connection<W>>,
    hub: Hub,
    generation: u32,
    /// Answers that have come, by who waits for them: each is taken up in a slice of its own.
    arrived: VecDeque<(Token, Arrived)>,
    /// Input that was left for the next turn.
    unread: Vec<Token>,
    dirty: Vec<Token>,
    changed: Vec<usize>,
    wanted: Vec<Slot>,
    cohorts: Vec<Id>,
    members: Vec<Slot>,
    judged: Vec<(Slot, Outcome)>,
    scratch: Box<[u8]>,
    /// The walk over all connections that is under way.
    walk: Option<Walk>,
    drain_over_ms: Option<u64>,
    /// Rings have records that this turn left.
    has_more: bool,
}

/// Connections that are rechecked in one turn.
pub(crate) const RECHECKS_PER_TURN: usize = 4_096;
/// Slices of streams that are behind in one turn, as long as they find little to read or to write: a record
/// of a live stream waits for about one that is full.
const SLICES_PER_TURN: usize = 256;
/// Bytes read from sockets at a time.
const SCRATCH_BYTES: usize = 64 << 10;

/// Connections are rechecked in the turns to come.
struct Walk {
    /// From this slot on.
    from: usize,
    /// Then once more from the beginning: a walk that began anew with each change would, if changes come
    /// fast enough, never reach its end.
    again: bool,
}

/// An answer, for one stream.
enum Arrived {
    Block(BlockKey, BlockAnswer),
    Lookup(LookupAnswer),
}

impl<W: Wire> Core<W> {
    pub(crate) fn new(env: Arc<Environment>, mailbox: Arc<Mailbox>, now_ms: u64, seed: u64) -> Self {
        Self {
            connections: Slab::new(),
            hub: Hub::new(env, mailbox, now_ms, seed),
            generation: 0,
            arrived: VecDeque::new(),
            unread: Vec::new(),
            dirty: Vec::new(),
            changed: Vec::new(),
            wanted: Vec::new(),
            cohorts: Vec::new(),
            members: Vec::new(),
            judged: Vec::new(),
            scratch: vec![0; SCRATCH_BYTES].into_boxed_slice(),
            walk: None,
            drain_over_ms: None,
            has_more: false,
        }
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.connections.len()
    }

    /// Whether nothing happens unless something is told or time passes.
    #[cfg(test)]
    pub(crate) fn is_waiting(&self) -> bool {
        self.hub.questions == 0 && self.wait_ms() != Some(0)
    }

    /// Bytes of frames that a stream holds.
    #[cfg(test)]
    pub(crate) fn held_bytes(&self, token: Token) -> usize {
        self.connections[token.slot as usize].out.bytes()
    }

    /// Bytes of a conflated stream's records that wait.
    #[cfg(test)]
    pub(crate) fn pending_bytes(&self, token: Token) -> usize {
        let latest = self.connections[token.slot as usize].latest.as_ref();
        latest.map_or(0, |latest| latest.bytes())
    }

    pub(crate) fn set_now(&mut self, now_ms: u64) {
        self.hub.now_ms = now_ms;
    }

    /// The token that the next adopted stream will have.
    pub(crate) fn next_token(&self) -> Token {
        Token {
            slot: u32::try_from(self.connections.vacant_key()).unwrap_or(u32::MAX),
            generation: self.generation,
        }
    }

    /// Takes a stream with its wire in the place of the adoption's sink.
    pub(crate) fn adopt(&mut self, wire: W, adoption: AdoptedStream) {
        let token = self.next_token();
        self.generation = self.generation.wrapping_add(1);
        let AdoptedStream(prelude, leftover, subscription, seat, reading) = adoption;
        let Reading { conversation, first } = reading;
        let stream = (subscription, conversation);
        let mut connection = Connection::new(&mut self.hub, wire, token, prelude, stream, seat);
        connection.begin_talk(&mut self.hub, first);
        connection.received(&mut self.hub, &leftover);
        connection.greet(&mut self.hub);
        if let Some(over_ms) = self.drain_over_ms {
            connection.times.close = drain_at(&mut self.hub, over_ms);
        }
        self.connections.insert(connection);
        self.hub.env.metrics.streams.inc();
        // Its credential was judged before it was opened, which may have taken a while.
        self.with(token, |connection, hub| connection.recheck(hub));
    }

    /// Does something with a stream, if it is still there, then sets its timer or lets it go.
    fn with(&mut self, token: Token, act: impl FnOnce(&mut Connection<W>, &mut Hub)) {
        let index = token.slot as usize;
        let Some(connection) = self
            .connections
            .get_mut(index)
            .filter(|connection| connection.token == token)
        else {
            return;
        };
        act(connection, &mut self.hub);
        if connection.out.gone && !matches!(connection.mode, Mode::Ended) {
            connection.settle(&mut self.hub);
        }
        connection.step_in(&mut self.hub);
        if connection.is_over(&self.hub) {
            let connection = self.connections.remove(index);
            connection.release(&mut self.hub);
            self.hub.env.metrics.streams.dec();
            self.hub.mailbox.streams.fetch_sub(1, Ordering::Relaxed);
        } else {
            connection.arm(&mut self.hub);
        }
    }

    /// The wire takes bytes again.
    pub(crate) fn writable(&mut self, token: Token) {
        let mut unread = false;
        self.with(token, |connection, hub| {
            if connection.out.blocked {
                unread = connection.is_crowded(hub);
                connection.out.blocked = false;
                connection.settle_in_turn(hub);
                if matches!(connection.mode, Mode::Ended) && connection.out.is_empty() {
                    connection.wire.shut();
                }
            }
        });
        if unread {
            self.unread.push(token);
        }
    }

    /// The wire has bytes.
    pub(crate) fn readable(&mut self, token: Token) {
        let mut scratch = std::mem::take(&mut self.scratch);
        let mut more = false;
        self.with(token, |connection, hub| {
            more = connection.readable(hub, &mut scratch)
        });
        self.scratch = scratch;
        if more {
            self.unread.push(token);
        }
    }

    /// An answer has come.
    pub(crate) fn reply(&mut self, reply: Reply) {
        self.hub.questions = self.hub.questions.saturating_sub(1);
        match reply {
            Reply::Block { key, answer } => {
                let tokens = self.hub.waiting.remove(&key).unwrap_or_default();
                let answers = tokens
                    .into_iter()
                    .map(|token| (token, Arrived::Block(key, answer.clone())));
                self.arrived.extend(answers);
            }
            Reply::Lookup { token, answer } => self.arrived.push_back((token, Arrived::Lookup(answer))),
        }
    }

    fn take_up(&mut self, token: Token, arrived: Arrived) {
        match arrived {
            Arrived::Block(key, answer) => self.with(token, |connection, hub| {
                connection.block_answered(hub, key, &answer)
            }),
            Arrived::Lookup(LookupAnswer::Asked(answer)) => {
                self.with(token, |connection, hub| connection.answered(hub, answer));
                // What its client said meanwhile may have been left unread.
                self.unread.push(token);
            }
            Arrived::Lookup(answer) => self.with(token, |connection, hub| {
                connection.is_asking = false;
                match answer {
                    LookupAnswer::Asked(_) => {}
                    LookupAnswer::Pinned(pinned) => connection.pinned(hub, &pinned),
                    LookupAnswer::Page(page) => {
                        hub.worked += page.documents.len();
                        connection.advance_snapshot(hub, Some(page));
                    }
                    LookupAnswer::Reset(moved) => connection.reset_answered(hub, moved),
                    LookupAnswer::Failed => connection.retry_later(hub),
                }
            }),
        }
    }

    /// Principals may have changed: every stream is looked at within the next turns.
    pub(crate) fn recheck(&mut self) {
        match &mut self.walk {
            Some(walk) => walk.again = true,
            None => {
                self.walk = Some(Walk {
                    from: 0,
                    again: false,
                })
            }
        }
    }

    /// Ends the streams over so many milliseconds, in no order.
    pub(crate) fn drain(&mut self, over_ms: u64) {
        self.drain_over_ms = Some(over_ms);
        for token in self.tokens() {
            self.with(token, |connection, hub| {
                connection.times.close = drain_at(hub, over_ms)
            });
        }
    }

    /// What has piled up since the last turn: records first, then streams that are behind, then timers.
    pub(crate) fn turn(&mut self, now_ms: u64) {
        self.hub.now_ms = now_ms;
        self.has_more = false;
        let moved = self.pull();
        self.run_slices();
        if moved || self.hub.lingering.len() > 2 * self.connections.len() + 64 {
            for token in std::mem::take(&mut self.hub.lingering) {
                self.with(token, |connection, hub| {
                    connection.is_lingering = false;
                    connection.settle_in_turn(hub);
                });
            }
        }
        self.fire();
        self.recheck_some();
        for token in std::mem::take(&mut self.unread) {
            self.readable(token);
        }
    }

    /// How long nothing needs to be done unless something is told; 0: there is more to do now.
    pub(crate) fn wait_ms(&self) -> Option<u64> {
        let unfinished = !self.hub.runnable.is_empty()
            || !self.arrived.is_empty()
            || !self.unread.is_empty()
            || self.walk.is_some();
        if unfinished || self.has_more {
            return Some(0);
        }
        self.hub.wheel.wait_ms(self.hub.now_ms)
    }

    /// Whether a ring has changed since this worker looked.
    pub(crate) fn has_news(&self) -> bool {
        self.hub.has_news()
    }

    fn tokens(&self) -> Vec<Token> {
        self.connections
            .iter()
            .map(|(_, connection)| connection.token)
            .collect()
    }

    /// Gives streams that are behind their slices: first those whose answers have come.
    fn run_slices(&mut self) {
        let settings = self.hub.settings();
        let (records_max, bytes_max) = (settings.slice_records_max, settings.slice_bytes_max.max(1));
        (self.hub.worked, self.hub.written) = (0, 0);
        for _ in 0..SLICES_PER_TURN {
            if self.hub.worked >= records_max || self.hub.written >= bytes_max {
                return;
            }
            if let Some((token, arrived)) = self.arrived.pop_front() {
                self.take_up(token, arrived);
            } else if let Some(token) = self.hub.runnable.pop_front() {
                self.with(token, |connection, hub| {
                    connection.is_runnable = false;
                    connection.settle(hub);
                });
            } else {
                return;
            }
        }
    }

    fn fire(&mut self) {
        let mut due = Vec::new();
        self.hub.wheel.fire(self.hub.now_ms, &mut due);
        for token in due {
            self.with(token, |connection, hub| connection.fired(hub));
        }
    }

    fn recheck_some(&mut self) {
        let Some(Walk { from, again }) = self.walk else {
            return;
        };
        let slots = self.connections.capacity();
        let until = slots.min(from + RECHECKS_PER_TURN);
        for slot in from..until {
            if let Some(token) = self.connections.get(slot).map(|connection| connection.token) {
                self.with(token, |connection, hub| connection.recheck(hub));
            }
        }
        self.walk = match (until < slots, again) {
            (true, again) => Some(Walk { from: until, again }),
            (false, true) => Some(Walk {
                from: 0,
                again: false,
            }),
            (false, false) => None,
        };
    }
}

/// An adoption without its sink: prelude, leftover, subscription, seat, reading.
pub(crate) struct AdoptedStream(
    pub(crate) bytes::Bytes,
    pub(crate) Vec<u8>,
    pub(crate) crate::subscription::Subscription,
    pub(crate) crate::engine::Seat,
    pub(crate) Reading,
);

impl AdoptedStream {
    /// Takes an adoption apart.
    pub(crate) fn new(adoption: Adoption) -> (crate::engine::Sink, Self) {
        let Adoption {
            seat,
            sink,
            prelude,
            leftover,
            subscription,
            reading,
        } = adoption;
        (sink, Self(prelude, leftover, subscription, seat, reading))
    }
}

fn drain_at(hub: &mut Hub, over_ms: u64) -> u64 {
    let over = std::time::Duration::from_millis(over_ms * 9 / 10);
    (hub.now_ms + hub.jitter(over)).max(1)
}
