use serde_json::{Value, json};

use super::{NOW, parse, write_event, written};
use crate::document::{DeviceAlert, DeviceCommand, DeviceEntity, DeviceLocation, DeviceLock};
use crate::event::{AlertStatus, CommandStatus, LockSource, Point, Status};
use crate::json::{write_change, write_document};
use crate::{Body, Change, Document, Fields, Scalar};

#[test]
fn an_event_goes_out_with_fields_nested_and_without_nulls() {
    let read = parse(json!({
        "device": "d", "kind": "telemetry", "id": "e", "fields": {"a": {"b": null, "c": [1]}, "x.y": "z\n"}
    }));
    assert_eq!(
        write_event(&read.unwrap().event),
        r#"{"id":"e","tenant":"acme","device":"d","kind":"telemetry","time":"2025-05-01T12:00:00.000Z","received_at":"2025-05-01T12:00:00.000Z","fields":{"a":{"b":null,"c":[1]},"x.y":"z\n"}}"#
    );
}

#[test]
fn a_sealed_secret_goes_out_masked() {
    let mut event = parse(json!({
        "device": "d", "kind": "command", "command_id": "c", "type": "t", "status": "queued",
        "input": {"password": {"$sealed": "c2VjcmV0"}}
    }))
    .unwrap()
    .event;
    let text = write_event(&event);
    assert!(text.contains(r#""input":{"password":"********"}"#), "{text}");
    event.body = Body::Deleted;
    assert!(!write_event(&event).contains("***"));
}

fn full_document() -> Document {
    Document {
        tenant: "acme".into(),
        id: "bus-14".into(),
        name: Some("Bus".into()),
        device_type: Some("bus".into()),
        site_id: Some("s".into()),
        tags: vec!["a".into(), "b".into()],
        attributes: Some(r#"{"k":1}"#.into()),
        status: Some(Status::Online),
        connected: Some(true),
        connected_since: Some(NOW),
        created_at: NOW,
        updated_at: NOW,
        last_seen_at: Some(NOW),
        location: Some(DeviceLocation {
            id: Some("l".into()),
            geometry: Some(Point {
                longitude: -2.5,
                latitude: 53.0,
                altitude: Some(9.0),
            }),
            is_mobile: Some(true),
            ..DeviceLocation::default()
        }),
        lock: Some(DeviceLock {
            locked: true,
            source: LockSource::Key,
            code: None,
            metadata: None,
            at: NOW,
        }),
        entities: [(
            "p\"1".into(),
            DeviceEntity {
                value: Scalar::Null,
                source: "user".into(),
                at: NOW,
            },
        )]
        .into(),
        commands: vec![DeviceCommand {
            command_id: "c".into(),
            command_type: "reboot".into(),
            input: Some(r#"{"pin":{"$sealed":"x"}}"#.into()),
            connection: None,
            status: CommandStatus::InProgress,
            output: None,
            created: NOW,
            modified: NOW,
            by: None,
            expires_at: None,
        }],
        alerts: vec![DeviceAlert {
            alert_id: "a".into(),
            alert_type: "HOT".into(),
            severity: 3,
            confidence: Some(0.5),
            summary: "hot".into(),
            status: AlertStatus::Open,
            site_id: None,
            created_at: NOW,
        }],
        fields: Fields([("a.b".into(), Scalar::Integer(1))].into()),
        version: 9,
        fold: crate::document::FoldState {
            recent: vec![1],
            ..Default::default()
        },
    }
}

#[test]
fn a_document_has_the_documented_members_and_no_others() {
    let at = "2025-05-01T12:00:00.000Z";
    let text = written(|out| write_document(&full_document(), out));
    let expected = json!({
        "id": "bus-14", "tenant": "acme", "name": "Bus", "type": "bus", "site_id": "s", "tags": ["a", "b"],
        "attributes": {"k": 1}, "status": "ONLINE", "connected": true, "connected_since": at,
        "created_at": at, "updated_at": at, "last_seen_at": at,
        "location": {"id": "l", "is_mobile": true, "geometry": {"type": "Point", "coordinates": [-2.5, 53.0, 9.0]}},
        "lock": {"locked": true, "source": "key", "at": at},
        "entities": {"p\"1": {"value": null, "source": "user", "at": at}},
        "commands": [{"command_id": "c", "type": "reboot", "input": {"pin": "********"}, "status": "in-progress",
            "created": at, "modified": at}],
        "alerts": [{"alert_id": "a", "alert_type": "HOT", "severity": 3, "confidence": 0.5, "summary": "hot",
            "status": "OPEN", "created_at": at}],
        "fields": {"a": {"b": 1}}, "version": 9
    });
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), expected);
}

#[test]
fn an_empty_document_leaves_out_what_is_not_known() {
    let text = written(|out| {
        write_document(
            &Document {
                id: "d".into(),
                ..Document::default()
            },
            out,
        )
    });
    assert_eq!(
        text,
        r#"{"id":"d","tenant":"","tags":[],"created_at":"1970-01-01T00:00:00.000Z","updated_at":"1970-01-01T00:00:00.000Z","entities":{},"commands":[],"alerts":[],"fields":{},"version":0}"#
    );
}

#[test]
fn a_change_shows_device_paths_and_previous_values_with_secrets_masked() {
    let change = Change {
        document: Document {
            id: "d".into(),
            ..Document::default()
        },
        changed: vec!["commands".into(), "fields.speed".into()],
        before: r#"{"commands":[{"input":{"pin":{"$sealed":"x"}}}],"fields":{"speed":1}}"#.into(),
        event_id: "e".into(),
        updated_before: None,
        last_seen_before: None,
    };
    let text = written(|out| write_change(&change, out));
    let read: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(read["device"]["id"], "d");
    assert_eq!(read["changed"], json!(["commands", "fields.speed"]));
    assert_eq!(read["before"]["commands"][0]["input"]["pin"], "********");
    assert_eq!(read.as_object().unwrap().len(), 3);
}
