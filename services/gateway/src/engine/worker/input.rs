//! What clients send: nothing over SSE; over WebSocket control frames and messages, which the
//! conversation reads, in order.

use bytes::Bytes;

use super::connection::Connection;
use super::hub::Hub;
use super::output::Wire;
use crate::dialect::{Ending, Message};
use crate::engine::{frames, ws};
use crate::subscription::{Selection, Transport};

/// Reads from one connection before it is another's turn.
const READS_MAX: usize = 4;

impl<W: Wire> Connection<W> {
    /// Reads what the client sent. True when there may be more.
    pub(crate) fn readable(&mut self, hub: &mut Hub, scratch: &mut [u8]) -> bool {
        for _ in 0..READS_MAX {
            if self.is_crowded(hub) {
                // Its answers are not taken: its questions wait.
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

    /// Takes bytes of the client.
    pub(crate) fn received(&mut self, hub: &mut Hub, bytes: &[u8]) {
        if self.subscription.transport == Transport::Sse || self.ending.is_some() {
            return;
        }
        let mut input = self.input.take().unwrap_or_default();
        input.push(bytes);
        let bytes_max = hub.settings().client_message_bytes_max;
        while self.ending.is_none() {
            match input.next(bytes_max) {
                Ok(Some(message)) => self.message(hub, message),
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
        if let Err(reason) = self.check(hub, &selection) {
            if let Some(text) = self.conversation.refusal(&reason) {
                let message = Message {
                    event: None,
                    text,
                    cursor: None,
                };
                self.reply(hub, frames::message(self.subscription.carriage(), &message));
            }
            return;
        }
        self.select(hub, selection);
    }

    /// Whether a selection is within the limits; its filters are counted then.
    fn check(&mut self, hub: &Hub, selection: &Selection) -> Result<(), String> {
        let settings = hub.settings();
        let devices_max = settings.selection_devices_max;
        if selection.devices.len().is_some_and(|count| count > devices_max) {
            return Err(format!("a stream may name {devices_max} devices at most"));
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
