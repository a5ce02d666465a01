//! What `fanout` and `keyed` share: open, send, read all, check all; product first, for its frame.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::error::{Error, io};
use crate::events::Series;
use crate::load::{Carrier, Load, Plan};
use crate::publisher::Publisher;
use crate::rig::{Rig, Stretch, Used};
use crate::server::Server;

/// How long the last message may be on its way.
pub(super) const REST: Duration = Duration::from_secs(60);

/// Who listens, to what.
pub(super) struct Audience<'a> {
    /// How.
    pub(super) carrier: Carrier,
    /// How many connections.
    pub(super) connections: usize,
    /// What is sent.
    pub(super) series: &'a Series,
    /// Whether connection `i` sees device `i mod devices` only.
    pub(super) keyed: bool,
}

impl Audience<'_> {
    fn open(&self, rig: &Rig, server: &Server, tenant: &str) -> Result<Load, Error> {
        let query = |number: usize| {
            let all = format!("view=events&kind=telemetry&tenant={tenant}");
            if self.keyed {
                format!("{all}&device=d{:04}", number % self.series.devices)
            } else {
                all
            }
        };
        let plan = Plan {
            address: server.address,
            carrier: self.carrier,
            connections: self.connections,
            query: &query,
            series: self.series,
            keyed: self.keyed,
            latency: self.keyed,
        };
        Load::open(&plan, &rig.clock)
    }

    /// Messages that connection `number` gets of `messages`.
    fn share(&self, number: usize, messages: u64) -> u64 {
        if !self.keyed {
            return messages;
        }
        let (devices, device) = (self.series.devices as u64, (number % self.series.devices) as u64);
        (messages + devices - 1 - device) / devices
    }

    fn total(&self, messages: u64) -> u64 {
        (0..self.connections)
            .map(|number| self.share(number, messages))
            .sum()
    }
}

/// What one run came to.
pub(super) struct Run {
    /// Messages sent.
    pub(super) messages: u64,
    /// Messages delivered.
    pub(super) delivered: u64,
    /// What it took.
    pub(super) used: Used,
    /// 99 % of the messages came within this, milliseconds.
    pub(super) p99_ms: f64,
    /// Half of the messages came within this, milliseconds.
    pub(super) p50_ms: f64,
    /// A frame as it came.
    pub(super) frame: Vec<u8>,
}

impl Run {
    fn new(load: &Load, messages: u64, used: Used) -> Self {
        let quantile = |quantile| load.latency().value_at_quantile(quantile) as f64 / 1_000.0;
        Self {
            messages,
            delivered: load.delivered(),
            used,
            p50_ms: quantile(0.5),
            p99_ms: quantile(0.99),
            frame: load.frame().unwrap_or_default().to_vec(),
        }
    }

    /// Messages delivered in a second.
    pub(super) fn rate(&self) -> f64 {
        self.delivered as f64 / self.used.seconds
    }

    /// Processor time of the server for one delivered message, microseconds.
    pub(super) fn cost_us(&self) -> f64 {
        self.used.server * 1e6 / self.delivered as f64
    }

    /// Messages in one write, on average.
    pub(super) fn depth(&self) -> f64 {
        self.delivered as f64 / self.used.writes.max(1) as f64
    }
}

/// How a publisher goes about it: given what was delivered so far, it sends until it has sent enough.
pub(super) type Publish<'a> = dyn Fn(&mut Publisher, &AtomicU64) -> Result<u64, Error> + Sync + 'a;

/// Runs the product: `publish` sends while the audience reads, until everybody has everything.
pub(super) fn product(
    rig: &Rig,
    server: &Server,
    audience: &Audience<'_>,
    publish: &Publish<'_>,
) -> Result<Run, Error> {
    let tenant = rig.tenant();
    let mut publisher = Publisher::connect(server.address, &tenant)?;
    let mut load = audience.open(rig, server, &tenant)?;
    let delivered = AtomicU64::new(0);
    let stretch = Stretch::begin(server.pid())?;
    let messages = std::thread::scope(|scope| {
        let sender = scope.spawn(|| publish(&mut publisher, &delivered));
        let deadline = Instant::now() + rig.options.length() + REST;
        load.run(deadline, "while messages are sent", |count| {
            delivered.store(count, Ordering::Relaxed);
            sender.is_finished()
        })?;
        sender.join().unwrap_or_else(|_| {
            Err(Error::Late {
                what: "the publisher panicked".to_owned(),
            })
        })
    })?;
    let total = audience.total(messages);
    load.run(Instant::now() + REST, "the last messages", |count| count >= total)?;
    let used = stretch.end()?;
    load.verify(|number| audience.share(number, messages))?;
    Ok(Run::new(&load, messages, used))
}

/// What a limit server is told.
pub(super) struct Commands {
    /// Before the stretch that is measured; it answers when it is done.
    pub(super) before: Option<String>,
    /// To send.
    pub(super) send: String,
}

/// Runs a limit server: `commands` make it send `messages` of `frame`'s kind.
pub(super) fn limit(
    rig: &Rig,
    audience: &Audience<'_>,
    frame: &[u8],
    messages: u64,
    commands: &Commands,
) -> Result<Run, Error> {
    let path = rig.path("frame");
    std::fs::write(&path, frame).map_err(io("a frame"))?;
    let mut arguments = vec![
        "limit-stream".to_owned(),
        "--frame".to_owned(),
        path.display().to_string(),
    ];
    arguments.extend(["--devices".to_owned(), audience.series.devices.to_string()]);
    if audience.keyed {
        arguments.push("--keyed".to_owned());
    }
    let mut server = Server::limit(rig.cores, &arguments)?;
    let mut load = audience.open(rig, &server, "limit")?;
    if let Some(before) = &commands.before {
        server.tell(before)?;
        server.line()?;
    }
    let stretch = Stretch::begin(server.pid())?;
    server.tell(&commands.send)?;
    let total = audience.total(messages);
    let deadline = Instant::now() + rig.options.length() + REST;
    load.run(deadline, "the limit server's messages", |count| count >= total)?;
    let used = stretch.end()?;
    load.verify(|number| audience.share(number, messages))?;
    Ok(Run::new(&load, messages, used))
}
