//! Coordinates and commands.

use reqwest::Method;
use serde_json::{Value, json};
use tests::api::Api;
use tests::device::Device;
use tests::world::World;

use super::{DEVICE, LOCATION, at, commands, open, place, staff, superuser};

fn path(tail: &str) -> String {
    format!("/api/v1/controller/device/{DEVICE}/{tail}")
}

async fn put(api: &Api, key: &str, body: &Value) -> (u16, Value) {
    let request = api
        .with_token("")
        .request(Method::PUT, &path(&format!("coordinates/?key={key}")));
    let answer = api.send(request.json(body)).await;
    (answer.status.as_u16(), answer.json)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_says_where_it_is_with_its_own_token() {
    let world = World::start().await;
    let key = world
        .admin
        .token(&json!({"role": "device", "devices": [DEVICE]}))
        .await;
    let other = world
        .admin
        .token(&json!({"role": "device", "devices": ["other"]}))
        .await;
    let feature = json!({"type": "Feature", "geometry": at(12.5, 41.9), "properties": {}});
    let answer = json!({"type": "Feature", "geometry": at(12.5, 41.9), "properties": {"name": DEVICE}});
    assert_eq!(put(&world.admin, &key, &feature).await, (200, answer.clone()));
    assert_eq!(put(&world.admin, &key, &at(12.5, 41.9)).await, (200, answer));
    let device = tests::wait::until("it is placed", async || {
        let device = world.admin.get(&format!("/v1/devices?id={DEVICE}")).await;
        device.json["location"]["geometry"]
            .is_object()
            .then_some(device.json)
    })
    .await;
    assert_eq!(device["location"]["geometry"], at(12.5, 41.9));
    for (key, body, status) in [
        ("", &feature, 401),
        ("nonsense", &feature, 401),
        (&*other, &feature, 403),
        (&*key, &json!({"type": "Point"}), 400),
        (&*key, &at(200.0, 41.9), 400),
        (
            &*key,
            &json!({"type": "LineString", "coordinates": [[1, 2]]}),
            400,
        ),
    ] {
        let (found, answer) = put(&world.admin, key, body).await;
        assert_eq!(found, status, "{answer}");
        assert!(answer["detail"].is_string(), "{answer}");
    }
    let ingest = world.client(json!({"role": "ingest"})).await.token;
    let unknown = "/api/v1/controller/device/nobody/coordinates/";
    let request = world
        .admin
        .with_token("")
        .request(Method::PUT, &format!("{unknown}?key={ingest}"));
    let answer = world.admin.send(request.json(&feature)).await;
    assert_eq!(
        (answer.status.as_u16(), answer.json),
        (404, json!({"detail": "Not found."}))
    );
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_is_made_by_json_or_the_form_of_a_page_and_carried_out() {
    let world = World::start().await;
    place(&world, DEVICE, LOCATION).await;
    let api = staff(&world, &["config.change_device"], &["acme"]).await;
    let mut socket = open(&api, &commands(DEVICE)).await;
    let mut device = Device::connect(&world.admin, DEVICE).await;
    let body = json!({"type": "change_password", "input": {"password": "s3cret"}, "connection": "ssh-1"});
    let made = api.post(&path("command/"), &body).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let told = device.command().await;
    assert_eq!(told["input"], json!({"password": "s3cret"}));
    let data = made.json.clone();
    assert_eq!(
        data,
        json!({"id": told["command_id"], "device": DEVICE, "connection": "ssh-1", "type": "Change password",
            "input": {"password": "********"}, "output": "", "status": "in-progress",
            "created": data["created"], "modified": data["created"]})
    );
    assert!(
        data["created"]
            .as_str()
            .is_some_and(|time| time.ends_with('Z') && time.len() == 24)
    );
    let done =
        json!({"kind": "command", "command_id": told["command_id"], "status": "success", "output": "ok"});
    device.send(&done).await;
    let last = socket
        .first("its end", |frame| frame["data"]["status"] == "success")
        .await;
    assert_eq!(
        (&last["data"]["output"], &last["data"]["input"]),
        (&json!("ok"), &json!({"password": "********"}))
    );
    let form = api.request(Method::POST, &path("command/"));
    let form = form
        .header("content-type", "application/x-www-form-urlencoded")
        .body("type=custom&input=%7B%22command%22%3A%22uptime%22%7D");
    let made = api.send(form).await;
    assert_eq!(
        (made.status.as_u16(), &made.json["type"]),
        (201, &json!("Custom Command")),
        "{}",
        made.text
    );
    assert_eq!(made.json["input"], json!({"command": "uptime"}));
    assert_eq!(made.json["connection"], Value::Null);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_are_listed_newest_first_a_page_at_a_time() {
    let world = World::start().await;
    place(&world, DEVICE, LOCATION).await;
    let api = superuser(&world).await;
    let mut ids = Vec::new();
    for n in 0..5 {
        let made = api
            .post(
                &path("command/"),
                &json!({"type": format!("job-{n}"), "input": null}),
            )
            .await;
        ids.insert(0, made.json["id"].as_str().expect("an id").to_owned());
    }
    let ended = json!({"device": DEVICE, "kind": "command", "command_id": ids[2], "type": "job-2",
        "status": "failed", "output": "no"});
    world.admin.send_events(&[ended]).await;
    let found = |page: &Value| {
        let results = page["results"].as_array().expect("results").iter();
        results
            .map(|command| command["id"].as_str().expect("an id").to_owned())
            .collect::<Vec<_>>()
    };
    let all = api.get(&path("command/")).await.json;
    assert_eq!((found(&all), &all["count"]), (ids.clone(), &json!(5)));
    assert_eq!((&all["next"], &all["previous"]), (&Value::Null, &Value::Null));
    assert_eq!(
        (&all["results"][2]["status"], &all["results"][2]["output"]),
        (&json!("failed"), &json!("no"))
    );
    let (mut seen, mut next) = (
        Vec::new(),
        format!("{}{}", api.base, path("command/?page_size=2")),
    );
    loop {
        let tail = next.strip_prefix(&api.base).expect("our own address").to_owned();
        let page = api.get(&tail).await.json;
        seen.extend(found(&page));
        match page["next"].as_str() {
            Some(address) => address.clone_into(&mut next),
            None => break,
        }
    }
    assert_eq!(seen, ids);
    let one = api.get(&path(&format!("command/{}/", ids[2]))).await;
    assert_eq!((one.status.as_u16(), &one.json), (200, &all["results"][2]));
    for tail in ["command/nothing/", "command/?page=7"] {
        let answer = api.get(&path(tail)).await;
        assert_eq!(answer.status, 404, "{}", answer.text);
        assert!(answer.json["detail"].is_string());
    }
    for body in [json!({}), json!({"type": ""}), json!({"type": 1}), json!([1])] {
        let answer = api.post(&path("command/"), &body).await;
        assert_eq!(answer.status, 400, "{body}");
        assert!(answer.json["detail"].is_string());
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_are_for_staff_that_manages_the_device() {
    let world = World::start().await;
    place(&world, DEVICE, LOCATION).await;
    let reader = staff(&world, &["config.view_device"], &["acme"]).await;
    let foreign = staff(&world, &["config.change_device"], &["globex"]).await;
    let plain = world.client(json!({"role": "admin"})).await;
    let nobody = plain.with_token("");
    let command = json!({"type": "reboot"});
    for (api, get, post) in [
        (&reader, 200, 403),
        (&foreign, 404, 404),
        (&plain, 403, 403),
        (&nobody, 401, 401),
    ] {
        assert_eq!(api.get(&path("command/")).await.status.as_u16(), get);
        let answer = api.post(&path("command"), &command).await;
        assert_eq!(answer.status.as_u16(), post, "{}", answer.text);
        assert!(answer.json["detail"].is_string());
    }
    world.end().await;
}
