//! The ceiling of taking events: bodies are read, appended to a file as they are, synced once for all
//! that came together, and answered. One thread.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::mpsc::TryRecvError;
use std::time::{Duration, Instant};

use clap::Args;
use memchr::{memchr_iter, memmem};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

use super::stdin;
use crate::error::{self, Error};
use crate::report::say;

const LISTENER: Token = Token(usize::MAX);
const STDIN: Token = Token(usize::MAX - 1);
/// Longest life of a limit server.
const LIFE: Duration = Duration::from_secs(1_800);
/// Longest request.
const REQUEST_MAX: usize = 16 << 20;

/// Where it writes.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// A file that does not exist yet.
    #[arg(long)]
    file: PathBuf,
}

struct Client {
    socket: TcpStream,
    input: Vec<u8>,
}

/// Serves until standard input ends.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Error> {
    let mut server = Bodies::bind(arguments)?;
    let lines = stdin::lines(&server.poll, STDIN)?;
    say(&server
        .listener
        .local_addr()
        .map_err(error::io("listen"))?
        .to_string());
    let begun = Instant::now();
    while begun.elapsed() < LIFE && lines.try_recv() != Err(TryRecvError::Disconnected) {
        server.turn()?;
    }
    Ok(())
}

struct Bodies {
    poll: Poll,
    listener: TcpListener,
    file: File,
    clients: HashMap<usize, Client>,
    accepted: usize,
}

impl Bodies {
    fn bind(arguments: &Arguments) -> Result<Self, Error> {
        let poll = Poll::new().map_err(error::io("a poll"))?;
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut listener = TcpListener::bind(any).map_err(error::io("listen"))?;
        poll.registry()
            .register(&mut listener, LISTENER, Interest::READABLE)
            .map_err(error::io("register"))?;
        let file = OpenOptions::new()
            .create_new(true)
            .append(true)
            .open(&arguments.file);
        let file = file.map_err(error::io(arguments.file.display().to_string()))?;
        Ok(Self {
            poll,
            listener,
            file,
            clients: HashMap::new(),
            accepted: 0,
        })
    }

    fn turn(&mut self) -> Result<(), Error> {
        let mut events = Events::with_capacity(1_024);
        match self.poll.poll(&mut events, Some(Duration::from_secs(5))) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            polled => polled.map_err(error::io("poll"))?,
        }
        let (mut batch, mut answers) = (Vec::new(), Vec::new());
        for event in &events {
            match event.token() {
                LISTENER => self.accept()?,
                STDIN => {}
                Token(number) => {
                    let Some(client) = self.clients.get_mut(&number) else {
                        continue;
                    };
                    if client.read()? {
                        self.clients.remove(&number);
                    } else if let Some(lines) = client.request(&mut batch) {
                        answers.push((number, lines));
                    }
                }
            }
        }
        commit(&mut self.file, &batch)?;
        for (number, lines) in answers {
            if let Some(client) = self.clients.get_mut(&number) {
                client.answer(lines)?;
            }
        }
        Ok(())
    }

    fn accept(&mut self) -> Result<(), Error> {
        while let Ok((mut socket, _)) = self.listener.accept() {
            self.poll
                .registry()
                .register(&mut socket, Token(self.accepted), Interest::READABLE)
                .map_err(error::io("register"))?;
            self.clients.insert(
                self.accepted,
                Client {
                    socket,
                    input: Vec::new(),
                },
            );
            self.accepted += 1;
        }
        Ok(())
    }
}

fn commit(file: &mut File, batch: &[u8]) -> Result<(), Error> {
    if batch.is_empty() {
        return Ok(());
    }
    file.write_all(batch).map_err(error::io("write"))?;
    file.sync_data().map_err(error::io("sync"))
}

impl Client {
    /// Reads what there is; whether the client hung up.
    fn read(&mut self) -> Result<bool, Error> {
        let mut part = [0; 64 << 10];
        while self.input.len() < REQUEST_MAX {
            match self.socket.read(&mut part) {
                Ok(0) => return Ok(true),
                Ok(read) => self.input.extend_from_slice(&part[..read]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(true),
                Err(error) => return Err(error::io("read")(error)),
            }
        }
        Ok(false)
    }

    /// Moves a whole request's body to `batch` and counts its lines.
    fn request(&mut self, batch: &mut Vec<u8>) -> Option<usize> {
        let head = memmem::find(&self.input, b"\r\n\r\n")? + 4;
        let name = b"Content-Length: ";
        let at = memmem::find(&self.input[..head], name)? + name.len();
        let digits = self.input[at..]
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .take(9);
        let length = digits.fold(0, |sum, digit| sum * 10 + usize::from(digit - b'0'));
        let body = self.input.get(head..head + length)?;
        batch.extend_from_slice(body);
        let lines = memchr_iter(b'\n', body).count();
        self.input.drain(..head + length);
        Some(lines)
    }

    fn answer(&mut self, accepted: usize) -> Result<(), Error> {
        let body = format!("{{\"accepted\":{accepted},\"rejected\":[],\"cursor\":\"\"}}");
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        self.socket
            .write_all(answer.as_bytes())
            .map_err(error::io("write"))
    }
}
