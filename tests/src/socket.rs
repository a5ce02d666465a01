//! A WebSocket as a client of a dialect sees it: texts that are JSON, and how it ended.

use futures::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use tokio::net::TcpSocket;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::api::Api;
use crate::stream::Ended;
use crate::wait::DEADLINE;

fn request(api: &Api, path: &str, headers: &[(&'static str, &str)]) -> Request {
    let url = format!("{}{path}", api.base.replacen("http", "ws", 1));
    let mut request = url.into_client_request().expect("a request");
    for (name, value) in headers {
        let value = value.parse().expect("a header");
        request.headers_mut().insert(*name, value);
    }
    request
}

/// An open socket.
pub struct Socket {
    inner: WebSocketStream<MaybeTlsStream<tokio::net::TcpStream>>,
}

impl Socket {
    /// Opens `path` on the node of `api`, with these headers and no others.
    ///
    /// # Errors
    /// The status, when it was refused.
    pub async fn open(api: &Api, path: &str, headers: &[(&'static str, &str)]) -> Result<Self, Ended> {
        match tokio_tungstenite::connect_async(request(api, path, headers)).await {
            Ok((inner, _)) => Ok(Self { inner }),
            Err(tungstenite::Error::Http(response)) => {
                let body = response.body().as_deref().unwrap_or_default();
                Err(Ended::Status(
                    response.status().as_u16(),
                    String::from_utf8_lossy(body).into_owned(),
                ))
            }
            Err(_) => Err(Ended::Eof),
        }
    }

    /// The same with so small a buffer that the other side soon notices when nothing is read.
    pub async fn open_narrow(api: &Api, path: &str, headers: &[(&'static str, &str)]) -> Self {
        let request = request(api, path, headers);
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(8 << 10).expect("a small buffer");
        let address = api.base.trim_start_matches("http://").parse();
        let socket = socket.connect(address.expect("an address")).await;
        let socket = MaybeTlsStream::Plain(socket.expect("a connection"));
        let (inner, _) = tokio_tungstenite::client_async(request, socket)
            .await
            .expect("a socket");
        Self { inner }
    }

    /// The next text as it stands.
    ///
    /// # Errors
    /// How it ended.
    pub async fn try_text(&mut self) -> Result<String, Ended> {
        loop {
            match self.inner.next().await {
                Some(Ok(Message::Text(text))) => return Ok(text.as_str().to_owned()),
                Some(Ok(Message::Close(frame))) => {
                    return Err(frame.map_or(Ended::Eof, |frame| Ended::Closed(frame.code.into())));
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Err(Ended::Eof),
            }
        }
    }

    /// The next text.
    ///
    /// # Errors
    /// How it ended.
    pub async fn try_next(&mut self) -> Result<Value, Ended> {
        let text = self.try_text().await?;
        Ok(serde_json::from_str(&text).expect("frames are JSON"))
    }

    /// The next text. Panics when there is none in time.
    pub async fn next(&mut self) -> Value {
        let next = tokio::time::timeout(DEADLINE, self.try_next()).await;
        next.expect("a frame in time").expect("the socket goes on")
    }

    /// The next text of that type, passing over others. Panics when there is none in time.
    pub async fn until(&mut self, kind: &str) -> Value {
        self.first(kind, |frame| frame["type"] == kind).await
    }

    /// The first text that is wanted, passing over others. Panics when there is none in time.
    pub async fn first(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let mut passed = Vec::new();
        let found = tokio::time::timeout(DEADLINE, async {
            loop {
                let frame = self.try_next().await.expect("the socket goes on");
                if wanted(&frame) {
                    return frame;
                }
                passed.push(frame);
            }
        });
        let found = found.await;
        found.unwrap_or_else(|_| panic!("timed out waiting for {what}; there came {passed:?}"))
    }

    /// How it ends, whatever comes before. Panics when it does not in time.
    pub async fn ended(&mut self) -> Ended {
        let end = async {
            loop {
                if let Err(ended) = self.try_next().await {
                    return ended;
                }
            }
        };
        tokio::time::timeout(DEADLINE, end).await.expect("an end in time")
    }

    /// Sends JSON.
    pub async fn send(&mut self, message: &Value) {
        self.send_raw(Message::text(message.to_string())).await;
    }

    /// Sends anything.
    pub async fn send_raw(&mut self, message: Message) {
        self.inner.send(message).await.expect("the socket takes it");
    }
}
