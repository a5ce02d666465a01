//! Older logs before the live ones.

use serde_json::{Value, json};
use tests::socket::Socket;
use tests::world::World;

use super::{event, log, watch, world};

/// The ids of the replayed logs, after which the history is complete.
async fn replayed(socket: &mut Socket) -> Vec<String> {
    let mut ids = Vec::new();
    loop {
        let frame = socket.next().await;
        if frame == json!({"event": "history_complete"}) {
            return ids;
        }
        assert_eq!(
            (&frame["event"], &frame["replay"]),
            (&json!("log"), &json!(true)),
            "{frame}"
        );
        let mut names: Vec<&str> = frame["data"]
            .as_object()
            .expect("members")
            .keys()
            .map(String::as_str)
            .collect();
        names.sort_unstable();
        assert_eq!(names, ["created_at", "id", "level", "message"]);
        ids.push(frame["data"]["id"].as_str().expect("an id").to_owned());
    }
}

/// Logs `l0` to `l119`, every third a warning; sent newest first, so that their own time counts.
async fn many(world: &World) {
    let said = |n: u32| {
        let (minute, second) = (n / 60, n % 60);
        let level = if n.is_multiple_of(3) { "warn" } else { "info" };
        event(
            "log",
            json!({"id": format!("l{n}"), "level": level, "message": "x",
            "time": format!("2024-04-05T19:{minute:02}:{second:02}Z")}),
        )
    };
    let events: Vec<Value> = (0..120).rev().map(said).collect();
    world.admin.send_events(&events).await;
}

fn names(numbers: impl Iterator<Item = u32>) -> Vec<String> {
    numbers.map(|n| format!("l{n}")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn as_many_as_asked_come_oldest_first_before_the_live_ones() {
    let world = World::start().await;
    many(&world).await;
    let mut sockets = Vec::new();
    for (query, expected) in [
        ("backfillLimit=3", names(117..120)),
        ("backfillLimit=0", names(119..120)),
        ("backfillLimit=-5", names(119..120)),
        ("backfillLimit=1000", names(20..120)),
        (
            "backfillLimit=2&backfillLevel=warn",
            names([114, 117].into_iter()),
        ),
        ("backfillLimit=2&backfillLevel=error", Vec::new()),
    ] {
        let (mut socket, _) = watch(&world.admin, query).await;
        assert_eq!(replayed(&mut socket).await, expected, "{query}");
        sockets.push(socket);
    }
    world.admin.send_events(&[log("live", "x")]).await;
    for mut socket in sockets {
        let frame = socket.next().await;
        assert_eq!(
            (&frame["data"]["id"], frame.get("replay")),
            (&json!("live"), None),
            "{frame}"
        );
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_number_there_is_neither_replay_nor_its_end() {
    let world = world().await;
    for query in ["", "backfillLimit=ten", "backfillLimit=", "backfillLevel=warn"] {
        let (mut socket, _) = watch(&world.admin, query).await;
        world.admin.send_events(&[log("live", "x")]).await;
        let frame = socket.next().await;
        assert_eq!(
            (&frame["event"], frame.get("replay")),
            (&json!("log"), None),
            "{query}: {frame}"
        );
    }
    world.end().await;
}
