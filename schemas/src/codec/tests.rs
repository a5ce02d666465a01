use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value;
use proptest::prelude::*;

use crate::registry::{self, Subject};
use crate::wire;
use crate::{Body, Change, Control, Document, Event, Fields, Rejected, Scalar, strategies};

mod foreign;
mod versions;

fn telemetry() -> Event {
    let fields = [
        ("engine.rpm", Scalar::Integer(2_150)),
        ("engine.temperature", Scalar::Number(88.5)),
        ("gone", Scalar::Null),
        ("doors", Scalar::Json("[true,false]".into())),
        ("moving", Scalar::Boolean(true)),
        ("route", Scalar::String("14".into())),
    ];
    Event {
        id: "0190a5c2-7d1f-7000-8000-000000000001".into(),
        tenant: "acme".into(),
        device: "bus-14".into(),
        occurred_at: 1_720_000_000_123_456,
        received_at: 1_720_000_000_223_456,
        claimed_at: None,
        seq: Some(7),
        body: Body::Telemetry(crate::event::Telemetry {
            fields: Fields(
                fields
                    .into_iter()
                    .map(|(path, value)| (path.into(), value))
                    .collect(),
            ),
        }),
    }
}

/// What apache-avro itself reads from a frame: an independent implementation of the format.
fn by_apache(subject: Subject, frame: &[u8]) -> Value {
    let (id, mut body) = wire::split(frame).unwrap();
    let registered = registry::by_id(id).unwrap();
    assert_eq!(registered.subject, subject);
    let schema = apache_avro::Schema::parse_str(registered.schema_text).unwrap();
    let value = read_by_apache(&schema, &mut body);
    assert!(body.is_empty());
    value
}

fn read_by_apache(schema: &apache_avro::Schema, body: &mut &[u8]) -> Value {
    let reader = GenericDatumReader::builder(schema).build().unwrap();
    reader.read_value(body).unwrap()
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "Avro has some thirty kinds of value; two matter"
)]
fn member(value: &Value, path: &[&str]) -> Value {
    path.iter().fold(value.clone(), |value, name| {
        let members = match value {
            Value::Record(members) => members,
            Value::Map(members) => members.into_iter().collect(),
            other => panic!("{name} of {other:?}"),
        };
        let found = members.into_iter().find(|(member, _)| member == name).unwrap().1;
        if let Value::Union(_, inner) = found {
            *inner
        } else {
            found
        }
    })
}

proptest! {
    #[test]
    fn an_event_survives_the_log(event in strategies::event()) {
        let frame = event.encode();
        let read = Event::decode(&frame).unwrap();
        prop_assert_eq!(&read, &event);
        prop_assert_eq!(read.encode(), frame);
    }

    #[test]
    fn a_change_survives_the_log(change in strategies::change()) {
        prop_assert_eq!(Change::decode(&change.encode()).unwrap(), change);
    }

    #[test]
    fn a_document_survives_a_row(document in strategies::document()) {
        prop_assert_eq!(Document::decode(&document.encode()).unwrap(), document);
    }

    #[test]
    fn a_control_record_survives_the_log(control in strategies::control()) {
        prop_assert_eq!(Control::decode(&control.encode()).unwrap(), control);
    }

    #[test]
    fn a_rejection_survives_the_log(rejected in strategies::rejected()) {
        prop_assert_eq!(Rejected::decode(&rejected.encode()).unwrap(), rejected);
    }

    #[test]
    fn apache_avro_reads_every_event(event in strategies::event()) {
        let value = by_apache(Subject::Events, &event.encode());
        prop_assert_eq!(member(&value, &["kind"]), Value::String(event.body.kind().name().to_owned()));
        prop_assert_eq!(member(&value, &["occurred_at"]), Value::TimestampMicros(event.occurred_at));
    }

    #[test]
    fn apache_avro_reads_every_change(change in strategies::change()) {
        let value = by_apache(Subject::State, &change.encode());
        prop_assert_eq!(member(&value, &["document", "id"]), Value::String(change.document.id.to_string()));
    }

    #[test]
    fn the_json_of_a_frame_is_that_of_its_event(event in strategies::event()) {
        let (mut by_event, mut by_frame) = (Vec::new(), Vec::new());
        crate::json::write_event(&event, &mut by_event);
        super::write_event_frame(&event.encode(), &mut by_frame).unwrap();
        prop_assert_eq!(String::from_utf8(by_frame).unwrap(), String::from_utf8(by_event).unwrap());
    }

    #[test]
    fn apache_avro_reads_every_control_record(control in strategies::control()) {
        let value = by_apache(Subject::Control, &control.encode());
        let (Value::String(kind), Value::String(id)) = (member(&value, &["kind"]), member(&value, &["id"])) else {
            panic!("{value:?}");
        };
        prop_assert_eq!(format!("{kind}/{id}"), control.key());
    }

    #[test]
    fn cut_or_changed_bytes_are_an_error_or_another_value_but_never_a_crash(
        change in strategies::change(),
        cut in any::<prop::sample::Index>(),
        flip in any::<prop::sample::Index>(),
        bits in 1_u8..,
    ) {
        let frame = change.encode();
        prop_assert!(Change::decode(&frame[..cut.index(frame.len())]).is_err());
        let mut other = frame.to_vec();
        let at = flip.index(other.len());
        other[at] ^= bits;
        if let Ok(read) = Change::decode(&other) {
            prop_assert!(at >= wire::HEADER_BYTES);
            prop_assert_eq!(Change::decode(&read.encode()).unwrap(), read);
        }
    }
}

#[test]
fn fields_are_typed_maps_for_other_readers() {
    let value = by_apache(Subject::Events, &telemetry().encode());
    let of = |path: &[&str]| member(&value, &[&["body", "telemetry", "fields"][..], path].concat());
    assert_eq!(of(&["integers", "engine.rpm"]), Value::Long(2_150));
    assert_eq!(of(&["numbers", "engine.temperature"]), Value::Double(88.5));
    assert_eq!(of(&["booleans", "moving"]), Value::Boolean(true));
    assert_eq!(of(&["strings", "route"]), Value::String("14".into()));
    assert_eq!(of(&["json", "doors"]), Value::String("[true,false]".into()));
    assert_eq!(of(&["removed"]), Value::Array(vec![Value::String("gone".into())]));
    assert_eq!(member(&value, &["body", "lock"]), Value::Null);
}
