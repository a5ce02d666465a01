use query::Filter;
use schemas::document::{DeviceAlert, DeviceCommand, DeviceEntity};
use schemas::event::{AlertStatus, CommandStatus, LockSource, Point};
use schemas::json::write_document;
use serde_json::Map;

use super::*;

const AT: Micros = 1_800_000_000_123_456;

fn full() -> Document {
    let entity = |value: Scalar| DeviceEntity {
        value,
        source: "user".into(),
        at: AT,
    };
    Document {
        tenant: "acme".into(),
        id: "bus-14".into(),
        name: Some("Bus 14".into()),
        device_type: Some("bus".into()),
        site_id: Some("north".into()),
        tags: vec!["red".into()],
        attributes: Some(r#"{"seats":40,"big":9223372036854775808,"plan":{"a.b":[1],"x":null}}"#.into()),
        status: Some(Status::Online),
        connected: Some(false),
        connected_since: Some(AT),
        created_at: AT,
        updated_at: AT,
        last_seen_at: Some(AT),
        location: Some(DeviceLocation {
            id: Some("depot-1".into()),
            name: Some("Depot".into()),
            address: Some("1 Dock Road".into()),
            location_type: Some("indoor".into()),
            is_mobile: Some(true),
            geometry: Some(Point {
                longitude: -2.9,
                latitude: 53.4,
                altitude: None,
            }),
        }),
        lock: Some(DeviceLock {
            locked: true,
            source: LockSource::Keypad,
            code: Some("1234".into()),
            metadata: Some(r#"{"door":2}"#.into()),
            at: AT,
        }),
        entities: [
            ("light.hall".into(), entity(Scalar::String("on".into()))),
            ("json".into(), entity(Scalar::Json(r#"{"a":{"b":1.5}}"#.into()))),
        ]
        .into(),
        commands: vec![command()],
        alerts: vec![alert()],
        fields: schemas::Fields(
            [
                ("speed".into(), Scalar::Integer(80)),
                ("speed-limit".into(), Scalar::Number(50.5)),
                ("speeds.max".into(), Scalar::Integer(90)),
                (r"zone.a\.b.c".into(), Scalar::String("d".into())),
                ("on".into(), Scalar::Boolean(true)),
                ("list".into(), Scalar::Json("[1]".into())),
                ("id".into(), Scalar::String("reported".into())),
                ("".into(), Scalar::Integer(0)),
            ]
            .into(),
        ),
        version: 7,
        ..Document::default()
    }
}

fn command() -> DeviceCommand {
    DeviceCommand {
        command_id: "c1".into(),
        command_type: "reboot".into(),
        input: None,
        connection: None,
        status: CommandStatus::Queued,
        output: None,
        created: AT,
        modified: AT,
        by: None,
        expires_at: None,
    }
}

fn alert() -> DeviceAlert {
    DeviceAlert {
        alert_id: "a1".into(),
        alert_type: "HOT".into(),
        severity: 2,
        confidence: None,
        summary: "too hot".into(),
        status: AlertStatus::Open,
        site_id: None,
        created_at: AT,
    }
}

/// Every place of `json` that has a name, and what stands there.
fn places(json: &Json, names: &mut Vec<Box<str>>, found: &mut Vec<(Vec<Box<str>>, Json)>) {
    if !names.is_empty() {
        found.push((names.clone(), json.clone()));
    }
    for (name, below) in json.as_object().unwrap_or(&Map::new()) {
        names.push(name.as_str().into());
        places(below, names, found);
        names.pop();
    }
}

#[test]
fn every_place_that_the_api_shows_is_read_as_it_shows_it() {
    let document = full();
    let mut text = Vec::new();
    write_document(&document, &mut text);
    let shown: Json = serde_json::from_slice(&text).unwrap();
    let mut found = Vec::new();
    places(&shown, &mut Vec::new(), &mut found);
    assert!(found.len() > 50, "{} places", found.len());
    let readable = Filterable::new(&document);
    for (names, json) in found {
        let field = Field::of(&names);
        let (value, is_container) = (readable.value(&field), readable.is_container(&field));
        match &json {
            Json::Object(_) | Json::Array(_) => assert!(is_container, "{field} is {value:?}"),
            Json::Null => assert!(value == Value::Absent && !is_container, "{field}"),
            Json::Bool(shown) => assert_eq!(value, Value::Boolean(*shown), "{field}"),
            Json::Number(shown) if shown.is_i64() => {
                assert_eq!(value, Value::Integer(shown.as_i64().unwrap()), "{field}");
            }
            Json::Number(shown) => assert_eq!(value, Value::Float(shown.as_f64().unwrap()), "{field}"),
            // A time is shown in milliseconds and read in full.
            Json::String(shown) => {
                if let Value::Timestamp(at) = value {
                    assert_eq!(query::parse_timestamp(shown), Some(at / 1_000 * 1_000), "{field}");
                } else {
                    assert_eq!(value, Value::Text(shown), "{field}");
                }
            }
        }
        assert!(!is_container || value == Value::Absent, "{field}");
    }
}

fn holds(filter: &str, document: &Document) -> bool {
    let filter: Filter = filter.parse().unwrap();
    filter.matches(&Filterable::new(document), &query::Nothing)
}

#[test]
fn a_member_of_the_head_wins_over_a_reported_field_of_its_name() {
    assert!(holds(r#"id = "bus-14" and fields.id = "reported""#, &full()));
}

#[test]
fn names_that_begin_alike_are_not_taken_for_one_another() {
    let document = full();
    assert!(holds("speeds and not speeds.min and speed = 80", &document));
    // "speed-limit" stands between "speed" and "speed.".
    assert!(!holds("speed.max", &document));
    assert!(holds(
        "zone.`a.b`.c = \"d\" and zone.`a.b` and not zone.a",
        &document
    ));
}

#[test]
fn what_is_not_there_is_absent() {
    let document = Document::default();
    let absent = "name or type or site_id or attributes or status or connected or connected_since \
        or last_seen_at or location or location.name or lock or lock.locked or entities.a or attributes.a or x";
    assert!(!holds(absent, &document));
    assert!(holds(
        "tags and commands and alerts and entities and fields",
        &document
    ));
}

#[test]
fn values_have_nothing_below_them() {
    let below = "id.x or status.x or version.x or location.name.x or location.geometry.type.x or lock.at.x \
        or entities.json.source.x or entities.`light.hall`.value.x or speed.x or commands.status or tags.red";
    assert!(!holds(below, &full()));
}

#[test]
fn json_within_the_document_is_read() {
    let document = full();
    assert!(holds(
        "attributes.seats = 40 and attributes.plan and attributes.plan.`a.b`",
        &document
    ));
    assert!(holds(
        "lock.metadata.door = 2 and entities.json.value.a.b = 1.5",
        &document
    ));
    let broken = Document {
        attributes: Some("{".into()),
        ..full()
    };
    assert!(!holds("attributes.seats", &broken));
}

#[test]
fn what_lies_below_a_path_is_found_among_its_neighbours() {
    let paths = ["a", "a-1", "a-2", "a.b", "a.b.c", "a/1", "aa.b"];
    let fields = paths
        .iter()
        .map(|path| ((*path).into(), Scalar::Integer(1)))
        .collect();
    let found = |key| below(&fields, key).collect::<Vec<_>>();
    assert_eq!(found("a"), ["a.b", "a.b.c"]);
    assert_eq!(found("a.b"), ["a.b.c"]);
    assert!(found("a-1").is_empty() && found("b").is_empty());
}
