//! `GET /v1/connect`: sockets of devices.

use std::sync::Arc;
use std::time::Duration;

use futures::{SinkExt as _, StreamExt as _};
use journal::Topic;
use schemas::document::DeviceCommand;
use schemas::event::{CommandStatus, PresenceReason};
use schemas::{Body, Document, Event};
use serde_json::{Value, json};
use state::{DeviceKey, Write};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::harness::{Gateway, Options, within};
use crate::sink::Trouble;

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

async fn connect(gateway: &Gateway) -> Socket {
    let token = gateway
        .token(json!({"role": "device", "tenant": "acme", "devices": ["bus"]}))
        .await;
    let url = format!("ws://{}/v1/connect?token={token}", gateway.address);
    within("the upgrade", connect_async(url)).await.unwrap().0
}

async fn next(socket: &mut Socket) -> Value {
    loop {
        let message = within("a message", socket.next()).await.unwrap().unwrap();
        if let Message::Text(text) = &message {
            return serde_json::from_str(text).unwrap();
        }
        assert!(message.is_ping(), "{message:?}");
    }
}

async fn closed_with(socket: &mut Socket) -> u16 {
    loop {
        if let Message::Close(frame) = within("the end", socket.next()).await.unwrap().unwrap() {
            return frame.unwrap().code.into();
        }
    }
}

/// The events of the device's partition.
async fn log(gateway: &Gateway) -> Vec<Event> {
    let partition = journal::Placement::new("acme", 2, 4).of("bus");
    let reader = &gateway.journal.reader;
    let block = reader.read(Topic::Events, partition, 0, 1 << 20).await.unwrap();
    let event = |record: &journal::Record| Event::decode(record.value.as_ref().unwrap()).unwrap();
    block.records.iter().map(event).collect()
}

/// The first event of the device that `wanted` accepts, once it is there.
async fn appended(gateway: &Gateway, wanted: impl Fn(&Event) -> bool) -> Event {
    within("the event", async {
        loop {
            if let Some(event) = log(gateway).await.into_iter().find(&wanted) {
                return event;
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

fn is_presence(event: &Event, connected: bool) -> bool {
    matches!(&event.body, Body::Presence(presence) if presence.connected == Some(connected) && presence.session.is_some())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_are_acknowledged_and_mistakes_are_named() {
    let gateway = Gateway::start(Options::default()).await;
    let mut socket = connect(&gateway).await;
    socket
        .send(Message::text(
            r#"{"kind":"log","level":"info","message":"up","seq":7}"#,
        ))
        .await
        .unwrap();
    assert_eq!(next(&mut socket).await, json!({"ack": 7}));
    let several = r#"[{"kind":"telemetry","fields":{"a":1},"id":"e1"},{"kind":"nonsense"}]"#;
    socket.send(Message::text(several)).await.unwrap();
    assert_eq!(next(&mut socket).await, json!({"ack": "e1"}));
    let refused = next(&mut socket).await;
    assert_eq!(refused["index"], 1, "{refused}");
    socket.send(Message::text("{\"kind\":")).await.unwrap();
    assert!(
        next(&mut socket).await["error"]
            .as_str()
            .unwrap()
            .starts_with("not JSON")
    );
    socket.send(Message::binary(vec![1, 2])).await.unwrap();
    assert!(next(&mut socket).await["error"].is_string());
    appended(&gateway, |event| event.seq == Some(7)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_that_is_told_something_all_the_time_is_pinged_too() {
    let device_ping = Some(Duration::from_millis(100));
    let gateway = Gateway::start(Options {
        device_ping,
        ..Options::default()
    })
    .await;
    let mut socket = connect(&gateway).await;
    within("a ping between answers", async {
        loop {
            // Each mistake is answered at once, so that something is written more often than pings are due.
            socket.send(Message::text("?")).await.unwrap();
            let message = socket.next().await.unwrap().unwrap();
            if message.is_ping() {
                return;
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_connection_is_the_presence() {
    let gateway = Gateway::start(Options::default()).await;
    let mut socket = connect(&gateway).await;
    appended(&gateway, |event| is_presence(event, true)).await;
    socket.close(None).await.unwrap();
    appended(&gateway, |event| is_presence(event, false)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newer_connection_replaces_the_older() {
    let gateway = Gateway::start(Options::default()).await;
    let mut older = connect(&gateway).await;
    appended(&gateway, |event| is_presence(event, true)).await;
    let mut newer = connect(&gateway).await;
    assert_eq!(closed_with(&mut older).await, 4001);
    newer
        .send(Message::text(r#"{"kind":"telemetry","seq":1}"#))
        .await
        .unwrap();
    assert_eq!(next(&mut newer).await, json!({"ack": 1}));
    assert_eq!(gateway.sockets.count(), 1);
}

const COMMAND: &str =
    r#"{"kind":"command","command_id":"c1","type":"reboot","status":"queued","input":{"delay":3}}"#;

async fn delivered(gateway: &Gateway, id: &str) {
    let is_delivered = |event: &Event| {
        matches!(&event.body, Body::Command(command)
            if &*command.command_id == id && command.status == CommandStatus::Delivered)
    };
    appended(gateway, is_delivered).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_comes_down_and_its_steps_go_up() {
    let gateway = Gateway::start(Options::default()).await;
    let mut socket = connect(&gateway).await;
    gateway.append("bus", COMMAND).await;
    let frame = next(&mut socket).await;
    assert_eq!(frame["command"]["command_id"], "c1");
    assert_eq!(frame["command"]["input"], json!({"delay": 3}));
    delivered(&gateway, "c1").await;
    let done = r#"{"kind":"command","command_id":"c1","status":"success","output":"ok","seq":2}"#;
    socket.send(Message::text(done)).await.unwrap();
    assert_eq!(next(&mut socket).await, json!({"ack": 2}));
    let step = appended(&gateway, |event| event.seq == Some(2)).await;
    let Body::Command(command) = step.body else {
        panic!("{step:?}")
    };
    assert_eq!(
        (&*command.command_type, command.input.as_deref()),
        ("reboot", Some(r#"{"delay":3}"#))
    );
}

/// Puts a document that has one open command, as the projector would have left it long ago.
async fn put_command(gateway: &Gateway, id: &str, status: CommandStatus) {
    let command = DeviceCommand {
        command_id: id.into(),
        command_type: "update".into(),
        input: None,
        connection: None,
        status,
        output: None,
        created: 1,
        modified: 1,
        by: None,
        expires_at: None,
    };
    let document = Document {
        tenant: "acme".into(),
        id: "bus".into(),
        commands: vec![command],
        ..Document::default()
    };
    let key = DeviceKey {
        tenant: "acme".into(),
        device: "bus".into(),
    };
    let partition = journal::Placement::new("acme", 2, 4).of("bus");
    let write = Write {
        key,
        partition,
        document: Some(Arc::new(document)),
        source: 0,
    };
    gateway.store.documents.write(vec![write]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_that_were_queued_before_come_down_first() {
    let gateway = Gateway::start(Options::default()).await;
    put_command(&gateway, "c0", CommandStatus::Queued).await;
    gateway.append("bus", COMMAND).await;
    let mut socket = connect(&gateway).await;
    assert_eq!(next(&mut socket).await["command"]["command_id"], "c0");
    assert_eq!(next(&mut socket).await["command"]["command_id"], "c1");
    delivered(&gateway, "c0").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_was_answered_does_not_come_down_again_though_the_state_has_it_queued() {
    let gateway = Gateway::start(Options::default()).await;
    put_command(&gateway, "c0", CommandStatus::Queued).await;
    gateway.append("bus", COMMAND).await;
    for (id, status) in [("c0", "delivered"), ("c0", "success"), ("c1", "delivered")] {
        let step = json!({"kind": "command", "command_id": id, "type": "reboot", "status": status});
        gateway.append("bus", &step.to_string()).await;
    }
    let mut socket = connect(&gateway).await;
    let later = COMMAND.replace("c1", "c2");
    gateway.append("bus", &later).await;
    assert_eq!(next(&mut socket).await["command"]["command_id"], "c2");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_is_replaced_by_one_to_another_gateway() {
    let gateway = Gateway::start(Options::default()).await;
    let mut socket = connect(&gateway).await;
    appended(&gateway, |event| is_presence(event, true)).await;
    let elsewhere = json!({"kind": "presence", "connected": true, "reason": "connect",
        "session": "0123456789abcdef0123456789abcdef"});
    gateway.append("bus", &elsewhere.to_string()).await;
    assert_eq!(closed_with(&mut socket).await, 4001);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_connection_that_is_taken_for_gone_says_that_it_is_there() {
    let gateway = Gateway::start(Options::default()).await;
    let _socket = connect(&gateway).await;
    appended(&gateway, |event| is_presence(event, true)).await;
    let silence = r#"{"kind":"presence","status":"OFFLINE","reason":"silence"}"#;
    gateway.append("bus", silence).await;
    let is_report = |event: &Event| {
        matches!(&event.body, Body::Presence(presence)
        if presence.reason == PresenceReason::Report && presence.connected == Some(true) && presence.session.is_some())
    };
    appended(&gateway, is_report).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_connection_says_is_said_until_the_log_takes_it() {
    let gateway = Gateway::start(Options::default()).await;
    let mut socket = connect(&gateway).await;
    appended(&gateway, |event| is_presence(event, true)).await;
    gateway.trouble(Trouble::Away);
    socket.close(None).await.unwrap();
    drop(socket);
    gateway.met(7).await;
    gateway.trouble(Trouble::None);
    appended(&gateway, |event| is_presence(event, false)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn that_a_command_was_handed_over_is_said_until_the_log_takes_it() {
    let gateway = Gateway::start(Options::default()).await;
    let mut socket = connect(&gateway).await;
    appended(&gateway, |event| is_presence(event, true)).await;
    gateway.trouble(Trouble::Away);
    gateway.append("bus", COMMAND).await;
    assert_eq!(next(&mut socket).await["command"]["command_id"], "c1");
    gateway.met(2).await;
    gateway.trouble(Trouble::None);
    delivered(&gateway, "c1").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_speaks_only_once_the_one_that_it_replaced_is_silent() {
    let gateway = Gateway::start(Options::default()).await;
    gateway.trouble(Trouble::Slow);
    let mut older = connect(&gateway).await;
    gateway.met(1).await;
    let mut newer = connect(&gateway).await;
    gateway.append("bus", COMMAND).await;
    assert_eq!(next(&mut newer).await["command"]["command_id"], "c1");
    gateway.trouble(Trouble::None);
    assert_eq!(closed_with(&mut older).await, 4001);
    delivered(&gateway, "c1").await;
    newer.close(None).await.unwrap();
    let left = appended(&gateway, |event| is_presence(event, false)).await;
    let session = |event: &Event| {
        let Body::Presence(presence) = &event.body else {
            return None;
        };
        presence.session.clone()
    };
    let came = |event: &&Event| is_presence(event, true);
    let events = log(&gateway).await;
    let last = events.iter().rfind(came).unwrap();
    assert_eq!(session(last), session(&left));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_drains_closes_its_devices_and_answers_what_they_sent() {
    let gateway = Gateway::start(Options::default()).await;
    let mut socket = connect(&gateway).await;
    appended(&gateway, |event| is_presence(event, true)).await;
    let drained = gateway.sockets.drain();
    let (code, ()) = within("the drain", async {
        tokio::join!(closed_with(&mut socket), drained)
    })
    .await;
    assert_eq!(code, 1012);
    appended(&gateway, |event| is_presence(event, false)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_devices_connect_and_only_by_web_socket() {
    let gateway = Gateway::start(Options::default()).await;
    assert_eq!(gateway.get("/v1/connect").await.status, 403);
    assert_eq!(gateway.get_as("bad", "/v1/connect").await.status, 401);
    let device = gateway
        .token(json!({"role": "device", "tenant": "acme", "devices": ["bus"]}))
        .await;
    let answer = gateway.get_as(&device, "/v1/connect").await;
    assert_eq!(answer.status, 426, "{answer:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_whose_token_is_revoked_is_closed_also_while_the_state_does_not_answer() {
    let options = Options {
        stuck_state: true,
        ..Options::default()
    };
    let gateway = Gateway::start(options).await;
    let mut socket = connect(&gateway).await;
    let event = |seq: u32| Message::text(format!(r#"{{"kind":"telemetry","seq":{seq}}}"#));
    socket.send(event(1)).await.unwrap();
    assert_eq!(next(&mut socket).await, json!({"ack": 1}));
    gateway.revoke("device:acme/bus").await;
    // It is too late for this one, whether it is read or not.
    drop(socket.send(event(2)).await);
    assert_eq!(closed_with(&mut socket).await, 4401);
    appended(&gateway, |event| is_presence(event, false)).await;
    let block = gateway.journal.reader.read(
        Topic::Events,
        journal::Placement::new("acme", 2, 4).of("bus"),
        0,
        1 << 20,
    );
    let records = block.await.unwrap().records;
    let is_late = |event: &Event| event.seq == Some(2);
    assert!(
        !records
            .iter()
            .any(|record| is_late(&Event::decode(record.value.as_ref().unwrap()).unwrap()))
    );
}
