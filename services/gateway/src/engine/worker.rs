//! A worker: one thread, its poll, its sockets, around a [`Core`].

mod behind;
mod choose;
mod connection;
mod core;
mod ends;
mod hub;
mod input;
mod latest;
mod output;
mod owed;
mod resets;
mod scope;
mod skip;
mod snapshot;
mod step;
mod talk;
mod timers;

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Waker};

use super::mailbox::{Command, Inbox, Mailbox};
use super::tails::Wake;
use super::wire::SinkWire;
use super::{Adoption, Sink, Token};

#[cfg(test)]
pub(crate) use self::core::RECHECKS_PER_TURN;
pub(crate) use self::core::{AdoptedStream, Core};
pub(crate) use self::hub::{Environment, questions_max};
pub(crate) use self::output::Wire;

/// Token of the waker; no stream has it.
const WAKER: mio::Token = mio::Token(usize::MAX);
/// Events taken from the poll at a time.
const EVENTS_MAX: usize = 1_024;
/// Answers taken in one turn. They are only put in line.
const REPLIES_PER_TURN: usize = 512;
/// Commands taken in one turn. Most are new streams, each of which is greeted at once.
const COMMANDS_PER_TURN: usize = 64;
/// A worker looks around at least this often.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// A worker that runs.
pub(crate) struct Worker {
    pub(crate) mailbox: Arc<Mailbox>,
    thread: Option<std::thread::JoinHandle<()>>,
}

struct PollWaker(Waker);

impl Wake for PollWaker {
    fn wake(&self) {
        if let Err(error) = self.0.wake() {
            tracing::error!(%error, "a worker cannot be woken");
        }
    }
}

impl Worker {
    pub(crate) fn start(number: usize, env: Arc<Environment>, seed: u64) -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = PollWaker(Waker::new(poll.registry(), WAKER)?);
        let replies_max = questions_max(&env.settings);
        let (mailbox, inbox) = Mailbox::new(env.settings.worker_queue_max, replies_max, Box::new(waker));
        let mut thread = Loop {
            core: Core::new(env, Arc::clone(&mailbox), 0, seed),
            poll,
            mailbox: Arc::clone(&mailbox),
            inbox,
            started: Instant::now(),
        };
        let thread = std::thread::Builder::new()
            .name(format!("gateway-worker-{number}"))
            .spawn(move || thread.run())?;
        Ok(Self {
            mailbox,
            thread: Some(thread),
        })
    }

    /// Waits for the thread, which was told to stop.
    pub(crate) fn join(mut self) {
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("a worker of the delivery engine panicked");
        }
    }
}

struct Loop {
    core: Core<SinkWire>,
    poll: Poll,
    mailbox: Arc<Mailbox>,
    inbox: Inbox,
    started: Instant,
}

impl Loop {
    fn run(&mut self) {
        let mut events = Events::with_capacity(EVENTS_MAX);
        loop {
            let wait = self.wait();
            if let Err(error) = self.poll.poll(&mut events, wait)
                && error.kind() != io::ErrorKind::Interrupted
            {
                tracing::error!(%error, "a worker cannot poll its sockets");
            }
            self.mailbox.awake();
            self.core.set_now(self.now_ms());
            for event in &events {
                if event.token() != WAKER {
                    self.ready(
                        Token::unpack(event.token().0),
                        event.is_readable() || event.is_read_closed(),
                        event.is_writable(),
                    );
                }
            }
            events.clear();
            for token in self.mailbox.take_ready() {
                self.ready(token, true, true);
            }
            if self.take_commands() {
                return;
            }
            if self.mailbox.take_recheck() {
                self.core.recheck();
            }
            self.core.turn(self.now_ms());
        }
    }

    fn ready(&mut self, token: Token, readable: bool, writable: bool) {
        if readable {
            self.core.readable(token);
        }
        if writable {
            self.core.writable(token);
        }
    }

    /// How long to wait. Says first that it waits, so that whatever is told from then on wakes it.
    fn wait(&self) -> Option<Duration> {
        self.mailbox.about_to_wait();
        let told = !self.inbox.commands.is_empty()
            || !self.inbox.replies.is_empty()
            || self.mailbox.has_told()
            || self.core.has_news();
        if told {
            return Some(Duration::ZERO);
        }
        let wait = self.core.wait_ms().map_or(WAIT_MAX, Duration::from_millis);
        Some(wait.min(WAIT_MAX))
    }

    /// True when it was told to stop.
    fn take_commands(&mut self) -> bool {
        for _ in 0..REPLIES_PER_TURN {
            let Ok(reply) = self.inbox.replies.try_recv() else {
                break;
            };
            self.core.reply(reply);
        }
        for _ in 0..COMMANDS_PER_TURN {
            match self.inbox.commands.try_recv() {
                Ok(Command::Adopt(adoption)) => self.adopt(*adoption),
                Ok(Command::Drain { over_ms }) => self.core.drain(over_ms),
                Ok(Command::Stop) => return true,
                Err(_) => break,
            }
        }
        false
    }

    fn adopt(&mut self, adoption: Adoption) {
        let token = self.core.next_token();
        let (sink, stream) = AdoptedStream::new(adoption);
        match self.wire(sink, token) {
            Ok(wire) => self.core.adopt(wire, stream),
            Err(error) => {
                tracing::warn!(%error, "a socket cannot be taken over");
                self.mailbox
                    .streams
                    .fetch_sub(1, std::sync::atomic::Ordering::Relaxed);
            }
        }
    }

    fn wire(&self, sink: Sink, token: Token) -> io::Result<SinkWire> {
        match sink {
            Sink::Socket(socket) => {
                socket.set_nonblocking(true)?;
                socket.set_nodelay(true)?;
                let mut socket = mio::net::TcpStream::from_std(socket);
                let interest = Interest::READABLE | Interest::WRITABLE;
                self.poll
                    .registry()
                    .register(&mut socket, mio::Token(token.pack()), interest)?;
                Ok(SinkWire::Socket(socket))
            }
            Sink::Channel(sink) => {
                let (mailbox, told) = (Arc::clone(&self.mailbox), Arc::new(AtomicBool::new(false)));
                let notify = move || mailbox.ready(token, &told);
                // The other end may have said something before it had whom to tell.
                notify();
                sink.on_ready(Box::new(notify));
                Ok(SinkWire::channel(sink))
            }
        }
    }

    fn now_ms(&self) -> u64 {
        // From 1: a time of 0 means never.
        u64::try_from(self.started.elapsed().as_millis())
            .unwrap_or(u64::MAX)
            .saturating_add(1)
    }
}
