//! Processes, and what goes wrong with their effects: each call of a port may fail, hang, be done in part,
//! or be the last thing that its process does.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

/// A kind of call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Reactions or rejected records.
    Append,
    /// The transaction of a batch.
    Commit,
    /// Rows of history.
    History,
    /// Documents.
    Write,
    /// How far the tables are.
    Applied,
    /// Any call that only reads.
    Read,
}

impl Effect {
    pub(super) const ALL: [Self; 6] = [
        Self::Append,
        Self::Commit,
        Self::History,
        Self::Write,
        Self::Applied,
        Self::Read,
    ];
}

/// How much of an effect comes true.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Done {
    Nothing,
    /// Some records or rows, where there are several and nothing binds them.
    Part,
    All,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The process dies in it.
    Die(Done),
    /// The call fails, and the process goes on.
    Fail(Done),
    /// The process stands still for so many seconds, before it or after it.
    Stall { seconds: u64, before: bool },
    /// The process dies, and what it had sent arrives so many seconds later.
    Late { seconds: u64 },
}

/// One process.
pub(super) struct Process {
    pub(super) name: usize,
    /// Ends its projector when it is told to.
    dead: AtomicBool,
    planned: Mutex<VecDeque<(Effect, u64, Fault)>>,
    calls: AtomicU64,
}

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fate {
    pub(super) done: Done,
    /// Whether the process is told that it worked; not if it dies.
    pub(super) fails: bool,
    pub(super) dies: bool,
    pub(super) late: Option<Duration>,
    stalls_after: Option<Duration>,
}

impl Process {
    pub(super) fn new(name: usize) -> Arc<Self> {
        Arc::new(Self {
            name,
            dead: AtomicBool::new(false),
            planned: Mutex::default(),
            calls: AtomicU64::new(0),
        })
    }

    pub(super) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::SeqCst)
    }

    pub(super) fn kill(&self) {
        self.dead.store(true, Ordering::SeqCst);
    }

    /// The call of that kind after `skip` others meets `fault`.
    pub(super) fn plan(&self, effect: Effect, skip: u64, fault: Fault) {
        self.planned.lock().push_back((effect, skip, fault));
    }

    /// Decides what becomes of a call, after any stall before it.
    pub(super) async fn begin(&self, effect: Effect) -> Fate {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let fate = |done, fails, dies| Fate {
            done,
            fails,
            dies,
            late: None,
            stalls_after: None,
        };
        if self.is_dead() {
            // What the dead still had in their hands does nothing.
            std::future::pending::<()>().await;
        }
        match self.take(effect) {
            None => fate(Done::All, false, false),
            Some(Fault::Die(done)) => fate(done, true, true),
            Some(Fault::Fail(done)) => fate(done, true, false),
            Some(Fault::Stall {
                seconds,
                before: true,
            }) => {
                tokio::time::sleep(Duration::from_secs(seconds)).await;
                fate(Done::All, false, false)
            }
            Some(Fault::Stall {
                seconds,
                before: false,
            }) => Fate {
                stalls_after: Some(Duration::from_secs(seconds)),
                ..fate(Done::All, false, false)
            },
            Some(Fault::Late { seconds }) => Fate {
                late: Some(Duration::from_secs(seconds)),
                ..fate(Done::Nothing, true, true)
            },
        }
    }

    /// Ends a call: the dead never hear of it.
    pub(super) async fn end(&self, fate: Fate) {
        if fate.dies {
            self.kill();
        }
        if self.is_dead() {
            std::future::pending::<()>().await;
        }
        if let Some(stall) = fate.stalls_after {
            tokio::time::sleep(stall).await;
        }
    }

    /// How many of `count` things are done: all, none, or some that depends on what went before.
    pub(super) fn share(&self, done: Done, count: usize) -> usize {
        match done {
            Done::Nothing => 0,
            Done::All => count,
            Done::Part => (self.calls.load(Ordering::SeqCst) as usize * 7 + 3) % (count + 1),
        }
    }

    fn take(&self, effect: Effect) -> Option<Fault> {
        let mut planned = self.planned.lock();
        let index = planned.iter().position(|(kind, _, _)| *kind == effect)?;
        match planned.get_mut(index)? {
            (_, skip, _) if *skip > 0 => {
                *skip -= 1;
                None
            }
            (_, _, fault) => {
                let fault = *fault;
                planned.remove(index);
                Some(fault)
            }
        }
    }
}
