//! The topics as others see them: Kafka's own consumer, and Avro with the schemas that the node serves.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use journal::{Journal, Placement, Record, Topic};
use node::config::Config;
use serde_json::{Value, json};
use tests::api::Api;
use tests::wait;

use crate::cluster::tool;
use crate::in_process::InProcess;

/// Bytes before the body: the magic byte and the schema's id.
const FRAME: usize = 5;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_are_read_with_any_avro_library_and_lie_where_the_documents_say() {
    let Some(InProcess {
        servers,
        config,
        opened,
        node,
    }) = InProcess::start().await
    else {
        return;
    };
    let (api, journal) = (&node.api, opened.journal);
    for (tenant, device) in [("acme", "bus-14"), ("acme", "depot/gate"), ("umbrella", "bus-14")] {
        let events = [
            json!({"device": device, "kind": "telemetry", "id": format!("{tenant}-{device}-1"), "seq": 7,
             "fields": {"speed": 31, "engine": {"oil": 0.5, "on": true}, "line": "14"}}),
            json!({"device": device, "kind": "lock", "locked": true, "source": "keypad"}),
        ];
        api.send_events_of(tenant, &events).await;
    }
    assert_eq!(api.delete("/v1/devices/bus-14?tenant=umbrella").await.status, 202);
    let state = wait::until("state is folded", || async {
        let records = records(&journal, Topic::State).await;
        let deleted = records.iter().any(|(_, record)| record.value.is_none());
        let online = records
            .iter()
            .filter(|(_, record)| &*record.headers.kind == "presence")
            .count();
        (deleted && online >= 2).then_some(records)
    })
    .await;
    let events = records(&journal, Topic::Events).await;

    events_decode(api, &events).await;
    state_decodes(api, &state, &events).await;
    for (topic, records) in [(Topic::Events, &events), (Topic::State, &state)] {
        check_placement(&config, records);
        check_with_kafkas_consumer(&servers.kafka, &config, topic, records).await;
    }
    node.drain().await;
}

/// Every record of a topic with its partition.
async fn records(journal: &Journal, topic: Topic) -> Vec<(u32, Record)> {
    let mut all = Vec::new();
    for partition in 0..journal.layout.partitions {
        let mut next = 0;
        loop {
            let block = journal
                .reader
                .read(topic, partition, next, 1 << 20)
                .await
                .expect("a block");
            if block.next == next {
                break;
            }
            next = block.next;
            all.extend(block.records.into_iter().map(|record| (partition, record)));
        }
    }
    all
}

async fn events_decode(api: &Api, records: &[(u32, Record)]) {
    let mut schemas = Schemas::default();
    let mut telemetry = 0;
    for (_, record) in records {
        let event = schemas.decode(api, record).await.expect("events have values");
        assert_eq!(event["kind"], json!(&*record.headers.kind));
        let key = format!(
            "{}/{}",
            event["tenant"].as_str().expect("a text"),
            event["device"].as_str().expect("a text")
        );
        assert_eq!(key, &*record.key);
        let received_ms = event["received_at"].as_i64().expect("a time") / 1_000;
        assert_eq!(
            received_ms, record.timestamp_ms,
            "the record's time is that of receipt"
        );
        let set: Vec<&String> = members(&event["body"])
            .filter(|(_, value)| !value.is_null())
            .map(|it| it.0)
            .collect();
        assert_eq!(
            set,
            [&*record.headers.kind],
            "exactly the member that kind names is set"
        );
        if event["kind"] == "telemetry" {
            let fields = &event["body"]["telemetry"]["fields"];
            assert_eq!(fields["integers"], json!({"speed": 31}));
            assert_eq!(fields["numbers"], json!({"engine.oil": 0.5}));
            assert_eq!(fields["booleans"], json!({"engine.on": true}));
            assert_eq!(fields["strings"], json!({"line": "14"}));
            assert_eq!(event["seq"], 7);
            telemetry += 1;
        }
    }
    assert_eq!(telemetry, 3);
}

async fn state_decodes(api: &Api, records: &[(u32, Record)], events: &[(u32, Record)]) {
    let mut schemas = Schemas::default();
    let mut last = BTreeMap::new();
    for (partition, record) in records {
        let source = record.headers.source_offset.expect("a source");
        let from = events
            .iter()
            .find(|(of, event)| of == partition && event.offset == source);
        let (_, event) = from.expect("the source is in the same partition of events");
        assert_eq!(
            (&event.key, event.timestamp_ms),
            (&record.key, record.timestamp_ms)
        );
        assert_eq!(event.headers.kind, record.headers.kind);
        match schemas.decode(api, record).await {
            Some(state) => {
                let (tenant, device) = record.key.split_once('/').expect("a key");
                assert_eq!(
                    (&state["document"]["tenant"], &state["document"]["id"]),
                    (&json!(tenant), &json!(device))
                );
                let changed = state["changed"].as_array().expect("paths");
                assert!(
                    !changed.is_empty(),
                    "an event that changes nothing makes no record"
                );
                let before = state["before"].as_str().expect("JSON text");
                assert!(serde_json::from_str::<Value>(before).expect("JSON").is_object());
                last.insert(record.key.to_string(), state["document"].clone());
            }
            None => drop(last.remove(&*record.key)),
        }
    }
    assert_eq!(
        last.keys().collect::<Vec<_>>(),
        ["acme/bus-14", "acme/depot/gate"],
        "a tombstone ends a device"
    );
}

fn check_placement(config: &Config, records: &[(u32, Record)]) {
    for (partition, record) in records {
        let (tenant, device) = record.key.split_once('/').expect("a key");
        let placed = Placement::new(tenant, config.default_spread, config.partitions).of(device);
        assert_eq!(*partition, placed, "{}", record.key);
    }
}

/// What Kafka's console consumer prints of each record is what our reader says of it.
async fn check_with_kafkas_consumer(kafka: &str, config: &Config, topic: Topic, records: &[(u32, Record)]) {
    let name = format!("{}{}", config.kafka_settings.namespace, topic.name());
    let count = records.len().to_string();
    let mut arguments = vec!["--bootstrap-server", kafka, "--topic", &name, "--from-beginning"];
    arguments.extend([
        "--isolation-level",
        "read_committed",
        "--max-messages",
        &count,
        "--timeout-ms",
        "20000",
    ]);
    for property in ["key", "headers", "partition", "offset", "timestamp"] {
        arguments.extend([
            "--property",
            match property {
                "key" => "print.key=true",
                "headers" => "print.headers=true",
                "partition" => "print.partition=true",
                "offset" => "print.offset=true",
                _ => "print.timestamp=true",
            },
        ]);
    }
    arguments.extend(["--property", "print.value=false"]);
    let printed = tool("org.apache.kafka.tools.consumer.ConsoleConsumer", &arguments).await;
    let mut lines: Vec<String> = printed.lines().map(headers_sorted).collect();
    let mut expected: Vec<String> = records
        .iter()
        .map(|(partition, record)| line(*partition, record))
        .collect();
    lines.sort_unstable();
    expected.sort_unstable();
    assert_eq!(lines, expected);
}

fn line(partition: u32, record: &Record) -> String {
    let mut headers = vec![
        format!("generation:{}", record.headers.generation),
        format!("kind:{}", record.headers.kind),
    ];
    headers.extend(
        record
            .headers
            .source_offset
            .map(|offset| format!("source-offset:{offset}")),
    );
    headers.extend(
        record
            .headers
            .traceparent
            .as_ref()
            .map(|parent| format!("traceparent:{parent}")),
    );
    let (time, offset, headers) = (record.timestamp_ms, record.offset, headers.join(","));
    format!(
        "CreateTime:{time}\tPartition:{partition}\tOffset:{offset}\t{headers}\t{}",
        record.key
    )
}

fn headers_sorted(line: &str) -> String {
    let mut columns: Vec<String> = line.split('\t').map(str::to_owned).collect();
    if let Some(headers) = columns.get_mut(3) {
        let mut list: Vec<&str> = headers.split(',').collect();
        list.sort_unstable();
        *headers = list.join(",");
    }
    columns.join("\t")
}

/// Schemas by id, as the node serves them.
#[derive(Default)]
struct Schemas(HashMap<u32, Schema>);

impl Schemas {
    /// The value as an off-the-shelf deserializer gives it; `None` for a tombstone.
    async fn decode(&mut self, api: &Api, record: &Record) -> Option<Value> {
        let value = record.value.as_ref()?;
        assert_eq!(value[0], 0, "the magic byte");
        let id = u32::from_be_bytes(value[1..FRAME].try_into().expect("four bytes"));
        let schema = match self.0.entry(id) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => {
                let served = api.with_token("").get(&format!("/schemas/ids/{id}")).await;
                let text = served.json["schema"].as_str().expect("a schema");
                new.insert(Schema::parse_str(text).expect("Avro"))
            }
        };
        let reader = GenericDatumReader::builder(schema).build().expect("a reader");
        let decoded = reader.read_value(&mut &value[FRAME..]).expect("decodes");
        Some(Value::try_from(decoded).expect("JSON"))
    }
}

fn members(object: &Value) -> impl Iterator<Item = (&String, &Value)> {
    object.as_object().into_iter().flatten()
}
