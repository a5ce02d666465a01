//! What clients send: nothing over SSE; over WebSocket control frames and messages, which the
//! conversation reads, in order.

use bytes::Bytes;

use super::connection::Connection;
use super::hub::Hub;
use super::output::Wire;
use crate::dialect::{Ending, Message};
use crate::engine::{frames, ws};
use crate::settings::Settings;
use crate::subscription::{DeviceSet, Selection, Transport};

/// What a client is told that chooses more.
pub(crate) fn too_many_devices(most: usize) -> String {
    format!("a stream may name {most} devices at most")
}

/// Reads from one connection before it is another's turn.
const READS_MAX: usize = 4;
/// Read at a time when a pause is over.
const READ_BYTES: usize = 8 << 10;
/// Work that a message is whatever it says, in devices that are chosen.
const MESSAGE_WORK: usize = 16;
/// Bytes that are as much work as a device that is chosen.
const BYTES_PER_WORK: usize = 16;

/// What a client's messages have been to do of late: it runs off as time goes by.
#[derive(Default)]
pub(crate) struct Work {
    done: u64,
    at_ms: u64,
}

impl Work {
    /// So much more was done.
    pub(crate) fn add(&mut self, work: usize) {
        self.done = self.done.saturating_add(work as u64);
    }

    /// Until when nothing more is done for this client, if it was enough.
    fn pause(&mut self, now_ms: u64, settings: &Settings) -> Option<u64> {
        let per_s = settings.client_work_per_s.max(1);
        let past_ms = now_ms.saturating_sub(self.at_ms);
        self.at_ms = now_ms;
        self.done = self.done.saturating_sub(past_ms.saturating_mul(per_s) / 1_000);
        (self.done > settings.client_work_burst).then(|| now_ms + self.done.saturating_mul(1_000) / per_s + 1)
    }
}

impl<W: Wire> Connection<W> {
    /// Reads what the client sent. True when there may be more.
    pub(crate) fn readable(&mut self, hub: &mut Hub, scratch: &mut [u8]) -> bool {
        for _ in 0..READS_MAX {
            if self.is_crowded(hub) || self.times.input > 0 {
                // Its answers are not taken, or it has said enough for now: it is read later.
                return false;
            }
            match self.wire.read(scratch) {
                Ok(0) => {
                    self.out.gone = true;
                    self.finish(hub, Ending::Client);
                    return false;
                }
                Ok(length) => self.received(hub, &scratch[..length]),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return false,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => {
                    self.out.gone = true;
                    self.finish(hub, Ending::Client);
                    return false;
                }
            }
        }
        true
    }

    /// Whether so many answers wait that nothing more is read.
    pub(crate) fn is_crowded(&self, hub: &Hub) -> bool {
        let most = hub.settings().replies_max;
        (self.out.blocked && self.out.len() >= most) || self.talk.is_full(most)
    }

    /// The pause is over: what has come is acted on, and what comes is read.
    pub(crate) fn hear(&mut self, hub: &mut Hub) {
        self.times.input = 0;
        self.received(hub, &[]);
        if self.ending.is_none() && self.readable(hub, &mut [0; READ_BYTES]) {
            self.times.input = hub.now_ms;
        }
    }

    /// Takes bytes of the client, and acts on as many messages as it may send at a time.
    pub(crate) fn received(&mut self, hub: &mut Hub, bytes: &[u8]) {
        if self.subscription.transport == Transport::Sse || self.ending.is_some() {
            return;
        }
        let mut input = self.input.take().unwrap_or_default();
        input.push(bytes);
        self.talk.work.add(bytes.len() / BYTES_PER_WORK);
        let bytes_max = hub.settings().client_message_bytes_max;
        while self.ending.is_none() {
            if let Some(until_ms) = self.talk.work.pause(hub.now_ms, hub.settings()) {
                self.times.input = until_ms;
                break;
            }
            match input.next(bytes_max) {
                Ok(Some(message)) => {
                    self.talk.work.add(MESSAGE_WORK);
                    self.message(hub, message);
                }
                Ok(None) => break,
                Err(ws::Broken::Protocol) => self.finish(hub, Ending::Protocol),
                Err(ws::Broken::TooLong) => self.finish(hub, Ending::TooLong),
                Err(ws::Broken::NotText) => self.finish(hub, Ending::NotText),
            }
        }
        if !input.is_empty() && self.ending.is_none() {
            self.input = Some(input);
        }
    }

    fn message(&mut self, hub: &mut Hub, message: ws::Message) {
        match message {
            ws::Message::Text(text) => self.converse(hub, |conversation, at| conversation.text(&text, at)),
            ws::Message::Binary => self.converse(hub, |conversation, at| conversation.binary(at)),
            ws::Message::Ping(payload) => return self.reply(hub, ws::pong(&payload)),
            ws::Message::Pong => {
                self.unanswered = 0;
                return;
            }
            ws::Message::Close => return self.finish(hub, Ending::Client),
        }
        self.settle_in_turn(hub);
    }

    pub(crate) fn narrow(&mut self, hub: &mut Hub, selection: Selection) {
        // Both are looked through.
        let devices = [&selection.devices, &self.devices];
        self.talk
            .work
            .add(devices.into_iter().filter_map(DeviceSet::len).sum());
        match self.check(hub, &selection) {
            Ok(()) => self.select(hub, selection),
            Err(reason) => self.refuse(hub, &reason),
        }
    }

    /// Says that what the client asked for is not done.
    pub(crate) fn refuse(&mut self, hub: &mut Hub, reason: &str) {
        if let Some(text) = self.conversation.refusal(reason) {
            let message = Message {
                event: None,
                text,
                cursor: None,
            };
            self.reply(hub, frames::message(self.subscription.carriage(), &message));
        }
    }

    /// Whether a selection is within the limits; its filters are counted then.
    fn check(&mut self, hub: &Hub, selection: &Selection) -> Result<(), String> {
        let settings = hub.settings();
        let devices_max = settings.selection_devices_max;
        if selection.devices.len().is_some_and(|count| count > devices_max) {
            return Err(too_many_devices(devices_max));
        }
        let filters_max = settings.selection_filters_max;
        if selection
            .filters
            .as_ref()
            .is_some_and(|filters| filters.len() > filters_max)
        {
            return Err(format!("a stream may have {filters_max} filters at most"));
        }
        let scope = &self.subscription.principal.devices;
        self.seat
            .admit(selection, scope)
            .map_err(|refused| refused.to_string())
    }

    pub(crate) fn reply(&mut self, hub: &mut Hub, frame: Bytes) {
        // One read may hold more questions than answers may wait: such a client does not read.
        if self.out.len() >= 2 * hub.settings().replies_max {
            return self.finish(hub, Ending::Stalled);
        }
        self.out.keep(frame);
        self.write(hub);
    }
}
