//! What a cursor meets that only Kafka does to it: trimmed partitions, recreated topics.

use journal::Topic;
use node::config::Config;
use node::storage::{self, OpenError, Opened};
use prometheus::Registry;
use serde_json::{Value, json};
use tests::api::{Api, reading};
use tests::nodes::Running;
use tests::stream::{Carrier, Frame, Streaming};
use tests::wait;

use crate::cluster::tool;
use crate::in_process::InProcess;

const QUERY: &str = "tenant=acme&kind=telemetry";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cursor_behind_deleted_records_is_told_and_goes_on_with_what_is_kept() {
    let Some(InProcess {
        servers,
        config,
        node,
        ..
    }) = InProcess::start().await
    else {
        return;
    };
    let api = &node.api;
    send(api, 1..=3).await;
    let early = read(api, Carrier::Sse, &format!("{QUERY}&since=earliest"), None, 1).await;
    delete_records(&config, &servers.kafka).await;
    // Told while it is known only to the broker that they are gone, and once something came after.
    send(api, 4..=5).await;
    for carrier in [Carrier::Sse, Carrier::WebSocket] {
        let mut stream = Streaming::open(api, carrier, QUERY, early.as_deref())
            .await
            .expect("a stream");
        let reset = first(&mut stream).await;
        assert_eq!(reset.kind, "reset", "{reset:?}");
        assert_eq!(reset.data["reason"], "trimmed", "{reset:?}");
        let (requested, available) = (&reset.data["requested"], &reset.data["available"]);
        assert!(requested.is_object() && available.is_object(), "{reset:?}");
        let partition = requested
            .as_object()
            .and_then(|times| times.keys().next())
            .expect("a partition");
        assert!(
            requested[partition].as_str() < available[partition].as_str(),
            "{reset:?}"
        );
        assert_eq!(numbers(&mut stream, 2).await, [4, 5]);
        // The reset's own cursor is one to go on from.
        let cursor = reset.cursor.expect("a cursor");
        let mut again = Streaming::open(api, carrier, QUERY, Some(&cursor))
            .await
            .expect("a stream");
        assert_eq!(numbers(&mut again, 2).await, [4, 5]);
    }
    node.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recreated_topics_are_refused_until_a_new_epoch_that_clients_are_told_of() {
    let Some(InProcess {
        servers,
        config,
        node,
        ..
    }) = InProcess::start().await
    else {
        return;
    };
    send(&node.api, 1..=3).await;
    folded(&node.api, 3).await;
    let old = read(
        &node.api,
        Carrier::Sse,
        &format!("{QUERY}&since=earliest"),
        None,
        3,
    )
    .await;
    let of_devices = format!("{QUERY}&view=devices&snapshot=true").replace("&kind=telemetry", "");
    let old_of_devices = read(&node.api, Carrier::Sse, &of_devices, None, 1).await;
    node.drain().await;

    delete_topics(&config, &servers.kafka).await;
    assert!(
        matches!(open(&config).await.err(), Some(OpenError::Layout(text)) if text.contains("--new-epoch"))
    );
    assert!(
        matches!(migrate(&config, false).await.err(), Some(OpenError::Layout(text)) if text.contains("--new-epoch"))
    );
    migrate(&config, true).await.expect("a new epoch");

    let node = Running::start(&config, open(&config).await.expect("opened")).await;
    assert_eq!(
        node.api.get("/v1/devices/d?tenant=acme").await.status,
        404,
        "state of the old topics"
    );
    send(&node.api, 11..=12).await;
    folded(&node.api, 12).await;
    let mut stream = Streaming::open(&node.api, Carrier::Sse, QUERY, old.as_deref())
        .await
        .expect("a stream");
    let reset = of_another_epoch(&mut stream).await;
    assert_eq!(reset.data["duplicates"], json!(true), "{reset:?}");
    assert_eq!(numbers(&mut stream, 2).await, [11, 12]);
    let mut stream = Streaming::open(
        &node.api,
        Carrier::WebSocket,
        &of_devices,
        old_of_devices.as_deref(),
    )
    .await
    .expect("a stream");
    of_another_epoch(&mut stream).await;
    wait::within("the device as it is now", async {
        while stream.data().await.data["device"]["fields"]["n"] != json!(12) {}
    })
    .await;
    node.drain().await;
}

async fn open(config: &Config) -> Result<Opened, OpenError> {
    storage::open(config, &node::system_clock(), &Registry::new()).await
}

async fn migrate(config: &Config, new_epoch: bool) -> Result<(), OpenError> {
    storage::migrate(config, &node::system_clock(), &Registry::new(), new_epoch)
        .await
        .map(drop)
}

async fn send(api: &Api, numbers: std::ops::RangeInclusive<u64>) {
    for n in numbers {
        api.send_events_of("acme", &[reading("d", n)]).await;
    }
}

async fn folded(api: &Api, n: u64) {
    wait::until("the event is folded", || async {
        (api.get("/v1/devices/d?tenant=acme").await.json["fields"]["n"] == json!(n)).then_some(())
    })
    .await;
}

/// The cursor after so many data frames.
async fn read(
    api: &Api,
    carrier: Carrier,
    query: &str,
    cursor: Option<&str>,
    frames: usize,
) -> Option<String> {
    let mut stream = Streaming::open(api, carrier, query, cursor)
        .await
        .expect("a stream");
    let mut cursor = None;
    for _ in 0..frames {
        cursor = stream.data().await.cursor;
    }
    assert!(cursor.is_some(), "a data frame without a cursor");
    cursor
}

/// The first frame that says anything: what comes before is only the greeting.
async fn first(stream: &mut Streaming) -> Frame {
    loop {
        let frame = wait::within("the first frame", stream.next())
            .await
            .expect("the stream goes on");
        if frame.kind != "hello" {
            return frame;
        }
    }
}

/// The reset that says that the log is another one.
async fn of_another_epoch(stream: &mut Streaming) -> Frame {
    let reset = first(stream).await;
    let told = (reset.kind.as_str(), &reset.data["reason"]);
    assert_eq!(told, ("reset", &json!("epoch")), "{reset:?}");
    reset
}

async fn numbers(stream: &mut Streaming, count: usize) -> Vec<u64> {
    let mut numbers = Vec::new();
    while numbers.len() < count {
        numbers.push(
            stream.data().await.data["fields"]["n"]
                .as_u64()
                .expect("a number"),
        );
    }
    numbers
}

async fn delete_topics(config: &Config, kafka: &str) {
    for topic in Topic::ALL {
        let name = format!("{}{}", config.kafka_settings.namespace, topic.name());
        tool(
            "TopicCommand",
            &["--bootstrap-server", kafka, "--delete", "--topic", &name],
        )
        .await;
    }
}

/// Deletes every record of events there is, as retention would.
async fn delete_records(config: &Config, kafka: &str) {
    let topic = format!("{}wakeline.events", config.kafka_settings.namespace);
    let partitions: Vec<Value> = (0..config.partitions)
        .map(|partition| json!({"topic": topic, "partition": partition, "offset": -1}))
        .collect();
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(
        file.path(),
        json!({"version": 1, "partitions": partitions}).to_string(),
    )
    .expect("written");
    let path = file.path().to_str().expect("a path");
    let said = tool(
        "DeleteRecordsCommand",
        &["--bootstrap-server", kafka, "--offset-json-file", path],
    )
    .await;
    assert!(said.contains("low_watermark"), "{said}");
}
