//! Arbitrary nouns for the property tests.

use std::collections::BTreeMap;

use proptest::collection::{btree_map, vec};
use proptest::option::of;
use proptest::prelude::*;

use crate::control::{Layout, Revocation, Role, Rule, Tenant, Token};
use crate::document::{DeviceAlert, DeviceCommand, DeviceEntity, DeviceLocation, DeviceLock, FoldState};
use crate::event::{
    Alert, AlertStatus, Command, CommandStatus, Device, Entity, Level, Location, Lock, LockSource, Log,
    Point, Presence, PresenceReason, Status, Telemetry,
};
use crate::{Body, Change, Control, Document, Event, Fields, Micros, Rejected, Scalar};

pub(crate) fn text() -> impl Strategy<Value = Box<str>> {
    prop_oneof![3 => "[a-z0-9 ._/\\\\-]{0,12}", 1 => any::<String>()].prop_map(String::into_boxed_str)
}

/// 1970 to 2261.
pub(crate) fn time() -> impl Strategy<Value = Micros> {
    0..9_200_000_000_000_000_i64
}

pub(crate) fn number() -> impl Strategy<Value = f64> {
    any::<f64>().prop_filter("finite", |number| number.is_finite())
}

pub(crate) fn json_object() -> impl Strategy<Value = Box<str>> {
    btree_map("[a-z\"]{0,4}", json(), 0..3)
        .prop_map(|object| serde_json::to_string(&object).unwrap().into_boxed_str())
}

pub(crate) fn json() -> impl Strategy<Value = serde_json::Value> {
    use serde_json::Value;
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1e6..1e6_f64).prop_map(Value::from),
        text().prop_map(|text| Value::from(&*text)),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            btree_map(text(), inner, 0..4).prop_map(|members| {
                Value::Object(
                    members
                        .into_iter()
                        .map(|(name, value)| (name.into(), value))
                        .collect(),
                )
            }),
        ]
    })
}

pub(crate) fn scalar() -> impl Strategy<Value = Scalar> {
    prop_oneof![
        Just(Scalar::Null),
        any::<bool>().prop_map(Scalar::Boolean),
        any::<i64>().prop_map(Scalar::Integer),
        number().prop_map(Scalar::Number),
        text().prop_map(Scalar::String),
        vec(any::<i32>(), 0..3).prop_map(|items| Scalar::Json(serde_json::to_string(&items).unwrap().into())),
        Just(Scalar::Json("{}".into())),
    ]
}

/// Flat maps in which no path lies below another.
pub(crate) fn fields() -> impl Strategy<Value = Fields> {
    btree_map(text(), scalar(), 0..8).prop_map(|members| {
        let escaped = members
            .into_iter()
            .map(|(name, value)| (crate::fields::escape(&name).into(), value));
        Fields(escaped.collect::<BTreeMap<Box<str>, Scalar>>())
    })
}

fn one_of<T: Copy + std::fmt::Debug + 'static>(
    words: &'static [&'static str],
    from_word: fn(&str) -> Option<T>,
) -> impl Strategy<Value = T> {
    proptest::sample::select(words).prop_map(move |word| from_word(word).unwrap())
}

fn status() -> impl Strategy<Value = Status> {
    one_of(Status::WORDS, Status::from_word)
}

fn source() -> impl Strategy<Value = LockSource> {
    one_of(LockSource::WORDS, LockSource::from_word)
}

fn command_status() -> impl Strategy<Value = CommandStatus> {
    one_of(CommandStatus::WORDS, CommandStatus::from_word)
}

fn alert_status() -> impl Strategy<Value = AlertStatus> {
    one_of(AlertStatus::WORDS, AlertStatus::from_word)
}

fn point() -> impl Strategy<Value = Point> {
    (-180.0..180.0_f64, -90.0..90.0_f64, of(-1e4..1e5_f64)).prop_map(|(longitude, latitude, altitude)| {
        Point {
            longitude,
            latitude,
            altitude,
        }
    })
}

pub(crate) fn id() -> impl Strategy<Value = Box<str>> {
    "[A-Za-z0-9._/-]{1,20}".prop_map(String::into_boxed_str)
}

fn tenant_id() -> impl Strategy<Value = Box<str>> {
    "[A-Za-z0-9._-]{1,20}".prop_map(String::into_boxed_str)
}

fn presence() -> impl Strategy<Value = Presence> {
    let reason = one_of(PresenceReason::WORDS, PresenceReason::from_word);
    (any::<bool>(), of(status()), of(status()), reason, of(id())).prop_map(
        |(connected, status, previous, reason, session)| Presence {
            connected: Some(connected),
            status,
            previous,
            reason,
            session,
        },
    )
}

fn location() -> impl Strategy<Value = Location> {
    (
        of(id()),
        of(text()),
        of(text()),
        of(text()),
        of(any::<bool>()),
        of(point()),
    )
        .prop_map(
            |(id, name, address, location_type, is_mobile, geometry)| Location {
                id,
                name,
                address,
                location_type,
                is_mobile,
                geometry,
            },
        )
}

fn command() -> impl Strategy<Value = Command> {
    let head = (
        id(),
        id(),
        of(json_object()),
        of(text()),
        command_status(),
        of(text()),
    );
    (head, time(), of(text()), of(time())).prop_map(
        |((command_id, command_type, input, connection, status, output), created, by, expires_at)| Command {
            command_id,
            command_type,
            input,
            connection,
            status,
            output,
            created,
            by,
            expires_at,
        },
    )
}

fn alert() -> impl Strategy<Value = Alert> {
    (
        id(),
        id(),
        any::<i64>(),
        of(0.0..=1.0_f64),
        text(),
        alert_status(),
        of(id()),
    )
        .prop_map(
            |(alert_id, alert_type, severity, confidence, summary, status, site_id)| Alert {
                alert_id,
                alert_type,
                severity,
                confidence,
                summary,
                status,
                site_id,
            },
        )
}

fn device() -> impl Strategy<Value = Device> {
    (
        of(text()),
        of(text()),
        of(text()),
        of(vec(text(), 0..3)),
        of(json_object()),
    )
        .prop_map(|(name, device_type, site_id, tags, attributes)| Device {
            name,
            device_type,
            site_id,
            tags,
            attributes,
        })
}

fn body() -> impl Strategy<Value = Body> {
    let lock = (any::<bool>(), source(), of(text()), of(json_object())).prop_map(
        |(locked, source, code, metadata)| {
            Body::Lock(Lock {
                locked,
                source,
                code,
                metadata,
            })
        },
    );
    let log = (one_of(Level::WORDS, Level::from_word), text())
        .prop_map(|(level, message)| Body::Log(Log { level, message }));
    let entity = (id(), scalar(), id()).prop_map(|(entity_id, value, source)| {
        Body::Entity(Entity {
            entity_id,
            value,
            source,
        })
    });
    prop_oneof![
        fields().prop_map(|fields| Body::Telemetry(Telemetry { fields })),
        presence().prop_map(Body::Presence),
        lock,
        log,
        entity,
        location().prop_map(Body::Location),
        command().prop_map(Body::Command),
        alert().prop_map(Body::Alert),
        device().prop_map(Body::Device),
        Just(Body::Deleted),
    ]
}

pub(crate) fn event() -> impl Strategy<Value = Event> {
    (
        id(),
        tenant_id(),
        id(),
        time(),
        time(),
        of(time()),
        of(any::<i64>()),
        body(),
    )
        .prop_map(
            |(id, tenant, device, occurred_at, received_at, claimed_at, seq, body)| Event {
                id,
                tenant,
                device,
                occurred_at,
                received_at,
                claimed_at,
                seq,
                body,
            },
        )
}

fn device_lock() -> impl Strategy<Value = DeviceLock> {
    (any::<bool>(), source(), of(text()), of(json_object()), time()).prop_map(
        |(locked, source, code, metadata, at)| DeviceLock {
            locked,
            source,
            code,
            metadata,
            at,
        },
    )
}

fn device_command() -> impl Strategy<Value = DeviceCommand> {
    (command(), time()).prop_map(|(it, modified)| DeviceCommand {
        command_id: it.command_id,
        command_type: it.command_type,
        input: it.input,
        connection: it.connection,
        status: it.status,
        output: it.output,
        created: it.created,
        modified,
        by: it.by,
        expires_at: it.expires_at,
    })
}

fn device_alert() -> impl Strategy<Value = DeviceAlert> {
    (alert(), time()).prop_map(|(it, created_at)| DeviceAlert {
        alert_id: it.alert_id,
        alert_type: it.alert_type,
        severity: it.severity,
        confidence: it.confidence,
        summary: it.summary,
        status: it.status,
        site_id: it.site_id,
        created_at,
    })
}

pub(crate) fn document() -> impl Strategy<Value = Document> {
    let entity =
        (scalar(), text(), time()).prop_map(|(value, source, at)| DeviceEntity { value, source, at });
    let head = (id(), id(), device(), of(status()), of(any::<bool>()), of(time()));
    let times = (time(), time(), of(time()));
    let parts = (of(location()), of(device_lock()), btree_map(text(), entity, 0..3));
    let lists = (vec(device_command(), 0..3), vec(device_alert(), 0..3));
    let fold = (
        of(time()),
        of(id()),
        vec(any::<u64>(), 0..5),
        vec(any::<u64>(), 0..5),
        (of(time()), of(time()), any::<bool>()),
    );
    (head, times, parts, lists, fields(), any::<u64>(), fold).prop_map(
        |(head, times, parts, (commands, alerts), fields, version, fold)| Document {
            tenant: head.0,
            id: head.1,
            name: head.2.name,
            device_type: head.2.device_type,
            site_id: head.2.site_id,
            tags: head.2.tags.unwrap_or_default(),
            attributes: head.2.attributes,
            status: head.3,
            connected: head.4,
            connected_since: head.5,
            created_at: times.0,
            updated_at: times.1,
            last_seen_at: times.2,
            location: parts.0.map(|it| DeviceLocation {
                id: it.id,
                name: it.name,
                address: it.address,
                location_type: it.location_type,
                is_mobile: it.is_mobile,
                geometry: it.geometry,
            }),
            lock: parts.1,
            entities: parts.2,
            commands,
            alerts,
            fields,
            version,
            fold: FoldState {
                newest_telemetry_at: fold.0,
                session: fold.1,
                recent: fold.2,
                ended: fold.3,
                status_since: fold.4.0,
                last_connected_at: fold.4.1,
                has_left: fold.4.2,
            },
        },
    )
}

pub(crate) fn change() -> impl Strategy<Value = Change> {
    let times = (of(time()), of(time()));
    let parts = (document(), vec(text(), 0..4), json_object(), id(), times);
    parts.prop_map(|(document, changed, before, event_id, times)| Change {
        document,
        changed,
        before,
        event_id,
        updated_before: times.0,
        last_seen_before: times.1,
    })
}

fn token() -> impl Strategy<Value = Token> {
    let head = (
        id(),
        any::<[u8; 32]>(),
        text(),
        one_of(Role::WORDS, Role::from_word),
        of(id()),
    );
    let lists = (of(vec(text(), 0..3)), vec(text(), 0..3), vec(text(), 0..3));
    (head, lists, any::<(bool, bool)>(), time(), of(time())).prop_map(
        |((id, hash, last_four, role, tenant), lists, (staff, superuser), created_at, expires_at)| Token {
            id,
            hash,
            last_four,
            role,
            tenant,
            devices: lists.0,
            permissions: lists.1,
            staff,
            superuser,
            organizations: lists.2,
            created_at,
            expires_at,
        },
    )
}

pub(crate) fn control() -> impl Strategy<Value = Control> {
    let tenant = (id(), any::<u32>(), time()).prop_map(|(id, spread, created_at)| Tenant {
        id,
        spread,
        created_at,
    });
    let rule = (id(), id(), text(), of(text()), id(), any::<i64>(), text()).prop_map(
        |(tenant, id, when, close_when, alert_type, severity, summary)| Rule {
            tenant,
            id,
            when,
            close_when,
            alert_type,
            severity,
            summary,
        },
    );
    let layout = (any::<[u32; 5]>(), time(), any::<u64>(), any::<bool>()).prop_map(
        |(sizes, created_at, epoch, registration_required)| Layout {
            generation: sizes[0],
            created_at,
            epoch,
            partitions: sizes[1],
            default_spread: sizes[2],
            fold_version: sizes[3],
            document_bytes_max: sizes[4],
            registration_required,
        },
    );
    let revocation = (text(), time()).prop_map(|(subject, not_before)| Revocation { subject, not_before });
    prop_oneof![
        token().prop_map(Control::Token),
        tenant.prop_map(Control::Tenant),
        revocation.prop_map(Control::Revocation),
        rule.prop_map(Control::Rule),
        layout.prop_map(Control::Layout),
    ]
}

pub(crate) fn rejected() -> impl Strategy<Value = Rejected> {
    (id(), of(text()), time(), text(), text()).prop_map(|(tenant, device, received_at, reason, original)| {
        Rejected {
            tenant,
            device,
            received_at,
            reason,
            original,
        }
    })
}
