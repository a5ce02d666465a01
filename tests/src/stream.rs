//! Streams as a client sees them: SSE and WebSocket as one type, cut by dropping it.

use std::pin::Pin;

use eventsource_stream::Eventsource as _;
use futures::{SinkExt as _, Stream, StreamExt as _};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::api::Api;
use crate::wait::{DEADLINE, within};

/// How a stream is carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carrier {
    /// Server-sent events, resumed by `Last-Event-ID`.
    Sse,
    /// WebSocket, resumed by `last_event_id`.
    WebSocket,
}

/// One frame, whatever carried it.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    /// `event`, `device`, `deleted`, `left`, or the name of a control frame.
    pub kind: String,
    /// Where to resume after it.
    pub cursor: Option<String>,
    /// SSE: the data. WebSocket: the member of the frame's kind, or the whole frame for control frames.
    pub data: Value,
}

/// An open stream.
pub enum Streaming {
    /// Over SSE.
    Sse(Pin<Box<dyn Stream<Item = Option<eventsource_stream::Event>> + Send>>),
    /// Over WebSocket.
    WebSocket(Box<WebSocketStream<MaybeTlsStream<tokio::net::TcpStream>>>),
}

/// Why a stream was not opened, or ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Ended {
    /// The request was answered with this status and body.
    Status(u16, String),
    /// The WebSocket was closed with this code.
    Closed(u16),
    /// The connection ended.
    Eof,
}

impl Streaming {
    /// Opens `/v1/stream?query`, resuming after `cursor`.
    ///
    /// # Errors
    /// The status, when it was refused.
    pub async fn open(api: &Api, carrier: Carrier, query: &str, cursor: Option<&str>) -> Result<Self, Ended> {
        match carrier {
            Carrier::Sse => Self::open_sse(api, query, cursor).await,
            Carrier::WebSocket => Self::open_web_socket(api, query, cursor).await,
        }
    }

    async fn open_sse(api: &Api, query: &str, cursor: Option<&str>) -> Result<Self, Ended> {
        let mut request = api.request(reqwest::Method::GET, &format!("/v1/stream?{query}"));
        if let Some(cursor) = cursor {
            request = request.header("Last-Event-ID", cursor);
        }
        let Ok(response) = request.send().await else {
            return Err(Ended::Eof);
        };
        if response.status() != 200 {
            let status = response.status().as_u16();
            return Err(Ended::Status(status, response.text().await.unwrap_or_default()));
        }
        Ok(Self::Sse(Box::pin(
            response.bytes_stream().eventsource().map(Result::ok),
        )))
    }

    async fn open_web_socket(api: &Api, query: &str, cursor: Option<&str>) -> Result<Self, Ended> {
        let resume = cursor.map_or_else(String::new, |cursor| format!("&last_event_id={cursor}"));
        let url = format!("{}/v1/stream?{query}{resume}", api.base.replacen("http", "ws", 1));
        let mut request = url.into_client_request().expect("a request");
        if !api.token.is_empty() {
            let value = format!("Bearer {}", api.token).parse().expect("a header");
            request.headers_mut().insert("authorization", value);
        }
        match tokio_tungstenite::connect_async(request).await {
            Ok((socket, _)) => Ok(Self::WebSocket(Box::new(socket))),
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

    /// The next frame of any kind.
    ///
    /// # Errors
    /// How the stream ended.
    pub async fn next(&mut self) -> Result<Frame, Ended> {
        match self {
            Self::Sse(events) => match events.next().await.flatten() {
                Some(event) => Ok(sse_frame(&event)),
                None => Err(Ended::Eof),
            },
            Self::WebSocket(socket) => loop {
                match socket.next().await {
                    Some(Ok(Message::Text(text))) => return Ok(web_socket_frame(&text)),
                    Some(Ok(Message::Close(frame))) => {
                        return Err(frame.map_or(Ended::Eof, |frame| Ended::Closed(frame.code.into())));
                    }
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => return Err(Ended::Eof),
                }
            },
        }
    }

    /// The next frame that carries data (no control frame). Panics when there is none in time.
    pub async fn data(&mut self) -> Frame {
        let data = |frame: &Frame| matches!(frame.kind.as_str(), "event" | "device" | "deleted" | "left");
        self.first("a data frame", data).await
    }

    /// The next frame of `kind`, passing over others. Panics when there is none in time.
    pub async fn until(&mut self, kind: &str) -> Frame {
        self.first(kind, |frame| frame.kind == kind).await
    }

    async fn first(&mut self, what: &str, wanted: impl Fn(&Frame) -> bool) -> Frame {
        let mut passed = Vec::new();
        let found = tokio::time::timeout(DEADLINE, async {
            loop {
                let frame = self.next().await.expect("the stream goes on");
                if wanted(&frame) {
                    return frame;
                }
                passed.push(frame);
            }
        });
        let found = found.await;
        found.unwrap_or_else(|_| panic!("timed out waiting for {what}; there came {passed:?}"))
    }

    /// The data of every data frame up to `caught_up`. Panics when there is a reset, or no end in time.
    pub async fn rest(&mut self) -> Vec<Value> {
        within("caught_up", async {
            let mut data = Vec::new();
            loop {
                let frame = self.next().await.expect("the stream goes on");
                match frame.kind.as_str() {
                    "event" | "device" | "deleted" | "left" => data.push(frame.data),
                    "caught_up" => return data,
                    "reset" | "fault" => panic!("{frame:?}"),
                    _ => {}
                }
            }
        })
        .await
    }

    /// Passes over everything until the stream ends; how it did, and the kind of its last frame. Panics
    /// when it does not end in time.
    pub async fn end(mut self) -> (Ended, Option<String>) {
        within("the end of the stream", async {
            let mut last = None;
            loop {
                match self.next().await {
                    Ok(frame) => last = Some(frame.kind),
                    Err(ended) => return (ended, last),
                }
            }
        })
        .await
    }

    /// Sends a text frame. Panics over SSE.
    pub async fn send(&mut self, message: &Value) {
        match self {
            Self::Sse(_) => panic!("nothing can be sent over SSE"),
            Self::WebSocket(socket) => {
                socket
                    .send(Message::text(message.to_string()))
                    .await
                    .expect("the socket takes it");
            }
        }
    }
}

fn sse_frame(event: &eventsource_stream::Event) -> Frame {
    let data: Value = serde_json::from_str(&event.data).unwrap_or_else(|_| json!(event.data));
    let kind = match event.event.as_str() {
        "message" | "" => data_kind(&data),
        name => name,
    };
    Frame {
        kind: kind.to_owned(),
        cursor: (!event.id.is_empty()).then(|| event.id.clone()),
        data,
    }
}

fn data_kind(data: &Value) -> &'static str {
    if data.get("kind").is_some() {
        "event"
    } else if data.get("deleted").is_some() {
        "deleted"
    } else if data.get("left").is_some() {
        "left"
    } else {
        "device"
    }
}

fn web_socket_frame(text: &str) -> Frame {
    let mut frame: Value = serde_json::from_str(text).expect("frames are JSON");
    let kind = frame["type"].as_str().expect("frames have a type").to_owned();
    let cursor = frame["cursor"].as_str().map(str::to_owned);
    let data = if kind == "event" {
        frame["event"].take()
    } else {
        frame
    };
    Frame { kind, cursor, data }
}
