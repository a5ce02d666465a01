//! What the run and its clients know of each other.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// A connection that ends so long after its gateway's trouble ended for another reason.
const CAUSE_MAX: Duration = Duration::from_secs(20);

/// A device and a kind of event.
pub type Canary = (String, &'static str);

/// What the run sees of a client.
#[derive(Debug, Clone, Default)]
pub struct Status {
    /// Which gateway it is connected to, since when.
    pub connection: Option<(usize, Instant)>,
    /// Connections that ended and were not ended by the client.
    pub cuts: u32,
    /// When the last of them ended.
    pub cut_at: Option<Instant>,
    /// The last events that it has not seen.
    pub canaries: BTreeSet<Canary>,
    /// It ends connections by itself.
    pub turns: bool,
}

/// What goes on around the clients.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Phase {
    /// Everything may happen.
    Storm,
    /// Gateways are restarted; no client ends a connection by itself.
    Settling,
    /// Since then nothing happens: no stream is cut, none is silent.
    Calm(Instant),
}

/// How the tables are exchanged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tables {
    /// How often others began to serve.
    pub exchanged: u32,
    /// A rebuild is under way.
    pub rebuilding: bool,
}

/// Shared between the run and its clients.
pub struct Board {
    statuses: Vec<Mutex<Status>>,
    /// What was done to each gateway last, and when.
    trouble: [Mutex<Option<(String, Instant)>>; 2],
    phase: watch::Sender<Phase>,
    tables: watch::Sender<Tables>,
}

impl Board {
    /// For so many clients.
    #[must_use]
    pub fn new(clients: usize) -> Self {
        Self {
            statuses: (0..clients).map(|_| Mutex::default()).collect(),
            trouble: Default::default(),
            phase: watch::Sender::new(Phase::Storm),
            tables: watch::Sender::default(),
        }
    }

    /// Says that something is done to a gateway.
    pub fn trouble(&self, gateway: usize, what: &str) {
        *lock(&self.trouble[gateway]) = Some((what.to_owned(), Instant::now()));
    }

    /// Says what goes on from now on.
    pub fn enter(&self, phase: Phase) {
        self.phase.send_replace(phase);
    }

    /// Says that a rebuild begins or ends.
    pub fn rebuild(&self, rebuilding: bool) {
        self.tables.send_modify(|tables| tables.rebuilding = rebuilding);
    }

    /// Says that other tables serve.
    pub fn other_tables(&self) {
        self.tables.send_modify(|tables| tables.exchanged += 1);
    }

    /// What every client is doing.
    #[must_use]
    pub fn all(&self) -> Vec<Status> {
        self.statuses.iter().map(|status| lock(status).clone()).collect()
    }

    pub(super) fn update(&self, client: usize, change: impl FnOnce(&mut Status)) {
        change(&mut lock(&self.statuses[client]));
    }

    /// What was done to a gateway lately.
    pub(super) fn cause(&self, gateway: usize) -> Option<(String, Instant)> {
        let trouble = lock(&self.trouble[gateway]).clone();
        trouble.filter(|(_, at)| at.elapsed() < CAUSE_MAX)
    }

    pub(super) fn phase(&self) -> watch::Receiver<Phase> {
        self.phase.subscribe()
    }

    pub(super) fn tables(&self) -> watch::Receiver<Tables> {
        self.tables.subscribe()
    }

    /// Since when nothing happens any more.
    pub(super) fn calm(&self) -> Option<Instant> {
        match *self.phase.borrow() {
            Phase::Calm(since) => Some(since),
            Phase::Storm | Phase::Settling => None,
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
