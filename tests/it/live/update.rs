//! A client changes what it sees without reconnecting.

use futures::{SinkExt as _, StreamExt as _};
use journal::Placement;
use serde_json::{Value, json};
use tests::api::reading;
use tests::stream::{Carrier, Streaming};
use tests::world::{TENANT, World};
use tokio_tungstenite::tungstenite::Message;

fn line(device: &str, message: &str) -> Value {
    json!({"device": device, "kind": "log", "level": "info", "message": message})
}

async fn select(stream: &mut Streaming, update: Value) -> String {
    let mut message = json!({"type": "update"});
    message
        .as_object_mut()
        .expect("an object")
        .extend(update.as_object().expect("an object").clone());
    stream.send(&message).await;
    stream
        .until("updated")
        .await
        .cursor
        .expect("says from where it holds")
}

/// Another device in the partition of `bus`: the order of what is shown of both is known.
fn beside_bus(world: &World) -> String {
    let layout = &world.storage.opened().journal.layout;
    let placement = Placement::new(TENANT, layout.default_spread, layout.partitions);
    let mut others = (0..).map(|number| format!("tram-{number}"));
    others
        .find(|other| placement.of(other) == placement.of("bus"))
        .expect("one beside it")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_holds_from_the_answer_on() {
    let world = World::start().await;
    let tram = beside_bus(&world);
    let mut stream = world
        .stream(Carrier::WebSocket, "device=bus&kind=telemetry", None)
        .await;
    for (round, (update, expected)) in [
        (json!({}), vec!["bus telemetry"]),
        (json!({"device": [tram]}), vec!["tram telemetry"]),
        (json!({"kind": ["log"]}), vec!["tram log"]),
        (json!({"device": []}), vec!["tram log", "bus log"]),
        (
            json!({"kind": ["telemetry"], "device": ["bus", tram]}),
            vec!["bus telemetry", "tram telemetry"],
        ),
        (json!({"metric": ["n"], "device": [tram]}), vec!["tram telemetry"]),
        (
            json!({"metric": ["nothing"], "device": [tram], "kind": ["log", "telemetry"]}),
            vec!["tram log"],
        ),
        (
            json!({"metric": [], "device": ["bus"], "kind": []}),
            vec!["bus telemetry", "bus log"],
        ),
    ]
    .into_iter()
    .enumerate()
    {
        select(&mut stream, update.clone()).await;
        let mark = round.to_string();
        let all = [
            reading("bus", round as u64),
            reading(&tram, round as u64),
            line(&tram, &mark),
            line("bus", &mark),
        ];
        // Twice: what does not belong to the first would come before what belongs to the second.
        world.admin.send_events(&all).await;
        world.admin.send_events(&all).await;
        let mut seen = Vec::new();
        while seen.len() < 2 * expected.len() {
            let event = stream.data().await.data;
            // Of earlier rounds, what had not passed yet when the selection changed.
            if event["message"] == mark || event["fields"]["n"] == round {
                let device = event["device"]
                    .as_str()
                    .expect("a device")
                    .split('-')
                    .next()
                    .expect("a name");
                seen.push(format!("{device} {}", event["kind"].as_str().expect("a kind")));
            }
        }
        assert_eq!(seen, [expected.clone(), expected].concat(), "{update}");
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reconnect_with_its_cursor_misses_nothing_of_the_new_devices() {
    let world = World::start().await;
    for other in ["tram", "train", "ferry", "cab", "lift"] {
        let mut stream = world
            .stream(Carrier::WebSocket, "device=bus&kind=telemetry", None)
            .await;
        let cursor = select(&mut stream, json!({"device": ["bus", other]})).await;
        drop(stream);
        world.admin.send_events(&[reading(other, 1)]).await;
        let query = format!("device=bus,{other}&kind=telemetry");
        let mut stream = world.stream(Carrier::WebSocket, &query, Some(&cursor)).await;
        assert_eq!(stream.data().await.data["device"], other);
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_update_is_told_and_changes_nothing() {
    let world = World::start().await;
    let mut stream = world
        .stream(Carrier::WebSocket, "device=bus&kind=telemetry", None)
        .await;
    for message in [
        json!({"type": "subscribe"}),
        json!({"type": "update", "kind": ["nonsense"]}),
        json!({"type": "update", "device": ["a,b"]}),
        json!({"type": "update", "device": "bus"}),
        json!({"type": "update", "q": "speed > 1"}),
        json!([1, 2]),
        json!("hello"),
    ] {
        stream.send(&message).await;
        let told = stream.until("fault").await.data;
        assert!(
            told["error"].as_str().is_some_and(|error| error.len() > 10),
            "{message}: {told}"
        );
    }
    world
        .admin
        .send_events(&[reading("tram", 1), line("bus", "2"), reading("bus", 3)])
        .await;
    assert_eq!(stream.data().await.data["fields"]["n"], 3);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn text_that_is_no_json_and_binary_frames_end_nothing() {
    let world = World::start().await;
    let mut stream = world
        .stream(Carrier::WebSocket, "device=bus&kind=telemetry", None)
        .await;
    let Streaming::WebSocket(socket) = &mut stream else {
        panic!("a WebSocket")
    };
    socket.send(Message::text("{\"type\":")).await.unwrap();
    socket
        .send(Message::binary(vec![0, 159, 146, 150]))
        .await
        .unwrap();
    world.admin.send_events(&[reading("bus", 1)]).await;
    assert_eq!(stream.data().await.data["fields"]["n"], 1);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_beyond_the_limit_closes_with_1009() {
    let world = World::start().await;
    let mut stream = world.stream(Carrier::WebSocket, "device=bus", None).await;
    let Streaming::WebSocket(socket) = &mut stream else {
        panic!("a WebSocket")
    };
    socket.send(Message::text("x".repeat(65 * 1_024))).await.unwrap();
    let closed = loop {
        match tests::wait::within("the close", socket.next()).await {
            Some(Ok(Message::Close(frame))) => break frame.map(|frame| u16::from(frame.code)),
            Some(Ok(_)) => {}
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(closed, Some(1_009));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_never_reaches_beyond_the_credential() {
    let world = World::start().await;
    let user = world.client(json!({"role": "user", "devices": ["bus"]})).await;
    let mut stream = Streaming::open(&user, Carrier::WebSocket, "kind=telemetry", None)
        .await
        .expect("a stream");
    select(&mut stream, json!({"device": ["tram", "bus"]})).await;
    world.admin.send_events(&[reading("tram", 1)]).await;
    world.admin.send_events(&[reading("bus", 2)]).await;
    assert_eq!(stream.data().await.data["device"], "bus");
    select(&mut stream, json!({"device": []})).await;
    world.admin.send_events(&[reading("tram", 3)]).await;
    world.admin.send_events(&[reading("bus", 4)]).await;
    assert_eq!(stream.data().await.data["fields"]["n"], 4);
    world.end().await;
}
