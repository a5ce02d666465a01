//! Commands, from who gives them to the device and back.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};
use tests::api::{Api, reading};
use tests::device::Device;
use tests::stream::Carrier;
use tests::wait::until;
use tests::world::World;

const COMMANDS: &str = "/v1/devices/bus/commands";

/// A world with one device, `bus`.
async fn world() -> World {
    let world = World::start().await;
    let cursor = world.admin.send_events(&[reading("bus", 1)]).await;
    let path = format!("/v1/devices/bus?min_cursor={cursor}");
    assert_eq!(world.admin.get(&path).await.status, StatusCode::OK);
    world
}

async fn give(api: &Api, body: Value) -> Value {
    let answer = api.post(COMMANDS, &body).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
    answer.json
}

fn path_of(command: &Value) -> String {
    format!("{COMMANDS}/{}", command["command_id"].as_str().expect("an id"))
}

async fn becomes(api: &Api, command: &Value, status: &str) -> Value {
    let path = path_of(command);
    until(&format!("the command is {status}"), || async {
        let answer = api.get(&path).await;
        (answer.json["status"] == status).then_some(answer.json)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_reaches_its_device_and_the_answer_comes_back() {
    let world = world().await;
    let mut device = Device::connect(&world.admin, "bus").await;
    let asked = json!({"type": "reboot", "input": {"delay": 3}, "expires_in_s": 60});
    let command = give(&world.admin, asked).await;
    assert_eq!(
        (&command["type"], &command["status"], &command["input"]),
        (&json!("reboot"), &json!("queued"), &json!({"delay": 3}))
    );
    assert!(command["by"].is_string() && command["created"].is_string() && command["expires_at"].is_string());
    let received = device.command().await;
    assert_eq!(received["command_id"], command["command_id"]);
    assert_eq!(
        (&received["type"], &received["input"]["delay"]),
        (&json!("reboot"), &json!(3))
    );
    becomes(&world.admin, &command, "delivered").await;
    let step = |status: &str, output: &str| json!({"kind": "command", "command_id": command["command_id"], "status": status, "output": output});
    device.send(&step("in-progress", "going")).await;
    let open = becomes(&world.admin, &command, "in-progress").await;
    assert_eq!(
        (&open["output"], &open["type"]),
        (&json!("going"), &json!("reboot"))
    );
    device.send(&step("success", "going\ndone")).await;
    let done = becomes(&world.admin, &command, "success").await;
    assert_eq!(
        (&done["output"], &done["input"]),
        (&json!("going\ndone"), &json!({"delay": 3}))
    );
    let document = until("the document has no open command", || async {
        let document = world.admin.get("/v1/devices/bus").await.json;
        (document["commands"] == json!([])).then_some(document)
    })
    .await;
    assert_eq!(document["id"], "bus");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_can_be_read_as_soon_as_it_is_given() {
    let world = world().await;
    let first = give(&world.admin, json!({"type": "reboot"})).await;
    let second = give(&world.admin, json!({"type": "blink", "input": [1, "a"]})).await;
    assert_eq!(world.admin.get(&path_of(&second)).await.json, second);
    let list = world.admin.get(COMMANDS).await.json;
    assert_eq!(list, json!({"commands": [second, first], "next": null}));
    let page = world.admin.get(&format!("{COMMANDS}?limit=1")).await.json;
    assert_eq!(page["commands"], json!([second]));
    let next = page["next"].as_str().expect("a page");
    let rest = world
        .admin
        .get(&format!("{COMMANDS}?limit=1&page={next}"))
        .await
        .json;
    assert_eq!(rest, json!({"commands": [first], "next": null}));
    let document = world.admin.get("/v1/devices/bus").await.json;
    assert_eq!(document["commands"], json!([first, second]));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_are_seen_by_the_device_alone() {
    let world = world().await;
    let input = json!({"ssid": "home", "password": "hunter2", "radio": {"pin": 4711}});
    let asked = json!({"type": "wifi", "input": input, "secret": ["pin"]});
    let command = give(&world.admin, asked).await;
    let masked = json!({"ssid": "home", "password": "********", "radio": {"pin": "********"}});
    assert_eq!(command["input"], masked);
    let mut device = Device::connect(&world.admin, "bus").await;
    assert_eq!(device.command().await["input"], input);
    becomes(&world.admin, &command, "delivered").await;
    // One that connects anew before it has answered is not told again: its connection knew.
    let id = &command["command_id"];
    let failed = json!({"kind": "command", "command_id": id, "status": "failed", "output": "no"});
    device.send(&failed).await;
    let ended = becomes(&world.admin, &command, "failed").await;
    assert_eq!(ended["input"], masked);
    let mut seen = vec![
        world.admin.get("/v1/devices/bus").await.text,
        world.admin.get("/v1/devices/bus/events?kind=command").await.text,
        world.admin.get(COMMANDS).await.text,
    ];
    for view in ["events", "devices"] {
        let mut stream = world
            .stream(Carrier::Sse, &format!("view={view}&since=earliest"), None)
            .await;
        seen.push(json!(stream.rest().await).to_string());
    }
    for text in &seen {
        assert!(
            !text.contains("hunter2") && !text.contains("4711") && !text.contains("$sealed"),
            "{text}"
        );
    }
    assert!(
        seen.iter().filter(|text| text.contains("********")).count() >= 4,
        "{seen:?}"
    );
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_over_http_moves_a_command_and_neither_keeps_it_alive_nor_shows_its_secrets() {
    let world = world().await;
    let asked = json!({"type": "unlock", "input": {"pin": "4711"}, "secret": ["pin"], "expires_in_s": 5});
    let command = give(&world.admin, asked).await;
    let device = world.client(json!({"role": "device", "devices": ["bus"]})).await;
    // It says no more than it must, and shows what it was told.
    let step = json!({"kind": "command", "command_id": command["command_id"], "type": "unlock",
        "status": "in-progress", "input": {"pin": "4711"}, "output": "half"});
    device.send_events(&[step]).await;
    let open = becomes(&world.admin, &command, "in-progress").await;
    assert_eq!(
        (&open["output"], &open["input"]),
        (&json!("half"), &json!({"pin": "********"}))
    );
    for member in ["created", "by", "expires_at"] {
        assert_eq!(open[member], command[member], "{member}");
    }
    becomes(&world.admin, &command, "expired").await;
    let log = json!(world.sent().await).to_string();
    let history = world.admin.get("/v1/devices/bus/events?kind=command").await.text;
    for text in [log, history] {
        assert!(!text.contains("4711"), "{text}");
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_comes_as_an_event_ends_as_any_other() {
    let world = World::with(|config| config.ingest.command_lifetime = Duration::from_millis(300)).await;
    let queued =
        json!({"device": "bus", "kind": "command", "command_id": "c1", "type": "reboot", "status": "queued"});
    let cursor = world.admin.send_events(&[reading("bus", 1), queued]).await;
    world
        .admin
        .get(&format!("/v1/devices/bus?min_cursor={cursor}"))
        .await;
    becomes(&world.admin, &json!({"command_id": "c1"}), "expired").await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_waits_for_a_device_that_is_away_and_is_handed_over_once() {
    let world = world().await;
    let command = give(&world.admin, json!({"type": "reboot"})).await;
    let mut device = Device::connect(&world.admin, "bus").await;
    assert_eq!(device.command().await["command_id"], command["command_id"]);
    becomes(&world.admin, &command, "delivered").await;
    device.vanish();
    let mut device = Device::connect(&world.admin, "bus").await;
    let later = give(&world.admin, json!({"type": "blink"})).await;
    assert_eq!(device.command().await["command_id"], later["command_id"]);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_nobody_answers_expires_once() {
    let world = world().await;
    let command = give(&world.admin, json!({"type": "reboot", "expires_in_s": 0.2})).await;
    becomes(&world.admin, &command, "expired").await;
    let mut device = Device::connect(&world.admin, "bus").await;
    let later = give(&world.admin, json!({"type": "blink"})).await;
    assert_eq!(
        device.command().await["command_id"],
        later["command_id"],
        "it is not handed over any more"
    );
    // An answer that comes too late changes nothing.
    let id = &command["command_id"];
    device
        .send(&json!({"kind": "command", "command_id": id, "type": "reboot", "status": "success"}))
        .await;
    becomes(&world.admin, &later, "delivered").await;
    assert_eq!(
        world.admin.get(&path_of(&command)).await.json["status"],
        "expired"
    );
    let mut events = world.events().await;
    events.retain(|event| event["command_id"] == *id && event["status"] == "expired");
    assert_eq!(events.len(), 1);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_not_command_is_told_so_only_where_it_may_see_the_device() {
    let world = world().await;
    let body = json!({"type": "reboot"});
    let user = |devices: Value, permissions: Value| {
        world.client(json!({"role": "user", "devices": devices, "permissions": permissions}))
    };
    let granted = user(json!(["bus"]), json!(["command"])).await;
    assert_eq!(granted.post(COMMANDS, &body).await.status, StatusCode::CREATED);
    let reader = user(json!(["bus"]), json!([])).await;
    assert_eq!(reader.post(COMMANDS, &body).await.status, StatusCode::FORBIDDEN);
    assert_eq!(reader.get(COMMANDS).await.status, StatusCode::OK);
    let other = user(json!(["tram"]), json!(["command"])).await;
    assert_eq!(other.post(COMMANDS, &body).await.status, StatusCode::NOT_FOUND);
    assert_eq!(other.get(COMMANDS).await.status, StatusCode::NOT_FOUND);
    let unknown = world.admin.post("/v1/devices/nobody/commands", &body).await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
    let foreign = world
        .node
        .api
        .post("/v1/devices/bus/commands?tenant=globex", &body)
        .await;
    assert_eq!(foreign.status, StatusCode::NOT_FOUND);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_command_is_refused() {
    let world = World::with(|config| config.native.commands.open_max = 2).await;
    let cursor = world.admin.send_events(&[reading("bus", 1)]).await;
    world
        .admin
        .get(&format!("/v1/devices/bus?min_cursor={cursor}"))
        .await;
    for body in [
        json!([]),
        json!({}),
        json!({"type": ""}),
        json!({"type": 1}),
        json!({"type": "reboot", "expires_in_s": 0}),
        json!({"type": "reboot", "expires_in_s": -1}),
        json!({"type": "reboot", "expires_in_s": 1e12}),
        json!({"type": "reboot", "when": "now"}),
    ] {
        let answer = world.admin.post(COMMANDS, &body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body}: {}", answer.text);
        assert_eq!(answer.headers["content-type"], "application/problem+json");
    }
    let nothing = world.admin.get(&format!("{COMMANDS}/nothing")).await;
    assert_eq!(nothing.status, StatusCode::NOT_FOUND);
    for _ in 0..2 {
        give(&world.admin, json!({"type": "reboot"})).await;
    }
    let third = world.admin.post(COMMANDS, &json!({"type": "reboot"})).await;
    assert_eq!(third.status, StatusCode::CONFLICT, "{}", third.text);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_that_comes_to_another_gateway_leaves_the_first() {
    let world = world().await;
    let other = world.gateway().await;
    let mut device = Device::connect(&world.admin, "bus").await;
    let first = give(&world.admin, json!({"type": "reboot"})).await;
    assert_eq!(device.command().await["command_id"], first["command_id"]);
    let mut again = Device::connect(&world.admin.at(&other.api.base), "bus").await;
    assert_eq!(device.closed().await, 4001);
    let later = give(&world.admin, json!({"type": "blink"})).await;
    loop {
        let command = again.command().await["command_id"].clone();
        // The first may come again: it may not be told yet that it was handed over.
        if command == later["command_id"] {
            break;
        }
        assert_eq!(command, first["command_id"]);
    }
    becomes(&world.admin, &later, "delivered").await;
    let document = world.admin.get("/v1/devices/bus").await.json;
    assert_eq!(document["connected"], true);
    other.end().await;
    world.end().await;
}
