//! A client that is cut at random and comes back with the id of the last frame that it read.

use std::time::Duration;

use crate::api::Api;
use crate::stream::{Carrier, Ended, Frame, Streaming};
use crate::wait::within;
use rand::RngExt as _;
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom as _;
use tokio::time::{Instant, timeout_at};

/// The part that every client has; what it makes of frames is told by the caller.
pub(super) struct Client {
    pub(super) number: usize,
    pub(super) carrier: Carrier,
    pub(super) query: String,
    pub(super) cursor: Option<String>,
    pub(super) random: SmallRng,
    gateways: [Api; 2],
}

impl Client {
    pub(super) fn new(number: usize, query: String, gateways: [Api; 2], random: SmallRng) -> Self {
        let carrier = if number.is_multiple_of(2) {
            Carrier::Sse
        } else {
            Carrier::WebSocket
        };
        Self {
            number,
            carrier,
            query,
            cursor: None,
            random,
            gateways,
        }
    }

    /// One connection, cut after some frames or some time, in whatever it is doing then.
    pub(super) async fn session(&mut self, read: &mut impl FnMut(&Frame)) {
        let frames_max = self.random.random_range(0..40);
        let patience = Duration::from_millis(self.random.random_range(5..400));
        let cut = Instant::now() + patience;
        let Ok(opened) = timeout_at(cut, self.open()).await else {
            return;
        };
        let mut stream = opened.unwrap_or_else(|ended| panic!("{}: refused: {ended:?}", self.named()));
        for _ in 0..frames_max {
            match timeout_at(cut, stream.next()).await {
                Ok(frame) => self.take(frame, read),
                Err(_) => return,
            };
        }
    }

    /// One connection, until `done` says so of a frame, however long that takes.
    pub(super) async fn until(&mut self, read: &mut impl FnMut(&Frame), done: impl Fn(&Frame) -> bool) {
        let opened = within("a stream", self.open()).await;
        let mut stream = opened.unwrap_or_else(|ended| panic!("{}: refused: {ended:?}", self.named()));
        loop {
            let next = within(&format!("{} to go on", self.named()), stream.next()).await;
            if done(&self.take(next, read)) {
                return;
            }
        }
    }

    async fn open(&mut self) -> Result<Streaming, Ended> {
        let api = self.gateways.choose(&mut self.random).expect("gateways").clone();
        Streaming::open(&api, self.carrier, &self.query, self.cursor.as_deref()).await
    }

    fn take(&mut self, frame: Result<Frame, Ended>, read: &mut impl FnMut(&Frame)) -> Frame {
        let frame = frame.unwrap_or_else(|ended| panic!("{}: ended: {ended:?}", self.named()));
        let unexpected = matches!(frame.kind.as_str(), "reset" | "fault" | "degraded" | "left");
        assert!(!unexpected, "{}: {frame:?}", self.named());
        if let Some(cursor) = &frame.cursor {
            self.cursor = Some(cursor.clone());
        }
        read(&frame);
        frame
    }

    pub(super) fn named(&self) -> String {
        format!("client {} ({:?}, {})", self.number, self.carrier, self.query)
    }
}
