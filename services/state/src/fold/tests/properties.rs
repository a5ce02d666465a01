//! What holds for any sequence of events.

use proptest::prelude::*;
use query::{Field, Fields as _, Value as Found};
use schemas::event::{AlertStatus, CommandStatus, Device, Location, PresenceReason, Status};
use schemas::fields::is_descendant;
use schemas::{Body, Document, Event, Scalar, json};
use serde_json::{Map, Value};

use super::events::*;
use crate::counts::{self, CountsByTenant};
use crate::{Before, Filterable, Limits, Outcome, fold};

const BOOKKEEPING: [&str; 3] = ["version", "updated_at", "last_seen_at"];

fn scalar() -> impl Strategy<Value = Scalar> {
    prop_oneof![
        Just(Scalar::Null),
        any::<bool>().prop_map(Scalar::Boolean),
        (-3i64..3).prop_map(Scalar::Integer),
        prop_oneof![Just(0.0), Just(-0.0), -200.0..200.0].prop_map(Scalar::Number),
        "[a-c]{0,2}".prop_map(|text| Scalar::String(text.into())),
        Just(Scalar::Json("[1,2]".into())),
        Just(Scalar::Json("{}".into())),
    ]
}

fn path() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "a", "a.b", "a.b.c", "a.b.d", "a-b", r"a\.b", "b", "", "lat", "lon", "lng",
    ])
}

fn body() -> impl Strategy<Value = Body> {
    let session = prop::option::of(prop::sample::select(vec!["one", "two"]));
    let reason = prop::sample::select(
        PresenceReason::WORDS
            .iter()
            .filter_map(|word| PresenceReason::from_word(word))
            .collect::<Vec<_>>(),
    );
    let status = prop::option::of(prop::sample::select(vec![
        Status::Online,
        Status::Stale,
        Status::Offline,
    ]));
    let steps = CommandStatus::WORDS
        .iter()
        .filter_map(|word| CommandStatus::from_word(word))
        .collect::<Vec<_>>();
    let alerts = AlertStatus::WORDS
        .iter()
        .filter_map(|word| AlertStatus::from_word(word))
        .collect::<Vec<_>>();
    prop_oneof![
        4 => prop::collection::vec((path(), scalar()), 0..4).prop_map(|of| telemetry(0, &of).body),
        2 => (reason, session, prop::option::of(any::<bool>()), status).prop_map(|(reason, session, connected, status)| {
            let mut presence = said(reason, session);
            (presence.connected, presence.status) = (connected, status);
            Body::Presence(presence)
        }),
        1 => any::<bool>().prop_map(|locked| lock(0, locked).body),
        1 => Just(log(0).body),
        1 => (prop::sample::select(vec!["x", "y.z"]), scalar()).prop_map(|(id, value)| entity(0, id, value).body),
        1 => (prop::option::of(Just("Depot")), prop::option::of((-180.0..180.0, -90.0..90.0)))
            .prop_map(|(name, point)| location(0, name, point).body),
        1 => (prop::sample::select(vec!["c1", "c2"]), prop::sample::select(steps))
            .prop_map(|(id, status)| command(0, id, status).body),
        1 => (prop::sample::select(vec!["a1", "a2"]), prop::sample::select(alerts))
            .prop_map(|(id, status)| alert(0, id, status).body),
        1 => prop::collection::vec(word(), 5).prop_map(|words| Body::Device(head(&words))),
        1 => prop::collection::vec(word(), 4).prop_map(|words| Body::Location(place(&words))),
        1 => Just(Body::Deleted),
    ]
}

fn word() -> impl Strategy<Value = Option<Box<str>>> {
    prop::option::of(prop::sample::select(vec!["red", "blue"]).prop_map(Into::into))
}

fn head(words: &[Option<Box<str>>]) -> Device {
    Device {
        name: words[0].clone(),
        device_type: words[1].clone(),
        site_id: words[2].clone(),
        tags: words[3]
            .clone()
            .map(|tag| if &*tag == "red" { vec![tag] } else { vec![] }),
        attributes: words[4]
            .clone()
            .map(|colour| format!(r#"{{"colour":"{colour}"}}"#).into()),
    }
}

fn place(words: &[Option<Box<str>>]) -> Location {
    Location {
        id: words[0].clone(),
        address: words[1].clone(),
        location_type: words[2].clone(),
        is_mobile: words[3].as_deref().map(|word| word == "red"),
        ..Location::default()
    }
}

/// Events with ids that repeat and times that go back.
fn any_event() -> impl Strategy<Value = Event> {
    (0u32..40, 0i64..20, 0i64..20, body()).prop_map(|(id, occurred, received, body)| {
        let mut event = event(0, body);
        event.id = id.to_string().into();
        (event.occurred_at, event.received_at) = (occurred * 1_000_000, received * 1_000_000);
        event
    })
}

fn any_events() -> impl Strategy<Value = Vec<Event>> {
    prop::collection::vec(any_event(), 1..40)
}

fn step(document: Option<Document>, event: &Event) -> Option<Document> {
    match fold(document.as_ref(), event, &Limits::default()) {
        Outcome::Nothing => document,
        Outcome::Times(document) => Some(document),
        Outcome::Changed(change) => Some(change.document),
        Outcome::Deleted => None,
        Outcome::Refused { document: kept, .. } => kept.or(document),
    }
}

fn fold_all(events: &[Event]) -> Option<Document> {
    events.iter().fold(None, step)
}

/// The public document without bookkeeping and without objects that hold nothing.
fn public(document: Option<&Document>) -> Value {
    let Some(document) = document else {
        return Value::Object(Map::new());
    };
    let mut text = Vec::new();
    json::write_document(document, &mut text);
    let mut value: Value = serde_json::from_slice(&text).expect("a document is JSON");
    for name in BOOKKEEPING {
        value.as_object_mut().expect("an object").shift_remove(name);
    }
    prune(&mut value);
    value
}

fn prune(value: &mut Value) {
    if let Value::Object(members) = value {
        members.values_mut().for_each(prune);
        members.retain(|_, member| !matches!(member, Value::Object(inner) if inner.is_empty()));
        members.retain(|_, member| !matches!(member, Value::Array(items) if items.is_empty()));
        members.sort_keys();
    }
}

/// The names of an escaped path.
fn names(path: &str) -> Vec<String> {
    let mut names = vec![String::new()];
    let mut letters = path.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '.' => names.push(String::new()),
            '\\' => names.last_mut().unwrap().extend(letters.next()),
            _ => names.last_mut().unwrap().push(letter),
        }
    }
    names
}

fn look_up<'a>(value: &'a Value, names: &[String]) -> Option<&'a Value> {
    names.iter().try_fold(value, |value, name| value.get(name))
}

fn put(value: &mut Value, names: &[String], new: Option<&Value>) {
    let [name, rest @ ..] = names else { return };
    if !value.is_object() {
        if new.is_none() {
            return;
        }
        *value = Value::Object(Map::new());
    }
    let members = value.as_object_mut().unwrap();
    if !rest.is_empty() {
        match members.get_mut(name) {
            Some(member) => put(member, rest, new),
            None if new.is_some() => put(members.entry(name.clone()).or_insert(Value::Null), rest, new),
            None => {}
        }
    } else if let Some(new) = new {
        members.insert(name.clone(), new.clone());
    } else {
        members.shift_remove(name);
    }
}

/// Every place of `json` that has a name.
fn list_places(json: &Value, names: &mut Vec<Box<str>>, found: &mut Vec<Vec<Box<str>>>) {
    for (name, below) in json.as_object().into_iter().flatten() {
        names.push(name.as_str().into());
        found.push(names.clone());
        list_places(below, names, found);
        names.pop();
    }
}

/// Previous values show their times in milliseconds; those of bookkeeping are exact, and in these events whole.
fn in_ms(value: Found<'_>) -> Found<'_> {
    if let Found::Timestamp(at) = value {
        return Found::Timestamp(at.div_euclid(1_000));
    }
    value
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_event_folded_twice_is_folded_once(events in any_events(), last in any_event()) {
        let once = step(fold_all(&events), &last);
        if let Some(document) = &once {
            prop_assert_eq!(fold(Some(document), &last, &Limits::default()), Outcome::Nothing);
        }
    }

    #[test]
    fn a_replay_gives_the_same_bytes(events in any_events()) {
        let (one, two) = (fold_all(&events), fold_all(&events));
        prop_assert_eq!(one.map(|document| document.encode()), two.map(|document| document.encode()));
    }

    #[test]
    fn a_document_that_went_through_the_store_folds_on_alike(events in any_events()) {
        let mut document: Option<Document> = None;
        for event in &events {
            let stored = document.as_ref().map(|document| Document::decode(&document.encode()).expect("decodes"));
            document = step(stored, event);
        }
        let (one, two) = (document.map(|document| document.encode()), fold_all(&events).map(|document| document.encode()));
        prop_assert_eq!(one, two);
    }

    #[test]
    fn before_over_after_gives_the_old_document(events in any_events()) {
        let mut document: Option<Document> = None;
        for event in &events {
            if let Outcome::Changed(change) = fold(document.as_ref(), event, &Limits::default()) {
                let old: Value = serde_json::from_str(&change.before).expect("`before` is JSON");
                let mut undone = public(Some(&change.document));
                for path in &change.changed {
                    let names = names(path);
                    put(&mut undone, &names, look_up(&old, &names));
                }
                prune(&mut undone);
                prop_assert_eq!(undone, public(document.as_ref()), "{:?} by {:?}", change.changed, event);
            }
            document = step(document, event);
        }
    }

    #[test]
    fn before_a_change_filters_read_the_old_document(events in any_events()) {
        let mut document: Option<Document> = None;
        for event in &events {
            if let Outcome::Changed(change) = fold(document.as_ref(), event, &Limits::default()) {
                let (before, old) = (Before::new(&change), document.as_ref().map(Filterable::new));
                let mut places = Vec::new();
                for shown in [public(document.as_ref()), public(Some(&change.document))] {
                    list_places(&shown, &mut Vec::new(), &mut places);
                }
                places.extend(BOOKKEEPING.map(|name| vec![Box::from(name)]));
                // A part that moved only in its time has not changed.
                places.retain(|names| names.len() == 1 || names.last().is_none_or(|name| **name != *"at"));
                for field in places.iter().map(|names| Field::of(names)) {
                    prop_assert_eq!(in_ms(before.value(&field)), in_ms(old.value(&field)), "{} by {:?}", field, event);
                    prop_assert_eq!(before.is_container(&field), old.is_container(&field), "{} by {:?}", field, event);
                }
                prop_assert_eq!(before.is_new(), document.is_none());
            }
            document = step(document, event);
        }
    }

    #[test]
    fn changes_are_listed_and_counted(events in any_events()) {
        let mut document: Option<Document> = None;
        for event in &events {
            let version = document.as_ref().map_or(0, |document| document.version);
            match fold(document.as_ref(), event, &Limits::default()) {
                Outcome::Changed(change) => {
                    prop_assert!(!change.changed.is_empty());
                    prop_assert!(change.changed.windows(2).all(|pair| pair[0] < pair[1]), "{:?}", change.changed);
                    prop_assert!(!change.changed.iter().any(|path| BOOKKEEPING.contains(&&**path)));
                    prop_assert_eq!(change.document.version, version + 1);
                    prop_assert_eq!(change.document.updated_at, event.received_at);
                    prop_assert_eq!(&change.event_id, &event.id);
                }
                Outcome::Times(times) => {
                    let old = document.as_ref().expect("times of a known device");
                    prop_assert_eq!((times.version, times.updated_at), (old.version, old.updated_at));
                    prop_assert_eq!((&times.fields, &times.location, times.status), (&old.fields, &old.location, old.status));
                }
                Outcome::Nothing | Outcome::Deleted | Outcome::Refused { .. } => {}
            }
            document = step(document, event);
        }
    }

    #[test]
    fn a_field_is_a_value_or_a_subtree_never_both(events in any_events()) {
        if let Some(document) = fold_all(&events) {
            for one in document.fields.0.keys() {
                for other in document.fields.0.keys() {
                    prop_assert!(!is_descendant(one, other), "{} below {}", one, other);
                }
            }
            prop_assert!(document.fields.0.values().all(|value| *value != Scalar::Null));
        }
    }

    #[test]
    fn presence_commands_and_alerts_never_make_a_device(event in any_event()) {
        if matches!(event.body, Body::Presence(_) | Body::Command(_) | Body::Alert(_)) {
            prop_assert_eq!(fold(None, &event, &Limits::default()), Outcome::Nothing);
        }
    }

    /// Each late report tells of fields of its own; then the order of arrival does not matter.
    #[test]
    fn late_telemetry_converges_whatever_its_order(
        times in prop::collection::vec(0i64..50, 5),
        order in Just(vec![0usize, 1, 2, 3, 4]).prop_shuffle(),
    ) {
        let paths = ["p.a", "p.b", "q", "r.s.t", "r.s.u"];
        let reports: Vec<Event> = times.iter().zip(paths).zip(0..)
            .map(|((at, path), value)| telemetry(*at, &[(path, Scalar::Integer(value))]))
            .collect();
        let newest = telemetry(50, &[("speed", Scalar::Integer(7)), ("q", Scalar::Integer(9))]);
        let folded = |order: &[usize]| {
            let mut document = Some(after(std::slice::from_ref(&newest)));
            for index in order {
                document = step(document, &reports[*index]);
            }
            document.expect("a device").fields
        };
        prop_assert_eq!(folded(&order), folded(&[0, 1, 2, 3, 4]));
        prop_assert_eq!(&folded(&order).0["q"], &Scalar::Integer(9));
    }

    /// Where nothing is removed, the newest report of a field stands whatever the order of arrival.
    #[test]
    fn the_newest_report_stands_whatever_the_order(order in Just(vec![1i64, 2, 3, 4, 5]).prop_shuffle()) {
        let document = order.iter().fold(None, |document, at| step(document, &telemetry(*at, &[("n", Scalar::Integer(*at))])));
        prop_assert_eq!(document.expect("a device").fields, fields(&[("n", Scalar::Integer(5))]));
    }

    #[test]
    fn the_measure_is_never_less_than_what_is_stored(events in any_events()) {
        if let Some(document) = fold_all(&events) {
            let stored = document.encode().len();
            prop_assert!(stored <= crate::fold::size(&document) + 2_048, "{} bytes", stored);
        }
    }

    #[test]
    fn counts_kept_up_equal_counts_made_anew(events in any_events()) {
        let mut kept = CountsByTenant::new();
        let mut document: Option<Document> = None;
        for event in &events {
            let next = step(document.clone(), event);
            counts::update(&mut kept, "acme", document.as_ref(), next.as_ref());
            document = next;
        }
        prop_assert_eq!(kept, counts::count(document.as_ref()));
    }
}
