//! Sends events as a producer does: `POST /v1/events` over one kept connection, one request at a time.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use memchr::memmem;
use serde_json::Value;

use crate::error::{Error, io};
use crate::server::TOKEN;

/// Longest wait for an answer.
const ANSWER: Duration = Duration::from_secs(20);
/// Longest answer.
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// How often a node that starts is asked whether it is ready.
const READY_EVERY: Duration = Duration::from_millis(20);

/// A connection that sends events of one tenant.
pub(crate) struct Publisher {
    socket: TcpStream,
    tenant: String,
    request: Vec<u8>,
}

impl Publisher {
    /// Connects.
    pub(crate) fn connect(address: SocketAddr, tenant: &str) -> Result<Self, Error> {
        Ok(Self {
            socket: connect(address)?,
            tenant: tenant.to_owned(),
            request: Vec::new(),
        })
    }

    /// Sends `events` lines and returns the cursor once they are durable.
    pub(crate) fn send(&mut self, lines: &[u8], events: u64) -> Result<String, Error> {
        self.request.clear();
        let head = format!(
            "POST /v1/events?tenant={} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {TOKEN}\r\n\
             Content-Type: application/x-ndjson\r\nContent-Length: {}\r\n\r\n",
            self.tenant,
            lines.len()
        );
        self.request.extend_from_slice(head.as_bytes());
        self.request.extend_from_slice(lines);
        self.socket
            .write_all(&self.request)
            .map_err(io("POST /v1/events"))?;
        let (status, body) = answer(&mut self.socket)?;
        let json: Value = serde_json::from_slice(&body).unwrap_or_default();
        if status != 200 || json["accepted"] != events {
            return Err(Error::Refused {
                request: "POST /v1/events".to_owned(),
                answer: format!("{status} {}", String::from_utf8_lossy(&body)),
            });
        }
        Ok(json["cursor"].as_str().unwrap_or_default().to_owned())
    }
}

/// Asks the operators' address for `/ready` until it says so.
pub(crate) fn until_ready(address: SocketAddr, within: Duration) -> Result<(), Error> {
    let deadline = Instant::now() + within;
    let mut last = String::new();
    while Instant::now() < deadline {
        let mut socket = connect(address)?;
        let request = b"GET /ready HTTP/1.1\r\nHost: bench\r\n\r\n";
        socket.write_all(request).map_err(io("GET /ready"))?;
        let (status, body) = answer(&mut socket)?;
        if status == 200 {
            return Ok(());
        }
        last = format!("{status} {}", String::from_utf8_lossy(&body));
        std::thread::sleep(READY_EVERY);
    }
    Err(Error::Refused {
        request: "GET /ready".to_owned(),
        answer: last,
    })
}

fn connect(address: SocketAddr) -> Result<TcpStream, Error> {
    let socket = TcpStream::connect(address).map_err(io(address.to_string()))?;
    socket.set_nodelay(true).map_err(io("TCP_NODELAY"))?;
    socket
        .set_read_timeout(Some(ANSWER))
        .map_err(io("a read timeout"))?;
    Ok(socket)
}

/// Status and body of an answer with a `Content-Length`.
fn answer(socket: &mut TcpStream) -> Result<(u16, Vec<u8>), Error> {
    let mut bytes = Vec::with_capacity(1_024);
    loop {
        if let Some((status, body)) = parse(&bytes) {
            return Ok((status, body));
        }
        let mut part = [0; 16 << 10];
        let read = socket.read(&mut part).map_err(io("an answer"))?;
        bytes.extend_from_slice(&part[..read]);
        if read == 0 || bytes.len() > ANSWER_BYTES_MAX {
            return Err(Error::Unreadable {
                what: "an HTTP answer".to_owned(),
                text: String::from_utf8_lossy(&bytes).chars().take(500).collect(),
            });
        }
    }
}

fn parse(bytes: &[u8]) -> Option<(u16, Vec<u8>)> {
    let end = memmem::find(bytes, b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&bytes[..end]).ok()?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let length: usize = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse().ok())?
    })?;
    let body = bytes.get(end..end + length)?;
    Some((status, body.to_vec()))
}
