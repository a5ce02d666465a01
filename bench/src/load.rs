//! The load generator: one thread that holds every connection, counts all of their frames, and reads
//! those of a sample closely.

mod check;
mod connection;
pub(crate) mod wire;

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use journal::Clock;
use mio::{Events, Poll};

use crate::error::{self, Error};
use crate::events::Series;
use connection::Connection;
pub(crate) use wire::Carrier;

/// Connections that are being opened at once: less than a listener's backlog.
const OPENING_MAX: usize = 64;
/// Longest opening of all connections.
const OPENING: Duration = Duration::from_secs(60);
/// Bytes read at once.
const BUFFER: usize = 256 << 10;
/// Every so many connections, one is read closely.
const SAMPLE_EVERY: usize = 64;
/// Every so many connections, the latency of one is measured.
const LATENCY_EVERY: usize = 8;

/// What to open.
pub(crate) struct Plan<'a> {
    /// Where.
    pub(crate) address: SocketAddr,
    /// How.
    pub(crate) carrier: Carrier,
    /// How many.
    pub(crate) connections: usize,
    /// The query of `/v1/stream`, by number of the connection.
    pub(crate) query: &'a dyn Fn(usize) -> String,
    /// What is sent.
    pub(crate) series: &'a Series,
    /// Whether a connection sees its device only: number `i mod devices`.
    pub(crate) keyed: bool,
    /// Whether latency is measured.
    pub(crate) latency: bool,
}

/// Open connections.
pub(crate) struct Load {
    poll: Poll,
    connections: Vec<Connection>,
    reader: Reader,
}

/// What reading any connection needs, and what it adds to.
pub(crate) struct Reader {
    buffer: Vec<u8>,
    series: Series,
    clock: Clock,
    delivered: u64,
    /// Hellos, keep-alives, pings.
    control: u64,
    latency: Histogram<u64>,
    frame: Option<Vec<u8>>,
}

impl Load {
    /// Opens every connection; each is live when this returns.
    pub(crate) fn open(plan: &Plan<'_>, clock: &Clock) -> Result<Self, Error> {
        let histogram = Histogram::new_with_bounds(1, 60_000_000, 3);
        let latency =
            histogram.map_err(|error| error::io("a histogram")(io::Error::other(error.to_string())))?;
        let mut load = Self {
            poll: Poll::new().map_err(error::io("a poll"))?,
            connections: Vec::with_capacity(plan.connections),
            reader: Reader {
                buffer: vec![0; BUFFER],
                series: plan.series.clone(),
                clock: clock.clone(),
                delivered: 0,
                control: 0,
                latency,
                frame: None,
            },
        };
        let deadline = Instant::now() + OPENING;
        let mut events = Events::with_capacity(1_024);
        loop {
            let live = load
                .connections
                .iter()
                .filter(|connection| connection.is_live())
                .count();
            if live == plan.connections {
                return Ok(load);
            }
            while load.connections.len() < plan.connections.min(live + OPENING_MAX) {
                load.add(plan)?;
            }
            if Instant::now() > deadline {
                return Err(Error::Late {
                    what: format!("{live} of {} connections", plan.connections),
                });
            }
            load.turn(&mut events, Duration::from_millis(100))?;
        }
    }

    fn add(&mut self, plan: &Plan<'_>) -> Result<(), Error> {
        let number = self.connections.len();
        let connection = Connection::open(number, plan, self.poll.registry())?;
        self.connections.push(connection);
        Ok(())
    }

    /// Reads until `done` says so, given the messages delivered so far. Fails when `deadline` passes.
    pub(crate) fn run(
        &mut self,
        deadline: Instant,
        what: &str,
        mut done: impl FnMut(u64) -> bool,
    ) -> Result<(), Error> {
        let mut events = Events::with_capacity(4_096);
        while !done(self.reader.delivered) {
            if Instant::now() > deadline {
                return Err(Error::Late {
                    what: format!("{what}: {} messages came", self.reader.delivered),
                });
            }
            self.turn(&mut events, Duration::from_millis(5))?;
        }
        Ok(())
    }

    fn turn(&mut self, events: &mut Events, wait: Duration) -> Result<(), Error> {
        match self.poll.poll(events, Some(wait)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            polled => polled.map_err(error::io("poll"))?,
        }
        for event in events.iter() {
            if let Some(connection) = self.connections.get_mut(event.token().0) {
                connection.ready(&mut self.reader)?;
            }
        }
        Ok(())
    }

    /// Frames so far that are no messages: hellos, keep-alives, pings.
    pub(crate) fn control(&self) -> u64 {
        self.reader.control
    }

    /// Messages that came.
    pub(crate) fn delivered(&self) -> u64 {
        self.reader.delivered
    }

    /// From the time when a message was due to that of its receipt, microseconds.
    pub(crate) fn latency(&self) -> &Histogram<u64> {
        &self.reader.latency
    }

    /// A whole frame as it came, of the first message of the first connection.
    pub(crate) fn frame(&self) -> Option<&[u8]> {
        self.reader.frame.as_deref()
    }

    /// Whether every connection got as many messages as `expected` says of it.
    pub(crate) fn verify(&self, expected: impl Fn(usize) -> u64) -> Result<(), Error> {
        for (number, connection) in self.connections.iter().enumerate() {
            let (got, expected) = (connection.messages(), expected(number));
            if got != expected {
                return Err(Error::Count {
                    connection: number,
                    got,
                    expected,
                });
            }
        }
        Ok(())
    }
}
