//! Commands that clients of streams send.

use futures::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;

use crate::harness::{Gateway, Options, within};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_that_wait_are_not_sent_when_the_permission_is_gone() {
    let gateway = Gateway::start(Options::default()).await;
    gateway.put("acme", "bus").await;
    let (id, token) = gateway
        .named_token(
            json!({"role": "user", "tenant": "acme", "devices": ["bus"], "permissions": ["command"]}),
        )
        .await;
    let url = format!("ws://{}/realtime?api_key={token}", gateway.address);
    let mut socket = within("the upgrade", connect_async(url)).await.unwrap().0;
    let held = gateway.hold_appends().await;
    for _ in 0..3 {
        let command = json!({"type": "command", "hardwareId": "bus", "command": "lock", "params": {}});
        socket.send(Message::text(command.to_string())).await.unwrap();
    }
    within("the first command is being appended", async {
        while gateway.submissions() == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    gateway.change(&id, json!({"permissions": []})).await;
    drop(held);
    let mut said = Vec::new();
    while said.len() < 4 {
        let message = within("an answer", socket.next()).await.unwrap().unwrap();
        if let Message::Text(text) = &message {
            let frame: Value = serde_json::from_str(text).unwrap();
            said.push(frame["type"].as_str().unwrap().to_owned());
        }
    }
    assert_eq!(said, ["connected", "command_sent", "error", "error"]);
    assert_eq!(gateway.submissions(), 1);
}
