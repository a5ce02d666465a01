//! The delivery engine: from the log to sockets.
//!
//! A connection is a cursor. What is live is matched once and its frame shared; what is behind reads on
//! from its own position, from the rings or from shared blocks of the log, at its own pace.

use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use journal::{Bounds, Clock, Journal, Partition, ReadError, Topic};

use crate::settings::Settings;
use crate::subscription::Subscription;

pub mod channel;
pub mod record;
pub mod seats;

pub use channel::{ChannelBody, ChannelInput, ChannelSink};
pub use record::LogRecord;
pub use seats::{Refused, Seat};

/// Where a stream's bytes go.
pub enum Sink {
    /// A plain socket, whose request head is read and unanswered; the worker owns it from now on.
    Socket(TcpStream),
    /// hyper, for TLS and HTTP/2.
    Channel(ChannelSink),
}

/// A stream that the engine takes over.
pub struct Adoption {
    /// Its place under the caps.
    pub seat: Seat,
    /// Where its bytes go.
    pub sink: Sink,
    /// Written first: the response head (SSE: `Connection: close` and no length, since the body ends
    /// with the connection), or the 101. Empty behind hyper. The opening of an SSE body (comment and
    /// `hello`) is the engine's.
    pub prelude: Bytes,
    /// What was read from the socket beyond the request head.
    pub leftover: Vec<u8>,
    /// What to stream.
    pub subscription: Subscription,
}

/// What runs now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Streams.
    pub streams: usize,
    /// Partitions that are followed.
    pub tails: usize,
}

/// The delivery engine of a process. Clones are the same engine.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    seats: seats::Seats,
}

impl Engine {
    /// Starts the workers' threads and the tasks beside them, on the current tokio runtime.
    ///
    /// # Errors
    /// What the operating system or the registry refused.
    pub fn start(
        settings: Settings,
        journal: Journal,
        store: state::Store,
        directory: Arc<access::Directory>,
        clock: Clock,
        registry: &prometheus::Registry,
    ) -> Result<Self, StartError> {
        let _ = (settings, journal, store, directory, clock, registry);
        Err(StartError::NoRuntime)
    }

    /// A place for one more stream of `tenant` (`None`: of all tenants). Taken before anything is
    /// answered; dropping it gives it back.
    ///
    /// # Errors
    /// The cap that it would pass, or that this gateway drains.
    pub fn reserve(&self, tenant: Option<&str>) -> Result<Seat, Refused> {
        self.inner.seats.reserve(tenant)
    }

    /// Takes a stream over.
    ///
    /// # Errors
    /// When this gateway drains or its workers are swamped: the socket is dropped, nothing was written.
    pub fn adopt(&self, adoption: Adoption) -> Result<(), Refused> {
        let _ = adoption;
        Err(Refused::Draining)
    }

    /// Fresh bounds, in the order of `partitions`: the log was asked after this was called. Callers at
    /// the same time share one question. Answers within the setting `ends_timeout`.
    pub async fn bounds(&self, topic: Topic, partitions: &[Partition]) -> Vec<Result<Bounds, ReadError>> {
        let _ = (topic, partitions);
        std::future::ready(Vec::new()).await
    }

    /// Starts to follow `partitions`, and waits (at most `ends_timeout`) until each is followed from
    /// its live end. To be awaited before the head of a stream that starts at the live end, so that
    /// what is acknowledged after the head is delivered.
    pub async fn ensure_tails(&self, topic: Topic, partitions: &[Partition]) {
        let _ = (topic, partitions);
        std::future::ready(()).await;
    }

    /// Stops taking streams, ends those there are in waves over `deadline`, and stops threads and tasks.
    pub async fn drain(&self, deadline: Duration) {
        let _ = deadline;
        std::future::ready(()).await;
    }

    /// What runs now.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts::default()
    }

    /// A pair for a stream behind hyper.
    #[must_use]
    pub fn channel(&self) -> (ChannelSink, ChannelBody, ChannelInput) {
        channel::pair(16)
    }

    /// The settings in force.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        self.inner.seats.settings()
    }
}

/// Why the engine did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Called outside a tokio runtime.
    #[error("the delivery engine must be started inside a tokio runtime")]
    NoRuntime,
    /// A poll or a thread could not be made.
    #[error("the operating system refused a worker: {0}")]
    Worker(#[from] std::io::Error),
    /// A metric of that name exists.
    #[error("a metric could not be registered: {0}")]
    Metric(#[from] prometheus::Error),
}
