//! What scenarios share: where servers run and keep data, and how a stretch of work is measured.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use journal::Clock;
use tempfile::TempDir;

use crate::error::{Error, io};
use crate::machine::{self, Cores, Processor};
use crate::options::Options;
use crate::server::{self, Server};

/// What scenarios share.
pub(crate) struct Rig {
    /// How to measure.
    pub(crate) options: Options,
    /// Which core is whose.
    pub(crate) cores: Cores,
    /// The wall clock, which all processes share.
    pub(crate) clock: Clock,
    directory: Arc<TempDir>,
    number: AtomicU32,
}

/// Roles of a node on the embedded engine: one process does everything, the fold too.
const EMBEDDED: &str = "all";
/// Roles of a node on servers: the fold is another process's work.
const SERVERS: &str = "ingest,gateway";

impl Rig {
    /// With a directory of its own.
    pub(crate) fn new(options: Options, cores: Cores) -> Result<Self, Error> {
        let directory = tempfile::Builder::new().prefix("wakeline-bench-").tempdir();
        Ok(Self {
            options,
            cores,
            clock: node::system_clock(),
            directory: Arc::new(directory.map_err(io("a directory"))?),
            number: AtomicU32::new(0),
        })
    }

    /// A path that nothing is at.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        self.directory.path().join(format!("{name}-{number}"))
    }

    /// A tenant that nobody used.
    pub(crate) fn tenant(&self) -> String {
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        format!("bench-{}-{}-{number}", std::process::id(), (self.clock)())
    }

    /// A node on a new directory of the embedded engine, and that directory.
    pub(crate) fn embedded(&self) -> Result<(Server, PathBuf), Error> {
        let data = self.path("data");
        let arguments = ["--data".to_owned(), data.display().to_string()];
        Ok((Server::product(self.cores, EMBEDDED, &arguments)?, data))
    }

    /// Kafka and a CQL server, where they were named.
    pub(crate) fn servers(&self) -> Option<Vec<String>> {
        let (kafka, cql) = (self.options.kafka.as_ref()?, self.options.cql.as_ref()?);
        let arguments = [
            "--kafka",
            kafka,
            "--cql",
            cql,
            "--cql-keyspace",
            "wakeline_bench",
            "--allow-weak-durability",
        ];
        Some(arguments.map(str::to_owned).to_vec())
    }

    /// A node on Kafka and CQL.
    pub(crate) fn kafka(&self, arguments: &[String]) -> Result<Server, Error> {
        server::migrate(arguments)?;
        Server::product(self.cores, SERVERS, arguments)
    }
}

/// A stretch of work under measurement.
pub(crate) struct Stretch {
    begun: Instant,
    server: Processor,
    load: Processor,
    server_before: f64,
    load_before: f64,
    pid: u32,
    writes_before: u64,
}

/// What a stretch of work took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Used {
    /// Seconds.
    pub(crate) seconds: f64,
    /// Processor seconds of the server.
    pub(crate) server: f64,
    /// Processor seconds of this process, which is the load.
    pub(crate) load: f64,
    /// Calls of `write` and `writev` by the server.
    pub(crate) writes: u64,
}

impl Stretch {
    /// Begins, with process `pid` as the server.
    pub(crate) fn begin(pid: u32) -> Result<Self, Error> {
        let (mut server, mut load) = (Processor::of(pid), Processor::own());
        Ok(Self {
            server_before: server.seconds()?,
            load_before: load.seconds()?,
            writes_before: machine::write_calls(pid)?,
            server,
            load,
            pid,
            begun: Instant::now(),
        })
    }

    /// Seconds since the beginning.
    pub(crate) fn elapsed(&self) -> f64 {
        self.begun.elapsed().as_secs_f64()
    }

    /// Ends.
    pub(crate) fn end(mut self) -> Result<Used, Error> {
        Ok(Used {
            seconds: self.elapsed(),
            server: self.server.seconds()? - self.server_before,
            load: self.load.seconds()? - self.load_before,
            writes: machine::write_calls(self.pid)?.saturating_sub(self.writes_before),
        })
    }
}

impl Used {
    /// Shares of a core, for the notes.
    pub(crate) fn shares(&self) -> String {
        format!(
            "server {:.0} %, load {:.0} % of a core",
            100.0 * self.server / self.seconds,
            100.0 * self.load / self.seconds
        )
    }
}
