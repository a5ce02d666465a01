//! A log that does not take what it is given.

use journal::{AppendError, Topic};
use serde_json::{Value, json};

use crate::support::World;

fn event(device: &str, seq: i64) -> Value {
    json!({"device": device, "kind": "telemetry", "seq": seq})
}

#[tokio::test]
async fn a_log_that_takes_nothing_is_a_503_with_retry_after() {
    let world = World::new().await;
    let token = world.ingest_token().await;
    for error in [AppendError::Full, AppendError::Unknown] {
        let told = error.clone();
        world.script(move |record| (record.topic == Topic::Events).then(|| told.clone()));
        let answer = world.post(&token, event("d", 1).to_string()).await;
        assert_eq!(
            (answer.status, &answer.body["accepted"]),
            (503, &json!(0)),
            "{error}"
        );
        assert_eq!(answer.body["rejected"][0]["retry"], true);
        assert!(answer.headers.contains_key("retry-after"));
    }
    world.close().await;
}

#[tokio::test]
async fn what_follows_an_unknown_outcome_on_a_device_is_to_be_sent_again() {
    let world = World::new().await;
    let token = world.ingest_token().await;
    // As the port promises: nothing of a key succeeds behind a hole.
    world.script(|record| {
        let event = schemas::Event::decode(record.value.as_ref()?).ok()?;
        (&*event.device == "a" && event.seq >= Some(2)).then_some(AppendError::Unknown)
    });
    let events = json!([event("a", 1), event("a", 2), event("b", 1), event("a", 3)]);
    let answer = world.post(&token, events.to_string()).await;
    assert_eq!((answer.status, &answer.body["accepted"]), (207, &json!(2)));
    let rejected = answer.body["rejected"].as_array().unwrap();
    let of = |index: usize| {
        (
            rejected[index]["index"].as_u64(),
            rejected[index]["retry"].as_bool(),
        )
    };
    assert_eq!([of(0), of(1)], [(Some(1), Some(true)), (Some(3), Some(true))]);
    assert!(answer.headers.contains_key("retry-after"));
    world.close().await;
}

#[tokio::test]
async fn what_the_log_refuses_for_good_is_not_to_be_sent_again() {
    let world = World::new().await;
    let token = world.ingest_token().await;
    world.script(|record| {
        (record.topic == Topic::Events).then(|| AppendError::Refused {
            reason: "too large".to_owned(),
        })
    });
    let answer = world.post(&token, event("d", 1).to_string()).await;
    assert_eq!(answer.status, 400);
    assert!(answer.body["rejected"][0].get("retry").is_none());
    world.close().await;
}

#[tokio::test]
async fn a_tenant_that_cannot_be_made_yet_is_a_503() {
    let world = World::new().await;
    world.script(|record| (record.topic == Topic::Control).then_some(AppendError::Unknown));
    let path = "/v1/events?tenant=fresh";
    let body = event("d", 1).to_string();
    let answer = world.send("POST", path, crate::support::SYSTEM, &[], body).await;
    assert_eq!(
        (answer.status, &answer.body["rejected"][0]["retry"]),
        (503, &json!(true))
    );
    world.close().await;
}
