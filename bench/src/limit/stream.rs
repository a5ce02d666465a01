//! The ceiling of delivery: frames encoded beforehand, plain writes, one thread. It does not know what
//! it sends, and checks nothing.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, Instant};

use clap::Args;
use memchr::memmem;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

use super::stdin;
use crate::error::{self, Error};
use crate::events::Template;
use crate::report::say;

const LISTENER: Token = Token(usize::MAX);
const STDIN: Token = Token(usize::MAX - 1);
/// Longest request's head.
const HEAD_MAX: usize = 4_096;
/// Longest life of a limit server.
const LIFE: Duration = Duration::from_secs(1_800);
const WEB_SOCKET: &[u8] =
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
const SSE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n\r\n";

/// What it sends.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// A frame as it came from the product. Without one nothing is ever sent.
    #[arg(long)]
    frame: Option<PathBuf>,
    /// Devices that messages go round.
    #[arg(long, default_value_t = 1)]
    devices: usize,
    /// Whether a message goes only to the clients of its device, as `device=d0001` in the query says.
    #[arg(long)]
    keyed: bool,
}

/// Serves until standard input ends. Lines on it: `encode MESSAGES` makes that many frames, and a line on standard
/// output says that they are made; `blast DEPTH` sends them to each client, so many in one write;
/// `pace MESSAGES PER_SECOND TICK_MS` makes and sends messages when they are due.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Error> {
    let template = match &arguments.frame {
        Some(path) => Template::new(&fs::read(path).map_err(error::io(path.display().to_string()))?),
        None => None,
    };
    let mut server = Streams::bind(arguments, template)?;
    say(&server.address.to_string());
    server.serve()
}

struct Client {
    socket: TcpStream,
    head: Vec<u8>,
    is_open: bool,
    /// Bytes of the stream that were written.
    written: usize,
    /// What a paced message left over.
    rest: Vec<u8>,
}

struct Streams {
    poll: Poll,
    listener: TcpListener,
    address: SocketAddr,
    lines: Receiver<String>,
    clients: Vec<Client>,
    by_device: HashMap<usize, Vec<usize>>,
    template: Option<Template>,
    /// Frames that were made beforehand, one after the other.
    encoded: Vec<u8>,
    devices: usize,
    keyed: bool,
}

impl Streams {
    fn bind(arguments: &Arguments, template: Option<Template>) -> Result<Self, Error> {
        let poll = Poll::new().map_err(error::io("a poll"))?;
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut listener = TcpListener::bind(any).map_err(error::io("listen"))?;
        poll.registry()
            .register(&mut listener, LISTENER, Interest::READABLE)
            .map_err(error::io("register"))?;
        Ok(Self {
            lines: stdin::lines(&poll, STDIN)?,
            address: listener.local_addr().map_err(error::io("listen"))?,
            poll,
            listener,
            clients: Vec::new(),
            by_device: HashMap::new(),
            template,
            encoded: Vec::new(),
            devices: arguments.devices.max(1),
            keyed: arguments.keyed,
        })
    }

    fn serve(&mut self) -> Result<(), Error> {
        let begun = Instant::now();
        while begun.elapsed() < LIFE {
            self.turn(Duration::from_secs(5))?;
            match self.lines.try_recv() {
                Ok(line) => self.command(&line)?,
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Disconnected) => return Ok(()),
            }
        }
        Ok(())
    }

    fn command(&mut self, line: &str) -> Result<(), Error> {
        let words: Vec<&str> = line.split(' ').collect();
        let number = |index: usize| {
            words
                .get(index)
                .and_then(|word| word.parse::<u64>().ok())
                .unwrap_or(1)
        };
        let Some(template) = self.template.clone() else {
            return Err(Error::Unreadable {
                what: "the frame, which is needed to".to_owned(),
                text: line.to_owned(),
            });
        };
        match words.first() {
            Some(&"encode") => {
                self.encode(&template, number(1));
                Ok(())
            }
            Some(&"blast") if !self.encoded.is_empty() => self.blast(&template, number(1)),
            Some(&"pace") => self.pace(&template, number(1), number(2), number(3)),
            _ => Err(Error::Unreadable {
                what: "a command".to_owned(),
                text: line.to_owned(),
            }),
        }
    }

    /// Makes the frames that [`Self::blast`] sends: what that takes is no part of writing.
    fn encode(&mut self, template: &Template, messages: u64) {
        let at_us = node::system_clock()();
        self.encoded.clear();
        for index in 0..messages {
            template.write(index, self.devices, at_us, &mut self.encoded);
        }
        say("encoded");
    }

    /// Writes a client as much as it takes, `depth` frames in one write, in turn with the others.
    fn blast(&mut self, template: &Template, depth: u64) -> Result<(), Error> {
        let stream = std::mem::take(&mut self.encoded);
        let step = template.len() * usize::try_from(depth.max(1)).unwrap_or(1);
        self.clients.iter_mut().for_each(|client| client.written = 0);
        let begun = Instant::now();
        while begun.elapsed() < LIFE {
            let (mut is_done, mut has_moved) = (true, false);
            for client in &mut self.clients {
                if client.written == stream.len() {
                    continue;
                }
                is_done = false;
                let end = stream.len().min((client.written / step + 1) * step);
                match client.socket.write(&stream[client.written..end]) {
                    Ok(written) => {
                        client.written += written;
                        has_moved = true;
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) => return Err(error::io("write")(error)),
                }
            }
            if is_done {
                return Ok(());
            }
            if !has_moved {
                self.turn(Duration::from_millis(100))?;
            }
        }
        Ok(())
    }

    /// Sends each message when it is due, in ticks as the publisher's.
    fn pace(
        &mut self,
        template: &Template,
        messages: u64,
        per_second: u64,
        tick_ms: u64,
    ) -> Result<(), Error> {
        let clock = node::system_clock();
        let (begun, begun_us) = (Instant::now(), clock());
        let (mut sent, mut tick, mut frame) = (0, 0, Vec::new());
        while sent < messages {
            tick += 1;
            let at = Duration::from_millis(tick * tick_ms);
            while let Some(left) = at
                .checked_sub(begun.elapsed())
                .filter(|left| *left >= Duration::from_millis(1))
            {
                self.turn(left)?;
            }
            let due = (tick * tick_ms * per_second / 1_000).min(messages);
            let at_us = begun_us + i64::try_from(at.as_micros()).unwrap_or(i64::MAX);
            for index in sent..due {
                frame.clear();
                template.write(index, self.devices, at_us, &mut frame);
                self.send(index, &frame)?;
            }
            sent = due;
        }
        while self.clients.iter().any(|client| !client.rest.is_empty()) {
            self.turn(Duration::from_millis(10))?;
        }
        Ok(())
    }

    fn send(&mut self, index: u64, frame: &[u8]) -> Result<(), Error> {
        let device = usize::try_from(index % self.devices as u64).unwrap_or_default();
        let Some(numbers) = self.by_device.get(&device) else {
            return Ok(());
        };
        for number in numbers {
            let Some(client) = self.clients.get_mut(*number) else {
                continue;
            };
            client.rest.extend_from_slice(frame);
            client.flush()?;
        }
        Ok(())
    }

    fn turn(&mut self, wait: Duration) -> Result<(), Error> {
        let mut events = Events::with_capacity(1_024);
        match self.poll.poll(&mut events, Some(wait)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            polled => polled.map_err(error::io("poll"))?,
        }
        for event in &events {
            match event.token() {
                LISTENER => self.accept()?,
                STDIN => {}
                Token(number) => self.ready(number)?,
            }
        }
        Ok(())
    }

    fn accept(&mut self) -> Result<(), Error> {
        loop {
            let mut socket = match self.listener.accept() {
                Ok((socket, _)) => socket,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error::io("accept")(error)),
            };
            socket.set_nodelay(true).map_err(error::io("TCP_NODELAY"))?;
            let interest = Interest::READABLE | Interest::WRITABLE;
            self.poll
                .registry()
                .register(&mut socket, Token(self.clients.len()), interest)
                .map_err(error::io("register"))?;
            let client = Client {
                socket,
                head: Vec::new(),
                is_open: false,
                written: 0,
                rest: Vec::new(),
            };
            self.clients.push(client);
        }
    }

    fn ready(&mut self, number: usize) -> Result<(), Error> {
        let Some(client) = self.clients.get_mut(number) else {
            return Ok(());
        };
        if client.is_open {
            return client.flush();
        }
        if let Some(device) = client.open()? {
            let device = if self.keyed { device } else { 0 };
            self.by_device.entry(device).or_default().push(number);
        }
        Ok(())
    }
}

impl Client {
    /// Reads the request and answers it; the device that it asks for, once it is answered.
    fn open(&mut self) -> Result<Option<usize>, Error> {
        let mut part = [0; HEAD_MAX];
        match self.socket.read(&mut part) {
            Ok(read) => self.head.extend_from_slice(&part[..read]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error::io("read")(error)),
        }
        if memmem::find(&self.head, b"\r\n\r\n").is_none() || self.head.len() > HEAD_MAX {
            return Ok(None);
        }
        let head = String::from_utf8_lossy(&self.head).into_owned();
        let device = head
            .split_once("device=d")
            .and_then(|(_, rest)| rest.get(..4)?.parse().ok());
        let answer = if head.contains("Upgrade: websocket") {
            WEB_SOCKET
        } else {
            SSE
        };
        self.socket.write_all(answer).map_err(error::io("write"))?;
        self.is_open = true;
        self.head = Vec::new();
        Ok(Some(device.unwrap_or(0)))
    }

    fn flush(&mut self) -> Result<(), Error> {
        while !self.rest.is_empty() {
            match self.socket.write(&self.rest) {
                Ok(written) => drop(self.rest.drain(..written)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                // The bench hangs up before it lets go of standard input.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => self.rest.clear(),
                Err(error) => return Err(error::io("write")(error)),
            }
        }
        Ok(())
    }
}
