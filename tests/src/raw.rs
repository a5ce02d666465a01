//! HTTP as bytes: for what a well-behaved client library would never send or would hide.

use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use crate::api::Api;
use crate::wait::within;

/// A connection whose bytes are seen as they come.
pub struct Raw {
    socket: TcpStream,
    read: BytesMut,
}

/// Room for one read.
const READ_BYTES: usize = 64 << 10;

impl Raw {
    /// Connects to the node of `api` and sends `bytes`.
    pub async fn send(api: &Api, bytes: &[u8]) -> Self {
        let address = api.base.trim_start_matches("http://");
        let mut socket = TcpStream::connect(address).await.expect("a connection");
        socket.write_all(bytes).await.expect("sent");
        Self {
            socket,
            read: BytesMut::new(),
        }
    }

    /// The same with so small a buffer that the other side soon notices when nothing is read.
    pub async fn send_with_small_buffer(api: &Api, bytes: &[u8]) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(8 << 10).expect("a small buffer");
        let address = api
            .base
            .trim_start_matches("http://")
            .parse()
            .expect("an address");
        let mut socket = socket.connect(address).await.expect("a connection");
        socket.write_all(bytes).await.expect("sent");
        Self {
            socket,
            read: BytesMut::new(),
        }
    }

    /// [`Self::send`] from another of this machine's addresses, such as 127.0.0.2.
    pub async fn send_from(source: [u8; 4], api: &Api, bytes: &[u8]) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind((source, 0).into()).expect("a loopback address");
        let address = api
            .base
            .trim_start_matches("http://")
            .parse()
            .expect("an address");
        let mut socket = socket.connect(address).await.expect("a connection");
        socket.write_all(bytes).await.expect("sent");
        Self {
            socket,
            read: BytesMut::new(),
        }
    }

    /// Sends one byte after the other, with a pause before each, until all are sent or the other side
    /// has had enough.
    pub async fn trickle(&mut self, bytes: &[u8], pause: Duration) {
        for byte in bytes {
            tokio::time::sleep(pause).await;
            if self.socket.write_all(&[*byte]).await.is_err() {
                return;
            }
        }
    }

    /// The head of a request with the credential of `api`, without the empty line that ends it.
    #[must_use]
    pub fn head(api: &Api, method: &str, path: &str) -> String {
        format!(
            "{method} {path} HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {}\r\n",
            api.token
        )
    }

    /// Sends more.
    pub async fn more(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).await.expect("sent");
    }

    /// Says that nothing more comes from here.
    pub async fn half_close(&mut self) {
        self.socket.shutdown().await.expect("shut down");
    }

    /// Reads more; answers how much, and 0 at the connection's end.
    async fn read_more(&mut self) -> std::io::Result<usize> {
        self.read.reserve(READ_BYTES);
        self.socket.read_buf(&mut self.read).await
    }

    /// Everything up to and with `text`. Panics when it does not come.
    pub async fn until(&mut self, text: &str) -> String {
        let mut searched = 0;
        loop {
            if let Some(at) = find(&self.read[searched..], text.as_bytes()) {
                let found = self.read.split_to(searched + at + text.len());
                return String::from_utf8_lossy(&found).into_owned();
            }
            searched = self.read.len().saturating_sub(text.len() - 1);
            let read = within(text, self.read_more()).await.expect("the connection");
            let shown = || String::from_utf8_lossy(&self.read);
            assert!(read > 0, "the connection ended before {text:?}: {:?}", shown());
        }
    }

    /// The next chunk of a chunked body.
    pub async fn chunk(&mut self) -> String {
        let size = self.until("\r\n").await;
        let size = usize::from_str_radix(size.trim_end(), 16).expect("a chunk's size");
        let end = size + "\r\n".len();
        while self.read.len() < end {
            let read = within("a chunk", self.read_more()).await;
            assert!(
                read.expect("the connection") > 0,
                "the connection ended in a chunk"
            );
        }
        let mut chunk = self.read.split_to(end);
        chunk.truncate(size);
        String::from_utf8(chunk.to_vec()).expect("text")
    }

    /// Reads up to and with `text` and keeps nothing of it. Panics when it does not come in time.
    pub async fn pass_over(&mut self, text: &str, limit: Duration) {
        let reading = async {
            loop {
                if let Some(at) = find(&self.read, text.as_bytes()) {
                    drop(self.read.split_to(at + text.len()));
                    return;
                }
                let kept = self.read.len().min(text.len());
                drop(self.read.split_to(self.read.len() - kept));
                let read = self.read_more().await.expect("the connection");
                assert!(read > 0, "the connection ended before {text:?}");
            }
        };
        let found = tokio::time::timeout(limit, reading).await;
        assert!(found.is_ok(), "{text:?} did not come");
    }

    /// Everything until the other side ends the connection, or resets it.
    pub async fn rest(mut self) -> String {
        while let Ok(1..) = within("the end", self.read_more()).await {}
        String::from_utf8_lossy(&self.read).into_owned()
    }

    /// The same as bytes: frames of a WebSocket.
    pub async fn rest_bytes(mut self) -> Vec<u8> {
        while let Ok(1..) = within("the end", self.socket.read_buf(&mut self.read)).await {}
        self.read.into()
    }

    /// Whether no event comes for so long, whatever else does.
    pub async fn quiet_of_data_for(&mut self, quiet: Duration) -> bool {
        let read = async { while self.until("\n\n").await.contains("event: ") {} };
        tokio::time::timeout(quiet, read).await.is_err()
    }
}

fn find(bytes: &[u8], text: &[u8]) -> Option<usize> {
    bytes.windows(text.len()).position(|window| window == text)
}
