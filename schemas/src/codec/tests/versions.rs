//! Schemas that have less or more than the newest: what versions before and after it may look like.

use apache_avro::types::Value as Avro;
use apache_avro::writer::datum::GenericDatumWriter;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::codec::change::ChangeRecord;
use crate::codec::event::EventRecord;
use crate::codec::{DecodeError, Versions};
use crate::registry::{self, Subject};
use crate::{Body, Change, Document, Event, wire};

const ID: u32 = 1;

fn newest(subject: Subject) -> Value {
    serde_json::from_str(registry::latest(subject).unwrap().schema_text).unwrap()
}

/// Takes every member that has a default out of every record.
fn strip(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            if let Some(members) = object.get_mut("fields").and_then(Value::as_array_mut) {
                members.retain(|member| member.get("default").is_none());
            }
            object.values_mut().for_each(strip);
        }
        Value::Array(items) => items.iter_mut().for_each(strip),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn write(schema: &Value, value: Avro) -> (Versions, Vec<u8>) {
    let text = schema.to_string();
    let mut frame = wire::start(ID, 0);
    let parsed = apache_avro::Schema::parse_str(&text).unwrap();
    GenericDatumWriter::builder(&parsed)
        .build()
        .unwrap()
        .write_value(&mut frame, value)
        .unwrap();
    (
        Versions {
            subject: Subject::Events,
            parsed: vec![(ID, text.parse().unwrap())],
        },
        frame,
    )
}

fn record(members: &[(&str, Avro)]) -> Avro {
    Avro::Record(
        members
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect(),
    )
}

fn text(text: &str) -> Avro {
    Avro::String(text.to_owned())
}

fn read<'de, Record, Noun>(versions: &Versions, frame: &'de [u8]) -> Noun
where
    Record: Deserialize<'de> + TryInto<Noun, Error = DecodeError>,
{
    versions.decode::<Record>(frame).unwrap().try_into().unwrap()
}

fn least_event() -> [(&'static str, Avro); 7] {
    [
        ("id", text("e")),
        ("tenant", text("acme")),
        ("device", text("d")),
        ("occurred_at", Avro::TimestampMicros(1)),
        ("received_at", Avro::TimestampMicros(2)),
        ("kind", text("deleted")),
        ("body", record(&[])),
    ]
}

fn deleted() -> Event {
    Event {
        id: "e".into(),
        tenant: "acme".into(),
        device: "d".into(),
        occurred_at: 1,
        received_at: 2,
        claimed_at: None,
        seq: None,
        body: Body::Deleted,
    }
}

#[test]
fn an_event_without_any_member_that_has_a_default_is_read() {
    let mut schema = newest(Subject::Events);
    strip(&mut schema);
    let (versions, frame) = write(&schema, record(&least_event()));
    assert_eq!(read::<EventRecord<'_>, Event>(&versions, &frame), deleted());
}

#[test]
fn an_event_with_a_member_of_a_later_version_is_read() {
    let mut schema = newest(Subject::Events);
    strip(&mut schema);
    let later = json!({"name": "site", "type": {"type": "map", "values": "string"}, "default": {}});
    schema["fields"].as_array_mut().unwrap().insert(3, later);
    let mut members = least_event().to_vec();
    let site = Avro::Map([("a".to_owned(), text("b"))].into());
    members.insert(3, ("site", site));
    let (versions, frame) = write(&schema, record(&members));
    assert_eq!(read::<EventRecord<'_>, Event>(&versions, &frame), deleted());
}

#[test]
fn a_change_without_any_member_that_has_a_default_is_read() {
    let mut schema = newest(Subject::State);
    strip(&mut schema);
    let document = record(&[
        ("tenant", text("acme")),
        ("id", text("d")),
        ("created_at", Avro::TimestampMicros(1)),
        ("updated_at", Avro::TimestampMicros(2)),
        ("version", Avro::Long(3)),
    ]);
    let (versions, frame) = write(&schema, record(&[("document", document)]));
    let document = Document {
        tenant: "acme".into(),
        id: "d".into(),
        created_at: 1,
        updated_at: 2,
        version: 3,
        ..Document::default()
    };
    let change = Change {
        document,
        changed: Vec::new(),
        before: "{}".into(),
        event_id: "".into(),
        updated_before: None,
        last_seen_before: None,
    };
    assert_eq!(read::<ChangeRecord<'_>, Change>(&versions, &frame), change);
}
