//! A device at its socket, `GET /v1/connect`.

use futures::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::api::Api;
use crate::wait::within;

/// A connected device.
pub struct Device {
    socket: WebSocketStream<MaybeTlsStream<tokio::net::TcpStream>>,
}

impl Device {
    /// Connects `device` with a new token of its own, made by `admin`.
    pub async fn connect(admin: &Api, device: &str) -> Self {
        let token = admin.token(&json!({"role": "device", "devices": [device]})).await;
        let url = format!("{}/v1/connect", admin.base.replacen("http", "ws", 1));
        let mut request = url.into_client_request().expect("a request");
        let value = format!("Bearer {token}").parse().expect("a header");
        request.headers_mut().insert("authorization", value);
        let (socket, _) = tokio_tungstenite::connect_async(request).await.expect("a socket");
        Self { socket }
    }

    /// Sends one message.
    pub async fn send(&mut self, message: &Value) {
        let sent = self.socket.send(Message::text(message.to_string())).await;
        sent.expect("the socket is open");
    }

    /// The next command that comes down; answers to what was sent are passed over.
    pub async fn command(&mut self) -> Value {
        loop {
            let frame = self.frame().await;
            if let Some(command) = frame.get("command") {
                return command.clone();
            }
        }
    }

    /// The next frame.
    pub async fn frame(&mut self) -> Value {
        loop {
            let message = within("a frame", self.socket.next()).await;
            match message.expect("the socket is open").expect("a frame") {
                Message::Text(text) => return serde_json::from_str(&text).expect("JSON"),
                Message::Close(frame) => panic!("the socket was closed: {frame:?}"),
                Message::Binary(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
            }
        }
    }

    /// The code with which the socket is closed.
    pub async fn closed(&mut self) -> u16 {
        loop {
            let message = within("the end", self.socket.next()).await;
            if let Some(Ok(Message::Close(frame))) = message {
                return frame.expect("a reason").code.into();
            }
        }
    }

    /// Goes, without a word.
    pub fn vanish(self) {
        drop(self.socket);
    }
}
