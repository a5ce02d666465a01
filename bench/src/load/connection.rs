//! One connection: its request, the head of the answer, then frames.

use std::io::{self, Read as _, Write as _};

use memchr::memmem;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use super::check::Check;
use super::wire::{self, Carrier, Kind};
use super::{BUFFER, LATENCY_EVERY, Plan, Reader, SAMPLE_EVERY};
use crate::error::{self, Error};
use crate::events::Glance;
use crate::server::TOKEN;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Connecting,
    Head,
    Live,
}

/// One connection.
pub(super) struct Connection {
    socket: TcpStream,
    number: usize,
    carrier: Carrier,
    stage: Stage,
    request: Box<[u8]>,
    /// The beginning of a frame whose rest has not come yet.
    rest: Vec<u8>,
    messages: u64,
    check: Option<Box<Check>>,
    has_latency: bool,
}

impl Connection {
    /// Begins to connect.
    pub(super) fn open(number: usize, plan: &Plan<'_>, registry: &Registry) -> Result<Self, Error> {
        let mut socket = TcpStream::connect(plan.address).map_err(error::io("connect"))?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        registry
            .register(&mut socket, Token(number), interest)
            .map_err(error::io("register"))?;
        let device = plan
            .keyed
            .then_some(plan.series.first_device + number % plan.series.devices);
        Ok(Self {
            socket,
            number,
            carrier: plan.carrier,
            stage: Stage::Connecting,
            request: request(plan.carrier, &(plan.query)(number)),
            rest: Vec::new(),
            messages: 0,
            check: number
                .is_multiple_of(SAMPLE_EVERY)
                .then(|| Box::new(Check::new(plan.series, device))),
            has_latency: plan.latency && number.is_multiple_of(LATENCY_EVERY),
        })
    }

    /// Whether the head of the answer came.
    pub(super) fn is_live(&self) -> bool {
        self.stage == Stage::Live
    }

    /// Events that came.
    pub(super) fn messages(&self) -> u64 {
        self.messages
    }

    /// Reads what there is. Readiness is told once, so this goes on until nothing is left.
    pub(super) fn ready(&mut self, reader: &mut Reader) -> Result<(), Error> {
        if self.stage == Stage::Connecting {
            match self.socket.write(&self.request) {
                Ok(_) => self.stage = Stage::Head,
                Err(error) if is_not_yet(&error) => return Ok(()),
                Err(error) => return Err(error::io(format!("connection {}", self.number))(error)),
            }
            self.request = Box::default();
        }
        while !self.read(reader)? {}
        Ok(())
    }

    /// Reads once; whether the socket is empty. A short read emptied it: asking again would only say so.
    fn read(&mut self, reader: &mut Reader) -> Result<bool, Error> {
        let kept = self.rest.len();
        if reader.buffer.len() < kept + BUFFER {
            reader.buffer.resize(kept + BUFFER, 0);
        }
        reader.buffer[..kept].copy_from_slice(&self.rest);
        let end = match self.socket.read(&mut reader.buffer[kept..]) {
            Ok(0) => return Err(self.wrong("the stream ended", &self.rest)),
            Ok(read) => kept + read,
            Err(error) if is_not_yet(&error) => return Ok(true),
            Err(error) => return Err(error::io(format!("connection {}", self.number))(error)),
        };
        let buffer = std::mem::take(&mut reader.buffer);
        let taken = self.take(&buffer[..end], reader);
        reader.buffer = buffer;
        let taken = taken?;
        self.rest.clear();
        self.rest.extend_from_slice(&reader.buffer[taken..end]);
        Ok(end < reader.buffer.len())
    }

    /// Takes whole frames; returns how many bytes they were.
    fn take(&mut self, bytes: &[u8], reader: &mut Reader) -> Result<usize, Error> {
        let mut at = 0;
        if self.stage == Stage::Head {
            let Some(end) = memmem::find(bytes, b"\r\n\r\n") else {
                return Ok(0);
            };
            let status: &[u8] = match self.carrier {
                Carrier::WebSocket => b"HTTP/1.1 101",
                Carrier::Sse => b"HTTP/1.1 200",
            };
            if !bytes.starts_with(status) {
                return Err(self.wrong("the request was refused", bytes));
            }
            self.stage = Stage::Live;
            at = end + 4;
        }
        while let Some(frame) = wire::first(self.carrier, &bytes[at..]) {
            let whole = &bytes[at..at + frame.length];
            match frame.kind {
                Kind::Event => self.event(whole, frame.content, reader)?,
                Kind::Control => reader.control += 1,
                Kind::Ping => {
                    reader.control += 1;
                    let pong = wire::pong(&whole[frame.content..]);
                    self.socket.write_all(&pong).map_err(error::io("a pong"))?;
                }
                Kind::Break => return Err(self.wrong("the stream was broken", whole)),
            }
            at += frame.length;
        }
        Ok(at)
    }

    fn event(&mut self, whole: &[u8], content: usize, reader: &mut Reader) -> Result<(), Error> {
        self.messages += 1;
        reader.delivered += 1;
        if self.has_latency
            && let Some(glance) = Glance::of(whole)
        {
            let waited = (reader.clock)() - glance.at_us;
            reader
                .latency
                .saturating_record(u64::try_from(waited).unwrap_or(0).max(1));
        }
        if let Some(check) = &mut self.check {
            if reader.frame.is_none() {
                reader.frame = Some(whole.to_vec());
            }
            if let Err(reason) = check.event(&reader.series, self.carrier, &whole[content..]) {
                return Err(self.wrong(&reason, whole));
            }
        }
        Ok(())
    }

    fn wrong(&self, reason: &str, frame: &[u8]) -> Error {
        Error::WrongFrame {
            connection: self.number,
            reason: reason.to_owned(),
            frame: String::from_utf8_lossy(frame).chars().take(800).collect(),
        }
    }
}

fn is_not_yet(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::NotConnected | io::ErrorKind::Interrupted
    )
}

fn request(carrier: Carrier, query: &str) -> Box<[u8]> {
    let upgrade = match carrier {
        Carrier::Sse => "Accept: text/event-stream\r\n",
        Carrier::WebSocket => {
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        }
    };
    format!(
        "GET /v1/stream?{query} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {TOKEN}\r\n{upgrade}\r\n"
    )
    .into_bytes()
    .into()
}
