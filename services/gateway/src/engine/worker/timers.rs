//! What a stream does because of time.

use super::connection::{Connection, Mode};
use super::hub::{Hub, millis};
use super::output::Wire;
use crate::dialect::Ending;
use crate::engine::ws;
use crate::subscription::Transport;

impl<W: Wire> Connection<W> {
    /// Sets the worker's wheel for the earliest of this stream's times.
    pub(crate) fn arm(&mut self, hub: &mut Hub) {
        let Some(at_ms) = self.due(hub) else {
            return;
        };
        if self.times.armed == 0 || at_ms < self.times.armed {
            self.times.armed = hub.wheel.set(at_ms, self.token);
        }
    }

    fn due(&self, hub: &Hub) -> Option<u64> {
        let times = &self.times;
        let keep_alive = if self.out.blocked { 0 } else { times.keep_alive };
        let ahead = match &self.mode {
            Mode::Behind(behind) if behind.ahead_since > 0 => {
                behind.ahead_since + millis(hub.settings().ahead_max)
            }
            Mode::Behind(_) | Mode::Live | Mode::Snapshot(_) | Mode::Ended => 0,
        };
        let is_behind = matches!(self.mode, Mode::Behind(_));
        let round = self
            .latest
            .as_ref()
            .and_then(|latest| latest.due(hub.now_ms, is_behind));
        [
            keep_alive,
            times.ping,
            times.retry,
            times.stalled,
            times.expiry,
            times.close,
            times.talk,
            times.input,
            ahead,
            round.unwrap_or(0),
            self.talk.held_until(hub.now_ms).unwrap_or(0),
        ]
        .into_iter()
        .filter(|at_ms| *at_ms > 0)
        .min()
    }

    /// Does what is due.
    pub(crate) fn fired(&mut self, hub: &mut Hub) {
        let now_ms = hub.now_ms;
        let is_due = |at_ms: u64| at_ms > 0 && at_ms <= now_ms;
        if now_ms >= self.times.armed {
            self.times.armed = 0;
        }
        if matches!(self.mode, Mode::Ended) {
            return;
        }
        if is_due(self.times.close) {
            return self.finish(hub, Ending::Draining);
        }
        if is_due(self.times.stalled) {
            if self.out.blocked {
                return self.finish(hub, Ending::Stalled);
            }
            // It takes bytes again, and waits for its turn.
            self.times.stalled = now_ms + millis(hub.settings().stalled_max);
        }
        if is_due(self.times.expiry) {
            self.times.expiry = 0;
            self.recheck(hub);
        }
        if is_due(self.times.ping) {
            self.ping(hub);
        }
        if is_due(self.times.keep_alive) && !self.out.blocked {
            self.owed.keep_alive = true;
            // Should nothing go out now, this is tried again after the usual wait.
            self.times.keep_alive = now_ms + millis(hub.settings().keep_alive);
        }
        let is_late = match &self.mode {
            Mode::Behind(behind) => {
                is_due(behind.ahead_since + millis(hub.settings().ahead_max)) && behind.ahead_since > 0
            }
            Mode::Live | Mode::Snapshot(_) | Mode::Ended => false,
        };
        if is_late {
            if let Mode::Behind(behind) = &mut self.mode {
                behind.ahead_since = now_ms;
            }
            self.ask_reset(hub);
        }
        if is_due(self.times.retry) {
            self.times.retry = 0;
            self.ask_next(hub);
        }
        if is_due(self.times.talk) {
            self.times.talk = 0;
            self.converse(hub, |conversation, at| conversation.timer(at));
        }
        if is_due(self.times.input) {
            self.hear(hub);
        }
        self.settle_in_turn(hub);
    }

    fn ping(&mut self, hub: &mut Hub) {
        if self.subscription.transport != Transport::WebSocket {
            self.times.ping = 0;
            return;
        }
        if self.unanswered >= hub.settings().pings_unanswered_max {
            return self.finish(hub, Ending::Stalled);
        }
        let jitter = hub.settings().keep_alive_jitter;
        self.times.ping = hub.now_ms + millis(hub.settings().ping) + hub.jitter(jitter);
        // A client that does not read cannot answer; `stalled` is for those.
        if !self.out.blocked {
            self.unanswered += 1;
            // A ping is no sign of life that a client sees: keep-alives come all the same.
            let keep_alive = self.times.keep_alive;
            self.out.keep(ws::ping());
            self.write(hub);
            self.times.keep_alive = keep_alive;
        }
    }
}
