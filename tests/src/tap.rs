//! A request of any kind as bytes: everything that came is kept, and can be searched. Answers, event
//! streams and WebSockets alike.

mod seen;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

pub use seen::Ended;
use seen::Seen;

use crate::wait::DEADLINE;

/// Frames that wait to be written.
const FRAMES_WAITING: usize = 64;

/// A request.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// Its method; empty for GET.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Its headers, but for those of the connection.
    pub headers: Vec<(String, String)>,
    /// Its body, JSON; empty for none.
    pub body: String,
    /// Whether it asks for a WebSocket.
    pub upgrades: bool,
}

impl Request {
    /// `GET target`.
    #[must_use]
    pub fn get(target: &str) -> Self {
        Self {
            target: target.to_owned(),
            ..Self::default()
        }
    }

    /// With a header.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Everything that is sent.
    #[must_use]
    pub fn text(&self) -> String {
        let method = if self.method.is_empty() {
            "GET"
        } else {
            &self.method
        };
        let mut text = format!("{method} {} HTTP/1.1\r\nHost: test\r\n", self.target);
        for (name, value) in &self.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        if self.upgrades {
            text.push_str(
                "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                 Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
            );
        } else {
            text.push_str("Connection: close\r\n");
        }
        if !self.body.is_empty() {
            let length = self.body.len();
            text.push_str(&format!(
                "Content-Type: application/json\r\nContent-Length: {length}\r\n"
            ));
        }
        format!("{text}\r\n{}", self.body)
    }
}

/// What came, and word that more did.
#[derive(Default)]
struct Shared {
    seen: Mutex<Seen>,
    more: Notify,
}

/// A connection that reads until it is dropped.
pub struct Tap {
    shared: Arc<Shared>,
    frames: mpsc::Sender<Vec<u8>>,
    _tasks: JoinSet<()>,
}

impl Tap {
    /// Sends `request` to the node at `base`, `http://…`, and reads whatever comes.
    pub async fn open(base: &str, request: &Request) -> Self {
        let address: SocketAddr = base.trim_start_matches("http://").parse().expect("an address");
        let socket = TcpStream::connect(address).await.expect("a connection");
        socket.set_nodelay(true).expect("a socket");
        let (read, mut write) = socket.into_split();
        write
            .write_all(request.text().as_bytes())
            .await
            .expect("the request is sent");
        let shared = Arc::new(Shared::default());
        let (frames, waiting) = mpsc::channel(FRAMES_WAITING);
        let mut tasks = JoinSet::new();
        tasks.spawn(writing(write, waiting));
        tasks.spawn(reading(read, Arc::clone(&shared), frames.clone()));
        Self {
            shared,
            frames,
            _tasks: tasks,
        }
    }

    /// The status of the answer. Panics when there is none in time.
    pub async fn status(&self) -> u16 {
        self.first("a status", Seen::status).await
    }

    /// Sends a text frame.
    pub async fn say(&self, text: &str) {
        let frame = seen::frame(0x1, text.as_bytes());
        // Who has closed hears nothing.
        drop(self.frames.send(frame).await);
    }

    /// Whether `text` is among what came.
    #[must_use]
    pub fn has(&self, text: &str) -> bool {
        self.shared.seen.lock().has(text)
    }

    /// Waits until `text` has come. Panics with what came instead.
    pub async fn until(&self, text: &str) {
        self.first(text, |seen| seen.has(text).then_some(())).await;
    }

    /// Whether `text` comes within so long.
    pub async fn has_within(&self, text: &str, limit: Duration) -> bool {
        timeout(limit, self.wait(|seen| seen.has(text).then_some(())))
            .await
            .is_ok()
    }

    /// Waits until the answer is there as a whole. Panics with what came instead.
    pub async fn answered(&self) {
        self.first("the answer", |seen| seen.is_whole().then_some(()))
            .await;
    }

    /// Waits until it is over. Panics with what came instead.
    pub async fn ended(&self) -> Ended {
        self.first("the end", |seen| seen.ended().map(|(ended, _)| ended))
            .await
    }

    /// How and when it ended, if it has.
    #[must_use]
    pub fn end(&self) -> Option<(Ended, Instant)> {
        self.shared.seen.lock().ended()
    }

    /// All that came, as text: the head, and what the frames or chunks of the body hold.
    #[must_use]
    pub fn all(&self) -> String {
        self.shared.seen.lock().all()
    }

    async fn first<T>(&self, what: &str, found: impl Fn(&Seen) -> Option<T>) -> T {
        match timeout(DEADLINE, self.wait(found)).await {
            Ok(found) => found,
            Err(_) => panic!("timed out waiting for {what:?}; there came {:?}", self.all()),
        }
    }

    async fn wait<T>(&self, found: impl Fn(&Seen) -> Option<T>) -> T {
        loop {
            let more = self.shared.more.notified();
            if let Some(found) = found(&self.shared.seen.lock()) {
                return found;
            }
            more.await;
        }
    }
}

async fn writing(mut write: OwnedWriteHalf, mut frames: mpsc::Receiver<Vec<u8>>) {
    while let Some(frame) = frames.recv().await {
        if write.write_all(&frame).await.is_err() {
            return;
        }
    }
}

/// Reads to the end, whatever was said before it; answers pings.
async fn reading(mut read: OwnedReadHalf, shared: Arc<Shared>, frames: mpsc::Sender<Vec<u8>>) {
    let mut bytes = vec![0; 16 << 10];
    loop {
        let length = read.read(&mut bytes).await.unwrap_or(0);
        let answers = shared.seen.lock().take(&bytes[..length], Instant::now());
        // One waits at most; a permit is left for it where it only comes to.
        shared.more.notify_one();
        if length == 0 {
            return;
        }
        for answer in answers {
            drop(frames.try_send(answer));
        }
    }
}
