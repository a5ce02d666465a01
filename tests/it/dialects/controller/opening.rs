//! Who gets the sockets.

use reqwest::Method;
use serde_json::json;
use tests::socket::Socket;
use tests::stream::Ended;
use tests::world::World;

use super::{
    DEVICE, LOCATION, LOCATIONS, at, commands, location, open, place, placed, staff, superuser, try_open,
};

const PAGE: &str = "https://app.example.com";

fn refused() -> Ended {
    let body = json!({"detail": "You do not have permission to perform this action."});
    Ended::Status(403, body.to_string())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_whose_tenant_is_found_out_takes_one_place() {
    let world = World::with(|config| config.gateway.streams_max = 1).await;
    place(&world, DEVICE, LOCATION).await;
    let viewer = staff(&world, &["config.view_device"], &["acme"]).await;
    let socket = open(&viewer, &commands(DEVICE)).await;
    drop(socket);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn superusers_and_staff_with_permission_in_the_organization_get_in_and_others_do_not() {
    let world = World::start().await;
    place(&world, DEVICE, LOCATION).await;
    let root = superuser(&world).await;
    let plain = world.client(json!({"role": "admin"})).await;
    let (devices, places) = (["config.view_device"], ["geo.change_location"]);
    let of_devices = staff(&world, &devices, &["acme"]).await;
    let of_places = staff(&world, &places, &["acme"]).await;
    let elsewhere = staff(&world, &[devices[0], places[0]], &["globex"]).await;
    let nowhere = staff(&world, &[devices[0], places[0]], &[]).await;
    let nobody = root.with_token("nonsense");
    for (name, api, opens) in [
        ("a superuser", &root, [true, true, true]),
        ("an admin without flags", &plain, [false, false, false]),
        ("staff for devices", &of_devices, [true, false, false]),
        ("staff for locations", &of_places, [false, true, true]),
        ("staff of another organization", &elsewhere, [false, false, true]),
        ("staff of none", &nowhere, [false, false, true]),
        ("nobody", &nobody, [false, false, false]),
    ] {
        let paths = [commands(DEVICE), location(LOCATION), LOCATIONS.to_owned()];
        for (path, opens) in paths.iter().zip(opens) {
            for path in [
                path.trim_end_matches('/').to_owned(),
                format!("{}/", path.trim_end_matches('/')),
            ] {
                let found = try_open(api, &path).await.err();
                assert_eq!(found, (!opens).then(refused), "{name} at {path}");
            }
        }
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_unknown_is_refused_and_only_a_superuser_waits_for_a_device() {
    let world = World::start().await;
    let root = superuser(&world).await;
    let somebody = staff(&world, &["config.view_device", "geo.view_location"], &["acme"]).await;
    assert_eq!(
        try_open(&somebody, &commands("later")).await.err(),
        Some(refused())
    );
    assert_eq!(
        try_open(&somebody, &location("later")).await.err(),
        Some(refused())
    );
    assert_eq!(try_open(&root, &location("later")).await.err(), Some(refused()));
    let mut socket = open(&root, &commands("later")).await;
    let step = |status: &str| {
        json!({"device": "later", "kind": "command", "command_id": "c", "type": "reboot",
        "status": status})
    };
    let made = json!({"device": "later", "kind": "log", "message": "hello"});
    world
        .admin
        .send_events(&[made, step("queued"), step("success")])
        .await;
    assert_eq!(socket.next().await["data"]["status"], "success");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_counts_from_an_allowed_page_only() {
    let world = World::with(|config| config.front_door.allowed_origins = vec![PAGE.to_owned()]).await;
    let root = superuser(&world).await;
    let made = root.send(root.request(Method::POST, "/v1/session")).await;
    let set = made.headers["set-cookie"].to_str().expect("text");
    let session = set
        .split_once('=')
        .expect("a cookie")
        .1
        .split(';')
        .next()
        .unwrap_or_default();
    let cookie = format!("sessionid={session}");
    for (origin, opens) in [(PAGE, true), ("https://evil.example", false)] {
        let socket = Socket::open(&root, LOCATIONS, &[("cookie", &cookie), ("origin", origin)]).await;
        assert_eq!(socket.err(), (!opens).then(refused), "{origin}");
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn organizations_gained_and_lost_take_effect_at_once() {
    let world = World::start().await;
    place(&world, DEVICE, LOCATION).await;
    let other = world
        .node
        .api
        .token(&json!({"role": "admin", "tenant": "globex"}))
        .await;
    let other = world.node.api.with_token(&other);
    other
        .send_events(&[placed("ship", json!({"name": "Ship", "geometry": at(1.5, 1.5)}))])
        .await;
    let token = json!({"role": "user", "tenant": "acme", "staff": true, "permissions": ["geo.view_location"],
        "organizations": ["acme"]});
    let made = world.node.api.post("/v1/tokens", &token).await;
    let api = world
        .admin
        .with_token(made.json["token"].as_str().expect("a token"));
    let path = format!("/v1/tokens/{}", made.json["id"].as_str().expect("an id"));
    let mut socket = open(&api, LOCATIONS).await;
    let mut single = open(&api, &location(LOCATION)).await;
    let van = |n: f64| placed(DEVICE, json!({"geometry": at(n, n)}));
    let ship = |n: f64| placed("ship", json!({"geometry": at(n, n)}));
    other.send_events(&[ship(2.5)]).await;
    world.admin.send_events(&[van(2.5)]).await;
    assert_eq!(socket.next().await["name"], "Van", "the other's is behind a wall");
    world
        .node
        .api
        .patch(&path, &json!({"organizations": ["acme", "globex"]}))
        .await;
    // The change holds at once, but its moment is not known here: moves go on until one is seen.
    let mut n = 3.5;
    loop {
        other.send_events(&[ship(n)]).await;
        let frame = tokio::time::timeout(std::time::Duration::from_millis(200), socket.next()).await;
        if frame.is_ok_and(|frame| frame["name"] == "Ship") {
            break;
        }
        n += 1.0;
        assert!(n < 50.0, "the organization was gained");
    }
    world
        .node
        .api
        .patch(&path, &json!({"organizations": ["globex"]}))
        .await;
    assert_eq!(single.ended().await, Ended::Closed(4403));
    let mut n = 50.5;
    loop {
        world.admin.send_events(&[van(n)]).await;
        let mut came = false;
        while let Ok(frame) = tokio::time::timeout(std::time::Duration::from_millis(300), socket.next()).await
        {
            came |= frame["name"] == "Van";
        }
        if !came {
            break;
        }
        n += 1.0;
        assert!(n < 80.0, "the organization was lost");
    }
    other.send_events(&[ship(60.5)]).await;
    assert_eq!(socket.next().await["geometry"], at(60.5, 60.5));
    world.node.api.patch(&path, &json!({"permissions": []})).await;
    assert_eq!(socket.ended().await, Ended::Closed(4403));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_credential_ends_every_socket() {
    let world = World::start().await;
    place(&world, DEVICE, LOCATION).await;
    let made = world
        .node
        .api
        .post("/v1/tokens", &json!({"role": "admin", "superuser": true}))
        .await;
    let api = world
        .admin
        .with_token(made.json["token"].as_str().expect("a token"));
    let mut sockets = Vec::new();
    for path in [commands(DEVICE), location(LOCATION), LOCATIONS.to_owned()] {
        sockets.push(open(&api, &path).await);
    }
    let id = made.json["id"].as_str().expect("an id");
    world.node.api.delete(&format!("/v1/tokens/{id}")).await;
    for mut socket in sockets {
        assert_eq!(socket.ended().await, Ended::Closed(4401));
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn staff_of_several_organizations_takes_the_places_of_its_own() {
    let world = World::with(|config| config.gateway.streams_per_tenant_max = 1).await;
    let staff_of = async |tenant: &str| {
        let token = json!({"role": "user", "tenant": tenant, "staff": true,
            "permissions": ["geo.view_location"], "organizations": ["acme", "globex"]});
        world.node.api.with_token(&world.node.api.token(&token).await)
    };
    let (ours, theirs) = (staff_of("acme").await, staff_of("globex").await);
    let socket = open(&ours, LOCATIONS).await;
    let full = try_open(&ours, LOCATIONS).await.err();
    assert!(matches!(full, Some(Ended::Status(503, _))), "{full:?}");
    let others = open(&theirs, LOCATIONS).await;
    let operators = open(&superuser(&world).await, LOCATIONS).await;
    drop((socket, others, operators));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_location_is_followed_from_its_first_device_on() {
    let world = World::start().await;
    let root = superuser(&world).await;
    for number in 0..10 {
        let (device, yard) = (format!("van-{number}"), format!("yard-{number}"));
        let event = |longitude: f64| {
            placed(
                &device,
                json!({"location_id": yard, "geometry": at(longitude, 41.9)}),
            )
        };
        // Durable, and perhaps in no table yet.
        world.admin.send_events(&[event(12.5)]).await;
        let mut socket = open(&root, &location(&yard)).await;
        world.admin.send_events(&[event(13.5)]).await;
        let moved = socket
            .first("its move", |frame| {
                frame["geometry"]["coordinates"] == json!([13.5, 41.9])
            })
            .await;
        assert_eq!(moved["id"], yard);
    }
    world.end().await;
}
