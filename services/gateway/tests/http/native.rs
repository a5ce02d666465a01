//! `/v1/devices…`, `/v1/summary` and the read side of the schema registry.

use journal::{Cursor, Topic};
use serde_json::json;
use state::{Applied, HistoryRow};

use crate::harness::{Gateway, Options, SYSTEM, within};

async fn gateway() -> Gateway {
    let gateway = Gateway::start(Options::default()).await;
    gateway.put("acme", "bus").await;
    gateway.put("acme", "site/gate 7").await;
    gateway.put("other", "tram").await;
    gateway
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_is_read_by_path_and_by_query() {
    let gateway = gateway().await;
    let answer = gateway.get("/v1/devices/bus?tenant=acme").await;
    assert_eq!((answer.status, &answer.json()["id"]), (200, &json!("bus")));
    for target in [
        "/v1/devices/site%2Fgate%207?tenant=acme",
        "/v1/devices?id=site/gate+7&tenant=acme",
    ] {
        assert_eq!(gateway.get(target).await.json()["id"], "site/gate 7", "{target}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_foreign_looks_like_what_does_not_exist() {
    let gateway = gateway().await;
    let user = gateway
        .token(json!({"role": "user", "tenant": "acme", "devices": ["bus", "new"]}))
        .await;
    let missing = gateway.get_as(&user, "/v1/devices/new").await;
    assert_eq!(missing.status, 404);
    for target in [
        "/v1/devices/tram",
        "/v1/devices/site%2Fgate%207",
        "/v1/devices/tram/events",
    ] {
        let answer = gateway.get_as(&user, target).await;
        assert_eq!((answer.status, &answer.body), (404, &missing.body), "{target}");
    }
    assert_eq!(gateway.get_as(&user, "/v1/devices/bus").await.status, 200);
    assert_eq!(
        gateway.get_as(&user, "/v1/devices?tenant=other").await.status,
        403
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn devices_are_listed_page_by_page() {
    let gateway = gateway().await;
    let user = gateway
        .token(json!({"role": "user", "tenant": "acme", "devices": ["bus", "no", "site/gate 7"]}))
        .await;
    let admin = gateway.token(json!({"role": "admin", "tenant": "acme"})).await;
    for token in [user, admin] {
        let mut seen = Vec::new();
        let mut page = String::new();
        loop {
            let answer = gateway
                .get_as(&token, &format!("/v1/devices?limit=1{page}"))
                .await
                .json();
            let devices = answer["devices"].as_array().unwrap();
            seen.extend(
                devices
                    .iter()
                    .map(|device| device["id"].as_str().unwrap().to_owned()),
            );
            match answer["next"].as_str() {
                Some(next) => page = format!("&page={next}"),
                None => break,
            }
        }
        seen.sort_unstable();
        assert_eq!(seen, ["bus", "site/gate 7"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mistakes_in_a_query_are_named() {
    let gateway = gateway().await;
    for (target, name) in [
        ("/v1/devices?tenant=acme&q=%40a", "q: column 1"),
        ("/v1/devices?tenant=acme&limit=0", "limit"),
        ("/v1/devices?tenant=acme&limits=1", "limits"),
        ("/v1/devices?tenant=acme&page=~", "page"),
        ("/v1/devices/bus?tenant=acme&min_cursor=x", "min_cursor"),
        ("/v1/devices/bus?tenant=acme&wait=1s", "wait"),
        ("/v1/devices/bus/events?tenant=acme&from=yesterday", "from"),
        ("/v1/devices/bus/events?tenant=acme&kind=none", "kind"),
        ("/v1/devices", "tenant"),
    ] {
        let answer = gateway.get(target).await;
        assert_eq!(answer.status, 400, "{target}: {answer:?}");
        assert!(
            answer.json()["detail"].as_str().unwrap().contains(name),
            "{target}: {answer:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_waits_for_the_write_that_it_names() {
    let gateway = gateway().await;
    let partition = gateway.append("bus", r#"{"kind":"telemetry"}"#).await.partition;
    let written = Cursor {
        epoch: gateway.journal.epoch,
        time_ms: 0,
        topic: Topic::Events,
        positions: vec![(partition, 5)],
        snapshot: None,
    };
    let late = gateway
        .get(&format!(
            "/v1/devices/bus?tenant=acme&min_cursor={written}&wait=0.05"
        ))
        .await;
    assert_eq!(late.status, 504);
    let target = format!("/v1/devices/bus?tenant=acme&min_cursor={written}");
    let apply = async {
        let applied = Applied {
            source: 5,
            ..Applied::default()
        };
        gateway
            .store
            .progress
            .set_applied(partition, &applied)
            .await
            .unwrap();
    };
    let (answer, ()) = within("the read", async { tokio::join!(gateway.get(&target), apply) }).await;
    assert_eq!(answer.status, 200);
    let foreign = Cursor {
        epoch: journal::Epoch(1),
        ..written
    };
    assert_eq!(
        gateway
            .get(&format!("/v1/devices/bus?tenant=acme&min_cursor={foreign}"))
            .await
            .status,
        400
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn history_is_newest_first() {
    let gateway = gateway().await;
    let mut rows = Vec::new();
    for number in 0..3 {
        let body = format!(r#"{{"kind":"log","level":"info","message":"{number}"}}"#);
        let position = gateway.append("bus", &body).await;
        let block = gateway
            .journal
            .reader
            .read(Topic::Events, position.partition, position.offset, 1)
            .await
            .unwrap();
        let event = schemas::Event::decode(block.records[0].value.as_ref().unwrap()).unwrap();
        rows.push(HistoryRow {
            partition: position.partition,
            offset: position.offset,
            late: false,
            event: event.into(),
        });
    }
    gateway.store.history.append(rows).await.unwrap();
    let first = gateway
        .get("/v1/devices/bus/events?tenant=acme&kind=log&limit=2")
        .await
        .json();
    let messages = |page: &serde_json::Value| {
        let events = page["events"].as_array().unwrap().iter();
        events
            .map(|event| event["message"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(messages(&first), ["2", "1"]);
    let next = first["next"].as_str().unwrap();
    let second = gateway
        .get(&format!(
            "/v1/devices/bus/events?tenant=acme&kind=log&limit=2&page={next}"
        ))
        .await
        .json();
    assert_eq!(messages(&second), ["0"]);
    assert!(second["next"].is_null());
    let none = gateway.get("/v1/devices/bus/events?tenant=acme&kind=lock").await;
    assert_eq!(
        (none.status, none.body.as_str()),
        (200, r#"{"events":[],"next":null}"#)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deletion_is_an_event() {
    let gateway = gateway().await;
    let user = gateway.token(json!({"role": "user", "tenant": "acme"})).await;
    let delete = |token: &str, id: &str| {
        format!(
            "DELETE /v1/devices/{id} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
        )
    };
    assert_eq!(gateway.send(&delete(&user, "bus")).await.status, 403);
    let admin = gateway.token(json!({"role": "admin", "tenant": "acme"})).await;
    let answer = gateway.send(&delete(&admin, "bus")).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    let cursor: Cursor = answer.json()["cursor"].as_str().unwrap().parse().unwrap();
    let (partition, next) = cursor.positions[0];
    let block = gateway
        .journal
        .reader
        .read(Topic::Events, partition, next - 1, 1)
        .await
        .unwrap();
    assert_eq!(&*block.records[0].headers.kind, "deleted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_summary_adds_up_the_partitions() {
    let gateway = gateway().await;
    let placement = journal::Placement::new("acme", 2, 4);
    for (number, partition) in placement.partitions().iter().enumerate() {
        let counts = state::Counts {
            devices: 2,
            online: 1 + number as u64,
            alerts_open: 1,
            ..Default::default()
        };
        let applied = Applied {
            source: 1,
            state: 1,
            counts: [("acme".into(), counts)].into(),
        };
        gateway
            .store
            .progress
            .set_applied(*partition, &applied)
            .await
            .unwrap();
    }
    let summary = gateway.get("/v1/summary?tenant=acme").await.json();
    assert_eq!((&summary["ONLINE"], &summary["total"]), (&json!(3), &json!(4)));
    assert_eq!(summary["alerts"]["OPEN"], 2);
    let user = gateway
        .token(json!({"role": "user", "tenant": "acme", "devices": ["bus"]}))
        .await;
    assert_eq!(gateway.get_as(&user, "/v1/summary").await.json()["total"], 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn schemas_need_no_credential() {
    let gateway = gateway().await;
    let answer = gateway
        .send("GET /subjects HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .await;
    assert_eq!(answer.status, 200);
    assert!(
        answer.head.contains("application/vnd.schemaregistry.v1+json"),
        "{answer:?}"
    );
    let answer = gateway
        .send("GET /subjects/no/versions HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .await;
    assert_eq!(
        (answer.status, answer.json()["error_code"].clone()),
        (404, json!(40_401))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_ends_where_it_is_long_and_goes_on_behind_that() {
    let gateway = Gateway::start(Options {
        native: gateway::NativeSettings {
            page_items: 2,
            list_bytes_max: 1,
            ..gateway::NativeSettings::default()
        },
        ..Options::default()
    })
    .await;
    for device in ["a", "b", "c", "d", "e"] {
        gateway.put("acme", device).await;
    }
    let limited = gateway
        .token(json!({"role": "user", "tenant": "acme", "devices": ["a", "b", "c", "d", "e"]}))
        .await;
    for (token, longest) in [(SYSTEM, 2), (&*limited, 1)] {
        let (mut found, mut page) = (Vec::new(), String::new());
        loop {
            let target = format!("/v1/devices?tenant=acme&limit=5{page}");
            let answer = gateway.get_as(token, &target).await.json();
            let devices = answer["devices"].as_array().unwrap();
            assert!((1..=longest).contains(&devices.len()), "{answer}");
            found.extend(
                devices
                    .iter()
                    .map(|device| device["id"].as_str().unwrap().to_owned()),
            );
            match answer["next"].as_str() {
                Some(next) => page = format!("&page={next}"),
                None => break,
            }
        }
        found.sort_unstable();
        assert_eq!(found, ["a", "b", "c", "d", "e"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_settle_no_alert_does_not_learn_which_there_are() {
    let gateway = gateway().await;
    let ingest = gateway.token(json!({"role": "ingest", "tenant": "acme"})).await;
    let reader = gateway.token(json!({"role": "user", "tenant": "acme"})).await;
    let settle = |token: &str| {
        format!(
            "POST /v1/alerts/nothing/close HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\
             Content-Length: 0\r\nConnection: close\r\n\r\n"
        )
    };
    for token in [&ingest, &reader] {
        assert_eq!(gateway.send(&settle(token)).await.status, 403);
    }
    let admin = gateway.token(json!({"role": "admin", "tenant": "acme"})).await;
    assert_eq!(gateway.send(&settle(&admin)).await.status, 404);
}
