//! What the document prints.

use serde_json::{Value, json};
use tests::fixture::assert_like;
use tests::socket::Socket;
use tests::world::World;
use tokio_tungstenite::tungstenite::Message;

use super::{DEVICE, LOCATION, LOCATIONS, at, commands, location, open, place, placed, staff, superuser};

fn step(status: &str, output: Option<&str>) -> Value {
    let mut event = json!({"device": DEVICE, "kind": "command", "command_id": "c-1", "type": "custom",
        "status": status, "created": "2025-01-02T03:04:05.678Z", "time": "2025-01-02T03:05:00Z",
        "connection": "ssh-1", "input": {"command": "uptime", "password": "s3cret"}});
    if let Some(output) = output {
        event["output"] = json!(output);
    }
    event
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_update_of_a_command_is_told_and_not_its_making() {
    let world = World::start().await;
    place(&world, DEVICE, LOCATION).await;
    let mut socket = open(&superuser(&world).await, &commands(DEVICE)).await;
    for event in [
        step("queued", None),
        step("delivered", None),
        step("in-progress", Some("up")),
        step("success", Some("up 3 days")),
        // Nothing follows an end.
        step("expired", None),
    ] {
        world.admin.send_events(&[event]).await;
    }
    for (status, output) in [
        ("in-progress", ""),
        ("in-progress", "up"),
        ("success", "up 3 days"),
    ] {
        let frame = socket.next().await;
        assert_like("controller", "command", &frame, &["model"], &[]);
        assert_eq!(
            frame["data"],
            json!({"id": "c-1", "device": DEVICE, "connection": "ssh-1", "type": "Custom Command",
                "input": {"command": "uptime", "password": "********"}, "output": output, "status": status,
                "created": "2025-01-02T03:04:05.678Z", "modified": "2025-01-02T03:05:00.000Z"})
        );
    }
    let plain = |id: &str, kind: &str, status: &str| {
        json!({"device": DEVICE, "kind": "command",
        "command_id": id, "type": kind, "status": status})
    };
    for (id, kind, name, status, shown) in [
        ("c-2", "reboot", "Reboot", "failed", "failed"),
        ("c-3", "change_password", "Change password", "expired", "failed"),
        ("c-4", "identify", "Identify", "in-progress", "in-progress"),
    ] {
        world
            .admin
            .send_events(&[plain(id, kind, "queued"), plain(id, kind, status)])
            .await;
        let data = socket.next().await["data"].clone();
        assert_eq!(
            (&data["id"], &data["type"], &data["status"]),
            (&json!(id), &json!(name), &json!(shown))
        );
        assert_eq!(
            (&data["input"], &data["connection"], &data["output"]),
            (&Value::Null, &Value::Null, &json!(""))
        );
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_update_of_a_command_that_was_made_before_is_told_and_one_of_a_command_that_had_ended_is_not() {
    let world = World::start().await;
    place(&world, DEVICE, LOCATION).await;
    let step = |id: &str, status: &str| json!({"device": DEVICE, "kind": "command", "command_id": id, "type": "reboot", "status": status});
    let before = [
        step("open", "queued"),
        step("ended", "queued"),
        step("ended", "success"),
    ];
    let cursor = world.admin.send_events(&before).await;
    let mut sockets = [
        open(&superuser(&world).await, &commands(DEVICE)).await,
        open(
            &superuser(&world).await,
            &format!("{}?cursor=1&since={cursor}", commands(DEVICE)),
        )
        .await,
    ];
    let since = [
        step("made", "in-progress"),
        step("ended", "expired"),
        step("open", "success"),
        step("made", "success"),
    ];
    world.admin.send_events(&since).await;
    for socket in &mut sockets {
        for expected in ["open", "made"] {
            let data = socket.next().await["data"].clone();
            assert_eq!(
                (&data["id"], &data["status"]),
                (&json!(expected), &json!("success"))
            );
        }
    }
    world.end().await;
}

/// A device elsewhere that moves: whatever came before is there when its frame is.
async fn mark(world: &World, socket: &mut Socket, latitude: f64) -> Vec<Value> {
    world
        .admin
        .send_events(&[placed("mark", json!({"geometry": at(1.0, latitude)}))])
        .await;
    let mut before = Vec::new();
    loop {
        let frame = socket.next().await;
        if frame["name"] == "mark" {
            return before;
        }
        before.push(frame);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_move_of_a_mobile_location_is_told_whole_and_not_its_making() {
    let world = World::start().await;
    place(&world, "mark", "mark").await;
    let sent = world
        .admin
        .send_events(&[placed("mark", json!({"name": "mark"}))])
        .await;
    let path = format!("/v1/devices?id=mark&min_cursor={sent}");
    assert_eq!(world.admin.get(&path).await.status, 200);
    let mut socket = open(&superuser(&world).await, LOCATIONS).await;
    place(&world, DEVICE, LOCATION).await;
    assert!(mark(&world, &mut socket, 1.5).await.is_empty(), "it was made");
    let van = |name: &str, address: &str, point: Value| {
        json!({"id": LOCATION, "name": name, "address": address,
        "type": "outdoor", "is_mobile": true, "geometry": point})
    };
    for (number, (event, told)) in [
        (
            placed(DEVICE, json!({"geometry": at(12.511_124, 41.898_903)})),
            vec![van("Van", "Via Roma 1", at(12.511_124, 41.898_903))],
        ),
        (
            json!({"device": DEVICE, "kind": "telemetry", "fields": {"lat": 42.5, "lon": 13.5, "speed": 3}}),
            vec![van("Van", "Via Roma 1", at(13.5, 42.5))],
        ),
        (
            json!({"device": DEVICE, "kind": "telemetry", "fields": {"speed": 4}}),
            vec![],
        ),
        (placed(DEVICE, json!({"geometry": at(13.5, 42.5)})), vec![]),
        (
            placed(DEVICE, json!({"name": "Truck"})),
            vec![van("Truck", "Via Roma 1", at(13.5, 42.5))],
        ),
        (
            placed(DEVICE, json!({"address": "Via Po"})),
            vec![van("Truck", "Via Po", at(13.5, 42.5))],
        ),
        (placed(DEVICE, json!({"is_mobile": false})), vec![]),
        (placed(DEVICE, json!({"geometry": at(1.5, 2.5)})), vec![]),
    ]
    .into_iter()
    .enumerate()
    {
        world.admin.send_events(std::slice::from_ref(&event)).await;
        let found = mark(&world, &mut socket, 2.5 + number as f64).await;
        assert_eq!(found, told, "{event}");
        for frame in found {
            assert_like("controller", "location", &frame, &[], &[]);
        }
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_position_makes_a_location_with_the_defaults() {
    let world = World::start().await;
    let mut socket = open(&superuser(&world).await, LOCATIONS).await;
    for n in [1.5, 2.5] {
        let fields = json!({"lat": n, "lng": 5.5});
        world
            .admin
            .send_events(&[json!({"device": "bus", "kind": "telemetry", "fields": fields})])
            .await;
    }
    let frame = socket.next().await;
    assert_like("controller", "location", &frame, &[], &[]);
    assert_eq!(
        (
            &frame["name"],
            &frame["address"],
            &frame["type"],
            &frame["geometry"]
        ),
        (&json!("bus"), &json!(""), &json!("outdoor"), &at(5.5, 2.5))
    );
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_location_has_the_moves_of_every_device_that_is_there_also_of_one_that_comes() {
    let world = World::start().await;
    place(&world, "a", LOCATION).await;
    place(&world, "b", LOCATION).await;
    place(&world, "c", "elsewhere").await;
    let viewer = staff(&world, &["geo.view_location"], &["acme"]).await;
    let mut socket = open(&viewer, &format!("{}?cursor=1", location(LOCATION))).await;
    let went =
        |device: &str, n: f64| json!({"device": device, "kind": "telemetry", "fields": {"lat": n, "lon": n}});
    world
        .admin
        .send_events(&[went("c", 1.5), went("a", 2.5), went("b", 3.5)])
        .await;
    let mut found = Vec::new();
    for _ in 0..2 {
        let frame = socket.next().await;
        assert_like("controller", "location", &frame, &[], &["cursor"]);
        let point = &frame["geometry"];
        assert_eq!(
            frame,
            json!({"id": LOCATION, "name": "Van", "address": "Via Roma 1", "type": "outdoor", "is_mobile": true,
                "geometry": point, "cursor": frame["cursor"]})
        );
        assert!(frame["cursor"].is_string(), "{frame}");
        found.push(frame["geometry"]["coordinates"][0].as_f64());
    }
    // Two devices have no order between them.
    found.sort_by(|a, b| a.partial_cmp(b).expect("numbers"));
    assert_eq!(found, [Some(2.5), Some(3.5)]);
    // It comes here with a place of its own, and goes on.
    let comes = placed("c", json!({"location_id": LOCATION, "geometry": at(4.5, 4.5)}));
    world.admin.send_events(&[comes]).await;
    assert_eq!(socket.next().await["geometry"], at(4.5, 4.5));
    world.admin.send_events(&[went("c", 5.5)]).await;
    assert_eq!(socket.next().await["geometry"], at(5.5, 5.5));
    // Another leaves.
    let leaves = placed("a", json!({"location_id": "far", "geometry": at(6.5, 6.5)}));
    world
        .admin
        .send_events(&[leaves, went("a", 7.5), went("b", 8.5)])
        .await;
    assert_eq!(socket.next().await["geometry"], at(8.5, 8.5));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_clients_send_is_ignored() {
    let world = World::start().await;
    place(&world, DEVICE, LOCATION).await;
    let somebody = superuser(&world).await;
    let mut sockets = [
        open(&somebody, &commands(DEVICE)).await,
        open(&somebody, &location(LOCATION)).await,
        open(&somebody, LOCATIONS).await,
    ];
    for socket in &mut sockets {
        for message in [
            Message::text("{"),
            Message::text("{\"type\":\"x\"}"),
            Message::binary(vec![1, 159]),
        ] {
            socket.send_raw(message).await;
        }
    }
    let moved = placed(DEVICE, json!({"geometry": at(1.5, 2.5)}));
    world
        .admin
        .send_events(&[step("queued", None), step("success", None), moved])
        .await;
    for mut socket in sockets {
        socket.next().await;
    }
    world.end().await;
}
