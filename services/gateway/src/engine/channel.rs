//! The engine's end of a stream that runs behind hyper: TLS and HTTP/2.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::Stream;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Tells the worker that something can be read or written.
type Notify = Box<dyn Fn() + Send + Sync>;

/// What both ends share.
#[derive(Default)]
struct Link {
    notify: Mutex<Option<Notify>>,
    blocked: AtomicBool,
    /// Bytes on their way to hyper.
    bytes: AtomicUsize,
    /// The worker has let the stream go.
    ended: CancellationToken,
}

impl Link {
    fn notify(&self) {
        if let Some(notify) = &*self.notify.lock() {
            notify();
        }
    }
}

/// The worker's end.
pub struct ChannelSink {
    output: mpsc::Sender<Bytes>,
    input: mpsc::Receiver<Bytes>,
    link: Arc<Link>,
    bytes_max: usize,
}

/// The bytes of the stream, for hyper's body or an upgraded connection; ends when the stream ends.
/// Dropping it ends the stream.
pub struct ChannelBody {
    output: mpsc::Receiver<Bytes>,
    link: Arc<Link>,
}

/// What the client sends, for an upgraded connection. Dropping it says that the client is gone; keep
/// it as long as the stream where a client sends nothing.
pub struct ChannelInput {
    /// `None` only while it is dropped.
    input: Option<mpsc::Sender<Bytes>>,
    link: Arc<Link>,
}

/// A sink and its other end, with room for `frames_max` frames, and for one when `bytes_max` are on
/// their way.
#[must_use]
pub fn pair(frames_max: usize, bytes_max: usize) -> (ChannelSink, ChannelBody, ChannelInput) {
    let link = Arc::new(Link::default());
    let (output_sender, output) = mpsc::channel(frames_max.max(1));
    let (input, input_receiver) = mpsc::channel(4);
    let sink = ChannelSink {
        output: output_sender,
        input: input_receiver,
        link: Arc::clone(&link),
        bytes_max,
    };
    let body = ChannelBody {
        output,
        link: Arc::clone(&link),
    };
    let input = ChannelInput {
        input: Some(input),
        link,
    };
    (sink, body, input)
}

/// The other end is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gone;

impl ChannelSink {
    /// Names whom to tell when there is something to do.
    pub(crate) fn on_ready(&self, notify: Notify) {
        *self.link.notify.lock() = Some(notify);
    }

    /// Hands over one frame; false when there is no room, and the worker is told once there is.
    pub(crate) fn send(&self, frame: &Bytes) -> Result<bool, Gone> {
        if self.try_send(frame)? {
            return Ok(true);
        }
        self.link.blocked.store(true, Ordering::SeqCst);
        // Room may have come between the two steps, and nobody would tell.
        self.try_send(frame)
    }

    fn try_send(&self, frame: &Bytes) -> Result<bool, Gone> {
        let on_their_way = self.link.bytes.load(Ordering::SeqCst);
        if on_their_way > 0 && on_their_way + frame.len() > self.bytes_max {
            return Ok(false);
        }
        // Counted first: the other end may take it before this goes on.
        self.link.bytes.fetch_add(frame.len(), Ordering::SeqCst);
        let sent = self.output.try_send(frame.clone());
        if sent.is_err() {
            self.link.bytes.fetch_sub(frame.len(), Ordering::SeqCst);
        }
        match sent {
            Ok(()) => Ok(true),
            Err(mpsc::error::TrySendError::Full(_)) => Ok(false),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(Gone),
        }
    }

    /// What the client sent, if anything.
    pub(crate) fn receive(&mut self) -> Result<Option<Bytes>, Gone> {
        match self.input.try_recv() {
            Ok(bytes) => Ok(Some(bytes)),
            Err(mpsc::error::TryRecvError::Empty) => Ok(None),
            Err(mpsc::error::TryRecvError::Disconnected) => Err(Gone),
        }
    }
}

impl Drop for ChannelSink {
    fn drop(&mut self) {
        self.link.ended.cancel();
    }
}

impl ChannelBody {
    /// Is cancelled when the worker has let the stream go: no more comes than is on its way.
    pub(crate) fn ended(&self) -> CancellationToken {
        self.link.ended.clone()
    }
}

impl Stream for ChannelBody {
    type Item = Bytes;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let polled = self.output.poll_recv(context);
        if let Poll::Ready(Some(frame)) = &polled {
            self.link.bytes.fetch_sub(frame.len(), Ordering::SeqCst);
        }
        if polled.is_ready() && self.link.blocked.swap(false, Ordering::SeqCst) {
            self.link.notify();
        }
        polled
    }
}

impl Drop for ChannelBody {
    fn drop(&mut self) {
        self.output.close();
        self.link.notify();
    }
}

impl ChannelInput {
    /// Hands over what the client sent; waits while the worker has not taken what came before. False
    /// when the stream has ended.
    pub async fn send(&self, bytes: Bytes) -> bool {
        let Some(input) = &self.input else {
            return false;
        };
        let sent = input.send(bytes).await.is_ok();
        self.link.notify();
        sent
    }
}

impl Drop for ChannelInput {
    fn drop(&mut self) {
        // First gone, then told: the worker looks once.
        self.input = None;
        self.link.notify();
    }
}
