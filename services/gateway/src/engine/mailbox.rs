//! What other threads tell a worker.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crossbeam_channel::{Receiver, Sender, TrySendError};
use journal::{Offset, Partition};
use parking_lot::Mutex;

use super::blocks::BlockAnswer;
use super::lookups::LookupAnswer;
use super::tails::Wake;
use super::{Adoption, Token};

/// A command.
pub(crate) enum Command {
    /// Take this stream.
    Adopt(Box<Adoption>),
    /// End the streams over so many milliseconds.
    Drain {
        /// How long.
        over_ms: u64,
    },
    /// End everything, now.
    Stop,
}

/// An answer to something that the worker asked for. A worker never has more questions open than there
/// is room for answers.
pub(crate) enum Reply {
    /// The block that covers `at`.
    Block { key: BlockKey, answer: BlockAnswer },
    /// What one stream asked.
    Lookup { token: Token, answer: LookupAnswer },
}

/// Names a place in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct BlockKey {
    pub(crate) topic: journal::Topic,
    pub(crate) partition: Partition,
    pub(crate) at: Offset,
}

/// The way to one worker.
pub(crate) struct Mailbox {
    commands: Sender<Command>,
    replies: Sender<Reply>,
    waker: Box<dyn Wake>,
    asleep: AtomicBool,
    recheck: AtomicBool,
    closed: AtomicBool,
    ready: Mutex<Vec<(Token, Arc<AtomicBool>)>>,
    /// Streams that it has, for choosing where the next one goes.
    pub(crate) streams: AtomicUsize,
}

/// A worker's end of its mailbox.
pub(crate) struct Inbox {
    pub(crate) commands: Receiver<Command>,
    pub(crate) replies: Receiver<Reply>,
}

impl Drop for Inbox {
    /// What lies in it would be kept by the senders, and with it what answers hold: a worker that is gone must not
    /// stop those that are left.
    fn drop(&mut self) {
        while self.replies.try_recv().is_ok() {}
    }
}

/// The worker's queue is full.
pub(crate) struct Swamped;

impl Mailbox {
    pub(crate) fn new(commands_max: usize, replies_max: usize, waker: Box<dyn Wake>) -> (Arc<Self>, Inbox) {
        let (commands, commands_received) = crossbeam_channel::bounded(commands_max.max(1));
        let (replies, replies_received) = crossbeam_channel::bounded(replies_max.max(1));
        let mailbox = Self {
            commands,
            replies,
            waker,
            asleep: AtomicBool::new(false),
            recheck: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            ready: Mutex::default(),
            streams: AtomicUsize::new(0),
        };
        let inbox = Inbox {
            commands: commands_received,
            replies: replies_received,
        };
        (Arc::new(mailbox), inbox)
    }

    pub(crate) fn send(&self, command: Command) -> Result<(), Swamped> {
        match self.commands.try_send(command) {
            Ok(()) => {
                self.wake();
                Ok(())
            }
            Err(TrySendError::Full(_)) => Err(Swamped),
            Err(TrySendError::Disconnected(_)) => {
                self.closed.store(true, Ordering::Release);
                Err(Swamped)
            }
        }
    }

    /// Whether the worker has ended.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Answers a question. There is room for every answer, so only a worker that has ended gets none.
    pub(crate) fn reply(&self, reply: Reply) {
        if self.replies.try_send(reply).is_ok() {
            self.wake();
        }
    }

    /// Asks for a recheck; once is enough, however often it is said. Never lost to a full queue.
    pub(crate) fn recheck(&self) {
        self.recheck.store(true, Ordering::Release);
        self.wake();
    }

    pub(crate) fn take_recheck(&self) -> bool {
        self.recheck.swap(false, Ordering::AcqRel)
    }

    /// Something can be read from or written to a stream behind hyper. `told` is set until the worker
    /// looks, so that each stream stands in the list once.
    pub(crate) fn ready(&self, token: Token, told: &Arc<AtomicBool>) {
        if !told.swap(true, Ordering::AcqRel) {
            self.ready.lock().push((token, Arc::clone(told)));
            self.wake();
        }
    }

    pub(crate) fn take_ready(&self) -> Vec<Token> {
        let ready = std::mem::take(&mut *self.ready.lock());
        let look = |(token, told): (Token, Arc<AtomicBool>)| {
            told.store(false, Ordering::Release);
            token
        };
        ready.into_iter().map(look).collect()
    }

    pub(crate) fn has_told(&self) -> bool {
        self.recheck.load(Ordering::Acquire) || !self.ready.lock().is_empty()
    }

    /// Says that the worker is about to wait. Whatever is told from now on wakes it; it must look once
    /// more at what was told before.
    pub(crate) fn about_to_wait(&self) {
        // Swaps only, no stores: each sees what whoever swapped before has written.
        self.asleep.swap(true, Ordering::SeqCst);
    }

    /// Says that the worker runs: whatever is told from now on until it waits needs no system call.
    pub(crate) fn awake(&self) {
        self.asleep.swap(false, Ordering::SeqCst);
    }
}

impl Wake for Mailbox {
    fn wake(&self) {
        if self.asleep.swap(false, Ordering::SeqCst) {
            self.waker.wake();
        }
    }
}
