//! Frames of others: what they may send, and what is refused.

use apache_avro::types::Value;
use apache_avro::writer::datum::GenericDatumWriter;

use super::{read_by_apache, telemetry};
use crate::codec::DecodeError;
use crate::registry::{self, Subject};
use crate::wire::{self, FrameError};
use crate::{Body, Document, Event, Scalar};

/// Rewrites a frame through apache-avro, with `edit` in between: what a foreign producer might send.
fn foreign(frame: &[u8], edit: impl FnOnce(&mut Value)) -> Vec<u8> {
    let (id, mut body) = wire::split(frame).unwrap();
    let schema = apache_avro::Schema::parse_str(registry::by_id(id).unwrap().schema_text).unwrap();
    let mut value = read_by_apache(&schema, &mut body);
    edit(&mut value);
    let mut other = wire::start(id, 0);
    let writer = GenericDatumWriter::builder(&schema).build().unwrap();
    writer.write_value(&mut other, value).unwrap();
    other
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "Avro has some thirty kinds of value; two matter"
)]
fn set(value: &mut Value, path: &[&str], to: Value) {
    let Some((name, rest)) = path.split_first() else {
        *value = to;
        return;
    };
    match value {
        Value::Record(members) => {
            set(
                &mut members.iter_mut().find(|(member, _)| member == name).unwrap().1,
                rest,
                to,
            );
        }
        Value::Map(members) => {
            let member = members.entry((*name).to_owned()).or_insert(Value::Null);
            set(member, rest, to);
        }
        Value::Union(_, inner) => set(inner, path, to),
        other => panic!("{name} of {other:?}"),
    }
}

#[test]
fn we_read_what_apache_avro_writes() {
    let event = telemetry();
    assert_eq!(Event::decode(&foreign(&event.encode(), |_| {})).unwrap(), event);
}

#[test]
fn a_number_that_is_not_finite_is_refused_on_the_way_in() {
    let path = ["body", "telemetry", "fields", "numbers", "bad"];
    let frame = foreign(&telemetry().encode(), |value| {
        set(value, &path, Value::Double(f64::NAN))
    });
    let refused = Event::decode(&frame).unwrap_err().to_string();
    assert!(refused.contains("bad: NaN is not finite"), "{refused}");
}

#[test]
fn json_text_of_others_comes_out_on_one_line() {
    let path = ["body", "telemetry", "fields", "json", "doors"];
    let pretty = Value::String("[\n  true\n]".into());
    let frame = foreign(&telemetry().encode(), |value| set(value, &path, pretty));
    let Body::Telemetry(read) = Event::decode(&frame).unwrap().body else {
        panic!()
    };
    assert_eq!(read.fields.0["doors"], Scalar::Json("[true]".into()));
}

#[test]
fn text_that_is_no_json_is_refused_where_json_belongs() {
    let path = ["body", "telemetry", "fields", "json", "doors"];
    let frame = foreign(&telemetry().encode(), |value| {
        set(value, &path, Value::String("[oops".into()))
    });
    let refused = Event::decode(&frame).unwrap_err().to_string();
    assert!(refused.contains("doors: not JSON text"), "{refused}");
}

#[test]
fn an_unknown_kind_is_refused_by_name() {
    let frame = foreign(&telemetry().encode(), |value| {
        set(value, &["kind"], Value::String("dance".into()))
    });
    let refused = Event::decode(&frame).unwrap_err();
    assert!(
        matches!(refused, DecodeError::Member { member: "kind", .. }),
        "{refused}"
    );
}

#[test]
fn a_kind_without_its_member_is_refused() {
    let frame = foreign(&telemetry().encode(), |value| {
        set(value, &["kind"], Value::String("lock".into()))
    });
    let refused = Event::decode(&frame).unwrap_err();
    assert!(
        matches!(refused, DecodeError::Member { member: "body", .. }),
        "{refused}"
    );
}

#[test]
fn a_frame_of_another_subject_says_whose_it_is() {
    let frame = Document::default().encode();
    let id = registry::latest(Subject::Device).unwrap().id;
    let found = Subject::Device;
    assert_eq!(
        Event::decode(&frame),
        Err(DecodeError::ForeignSchema {
            subject: Subject::Events,
            id,
            found
        })
    );
}

#[test]
fn an_unknown_schema_and_a_wrong_format_are_told_apart() {
    let subject = Subject::Events;
    assert_eq!(
        Event::decode(&[0, 0, 0, 0, 9, 1]),
        Err(DecodeError::UnknownSchema { subject, id: 9 })
    );
    assert_eq!(
        Event::decode(b"{\"id\":1}"),
        Err(DecodeError::Frame(FrameError::Magic { found: b'{' }))
    );
}

#[test]
fn bytes_after_the_value_are_refused() {
    let mut frame = telemetry().encode().to_vec();
    frame.push(0);
    assert!(matches!(
        Event::decode(&frame),
        Err(DecodeError::Trailing { bytes: 1, .. })
    ));
}
