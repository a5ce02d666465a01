//! The filter dialect.

mod conflation;
mod devices;
mod frames;
mod opening;
mod resume;

use serde_json::{Value, json};
use tests::api::Api;
use tests::fixture::{fixture, text};
use tests::socket::Socket;

const PATH: &str = "/api/v2/ws";

/// A socket of `api`.
async fn opened(api: &Api, query: &str) -> Socket {
    let bearer = format!("Bearer {}", api.token);
    let path = format!("{PATH}?{query}");
    Socket::open(api, &path, &[("authorization", &*bearer)])
        .await
        .expect("a socket")
}

/// The same with a filter, which holds already.
async fn filtered(api: &Api, query: &str, q: &str) -> Socket {
    let mut socket = opened(api, query).await;
    socket.send(&filter(q)).await;
    marked(&mut socket).await;
    socket
}

/// Waits until everything that was sent is dealt with. What came meanwhile is passed over.
async fn marked(socket: &mut Socket) {
    socket.send(&json!({"mark": 1})).await;
    let is_answer = |frame: &Value| frame["error"]["unknown_command"].is_string();
    socket.first("the answer", is_answer).await;
}

/// The command of the document, with this query.
fn filter(q: &str) -> Value {
    let mut command = fixture("filter", "filter");
    command["filter"] = q.into();
    command
}

/// The query that the document prints.
fn back_online() -> String {
    text("filter", "back-online.q").trim_end().to_owned()
}

fn telemetry(device: &str, fields: Value) -> Value {
    json!({"device": device, "kind": "telemetry", "fields": fields})
}

/// The next device that matched.
async fn update(socket: &mut Socket) -> Value {
    let frame = socket
        .first("an update", |frame| frame.get("update").is_some())
        .await;
    frame["update"].clone()
}
