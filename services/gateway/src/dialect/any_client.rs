//! Whatever clients of any dialect say, and whatever happens meanwhile: no panic, every frame is JSON, and a
//! session is asked only for what it can do.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use access::Principal;
use access::http::Query;
use http::Request;
use journal::{Epoch, Headers, Micros, Record, Topic};
use proptest::collection::vec;
use proptest::prelude::*;
use schemas::document::DeviceLocation;
use schemas::event::Point;
use schemas::json::{Intake, Limits, parse_event};
use schemas::{Change, Document};
use serde_json::{Value, json};
use state::{Counts, DeviceKey, HistoryPage, Stored};

use super::conversation::Looked;
use super::*;
use crate::engine::LogRecord;
use crate::subscription::{DeviceSet, Framing, Start};

const DEVICE: &str = "yard/van";
const DEVICES_MAX: usize = 5;
const FILTERS_MAX: usize = 3;

/// A way in, and what its client is told of a message that says nothing: the error, or nothing at all.
struct Way {
    uri: &'static str,
    /// Which of those that share a path.
    has_bearer: bool,
    error: Option<&'static str>,
}

const fn way(uri: &'static str, error: Option<&'static str>) -> Way {
    Way {
        uri,
        has_bearer: false,
        error,
    }
}

const WAYS: [Way; 9] = [
    way("/v1/stream?tenant=t&view=devices", Some("fault")),
    way("/realtime?tenant=t", Some("error")),
    way("/ws/controller/device/yard%2Fvan/command", None),
    way("/ws/loci/location/spot/", None),
    way("/ws/loci/location/", None),
    way(
        "/v1/projects/yard/devices/van/watch?tenant=t&backfillLimit=5",
        None,
    ),
    way("/api/v1/customer/telemetry/stream?tenant=t", Some("error")),
    way("/api/v2/ws?tenant=t&token=x", Some("error")),
    Way {
        uri: "/api/v2/ws?tenant=t",
        has_bearer: true,
        error: Some("invalid_json"),
    },
];

/// What happens to a client's stream.
#[derive(Debug, Clone)]
enum Step {
    Says(String),
    SaysBinary,
    /// The oldest question is answered, or the state does not answer.
    Answer(bool),
    /// A record of this number.
    Record(usize),
    Timer,
    Passes(Micros),
    Blocks(bool),
}

/// Words that mean something to one dialect or another.
static WORDS: [&str; 26] = [
    "type",
    "action",
    "subscribe",
    "unsubscribe",
    "command",
    "hardwareIds",
    "hardwareId",
    "params",
    "filter",
    "clear",
    "speed > 1",
    "@zone = \"A\"",
    "a == 1",
    "set_metrics",
    "metrics",
    "clear_filters",
    "device",
    "device_id",
    "device_ids",
    "alerts",
    "fleet",
    "yard/van",
    "update",
    "q",
    "kind",
    "telemetry",
];

fn json_value() -> impl Strategy<Value = Value> {
    let word = || proptest::sample::select(&WORDS[..]);
    let leaf = prop_oneof![
        1 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
        1 => any::<f64>().prop_map(Value::from),
        4 => word().prop_map(Value::from),
        1 => any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, move |inner| {
        prop_oneof![
            1 => vec(inner.clone(), 0..9).prop_map(Value::from),
            3 => vec((word(), inner), 0..4).prop_map(|members| {
                Value::Object(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
            }),
        ]
    })
}

/// A message that some dialect knows, with anything in it.
fn message() -> impl Strategy<Value = Value> {
    let word = || proptest::sample::select(&WORDS[..]);
    prop_oneof![
        (word(), json_value()).prop_map(
            |(word, any)| json!({"type": word, "hardwareIds": any, "hardwareId": DEVICE,
            "command": "lock", "params": any, "q": any})
        ),
        (word(), word(), json_value()).prop_map(|(action, of, any)| {
            let list = if any.is_null() {
                json!({})
            } else {
                json!({"device_ids": any, "metrics": any})
            };
            let mut message = json!({"action": action, "type": of, "device_id": DEVICE});
            let members = list.as_object().into_iter().flatten();
            let more: Vec<(String, Value)> = members
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect();
            message.as_object_mut().unwrap().extend(more);
            message
        }),
        word().prop_map(|word| json!({"filter": word})),
        "[a-e]{1,2} > [0-9]".prop_map(|filter| json!({"filter": filter})),
        vec("[a-f]", 0..8).prop_map(|ids| json!({"type": "subscribe", "hardwareIds": ids})),
        vec("[a-f]", 0..8).prop_map(|ids| json!({"action": "subscribe", "device_ids": ids})),
        "[a-h]".prop_map(|id| json!({"action": "subscribe", "type": "device", "device_id": id})),
        json_value(),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => message().prop_map(|message| Step::Says(message.to_string())),
        2 => any::<String>().prop_map(Step::Says),
        1 => (message(), any::<prop::sample::Index>()).prop_map(|(message, at)| {
            let text = message.to_string();
            let cut = at.index(text.len());
            Step::Says(String::from_utf8_lossy(&text.as_bytes()[..cut]).into_owned())
        }),
        1 => Just(Step::SaysBinary),
        4 => any::<bool>().prop_map(Step::Answer),
        3 => any::<usize>().prop_map(Step::Record),
        1 => Just(Step::Timer),
        1 => (0..20_000_000_i64).prop_map(Step::Passes),
        1 => any::<bool>().prop_map(Step::Blocks),
    ]
}

fn document() -> Document {
    Document {
        tenant: "t".into(),
        id: DEVICE.into(),
        version: 3,
        location: Some(DeviceLocation {
            id: Some("spot".into()),
            geometry: Some(Point {
                longitude: 1.5,
                latitude: 2.5,
                altitude: None,
            }),
            ..DeviceLocation::default()
        }),
        ..Document::default()
    }
}

/// Records that a conversation may be told of.
fn record(number: usize, offset: u64) -> LogRecord {
    let events = [
        r#"{"kind":"presence","status":"ONLINE","reason":"report"}"#,
        r#"{"kind":"presence","status":"STALE","previous":"ONLINE","reason":"silence"}"#,
        r#"{"kind":"presence","connected":true,"reason":"connect","session":"s"}"#,
        r#"{"kind":"presence","connected":false,"reason":"disconnect","session":"s"}"#,
        r#"{"kind":"command","command_id":"c","type":"reboot","status":"queued"}"#,
        r#"{"kind":"command","command_id":"c","type":"reboot","status":"in-progress","output":"x"}"#,
        r#"{"kind":"alert","alert_id":"a","alert_type":"HOT","severity":3,"status":"OPEN","summary":"hot"}"#,
        r#"{"kind":"deleted"}"#,
    ];
    let (topic, value) = match events.get(number % (events.len() + 2)) {
        Some(text) => {
            let intake = Intake {
                tenant: Some("t"),
                device: Some(DEVICE),
                received_at: 0,
                limits: &Limits::default(),
            };
            let parsed = parse_event(text, &intake, &mut || "e".into()).unwrap();
            (Topic::Events, Some(parsed.event.encode()))
        }
        None if number.is_multiple_of(2) => (Topic::State, None),
        None => {
            let change = Change {
                document: document(),
                changed: vec!["location.geometry".into()],
                before: "{}".into(),
                event_id: "e".into(),
                updated_before: None,
                last_seen_before: None,
            };
            (Topic::State, Some(change.encode()))
        }
    };
    let record = Record {
        offset,
        timestamp_ms: 0,
        key: format!("t/{DEVICE}").into(),
        value,
        headers: Headers::default(),
    };
    LogRecord::new(topic, 0, record)
}

/// What the state may say to a question.
fn answer(ask: &Ask) -> Answer {
    let stored = || Stored {
        document: Arc::new(document()),
        source: 0,
    };
    match ask {
        Ask::Documents(devices) | Ask::Settled(devices) => {
            Answer::Documents(devices.iter().map(|_| stored()).collect())
        }
        Ask::Counts => Answer::Counts(Counts::default()),
        Ask::History { .. } => Answer::History(HistoryPage {
            rows: Vec::new(),
            left_out: 0,
            next: None,
        }),
        Ask::Command { device, .. } if device.len().is_multiple_of(2) => Answer::Commanded("c".into()),
        Ask::Command { .. } => Answer::Refused("no".into()),
        Ask::Device(_) => Answer::Device(Standing {
            partition: 0,
            applied: 0,
            stored: Some(stored()),
        }),
        Ask::HasAny(_) => Answer::HasAny(true),
        Ask::TenantsOf(_) => Answer::Tenants(vec!["t".into()]),
        Ask::DevicesAt { .. } => Answer::Places(vec![DeviceKey {
            tenant: "t".into(),
            device: DEVICE.into(),
        }]),
        Ask::Devices(_) => Answer::Devices(Some(Looked::default())),
        Ask::Alerts { .. } => Answer::Alerts(Vec::new()),
        Ask::Within { ask, .. } => answer(ask),
    }
}

/// A session of one client, as far as a conversation sees it.
struct Session {
    conversation: Box<dyn Conversation>,
    subscription: Subscription,
    questions: VecDeque<Ask>,
    is_blocked: bool,
    now: Micros,
}

impl Session {
    fn open(way: &Way) -> Self {
        let settings = OpenSettings::default();
        let entrances = entrances(&settings);
        let request = Request::builder().uri(way.uri).body(()).unwrap();
        let (parts, ()) = request.into_parts();
        let path = parts.uri.path().to_owned();
        let mut here = entrances.iter().filter(|entrance| entrance.takes(&path));
        let entrance = here
            .find(|entrance| path != "/api/v2/ws" || entrance.surface().bearer == way.has_bearer)
            .unwrap();
        let principal = Arc::new(Principal::system("tester"));
        let mut opening = entrance
            .open(&Asked {
                principal: &principal,
                parts: &parts,
                query: &Query::parse(parts.uri.query()),
                transport: Transport::WebSocket,
                now: 0,
                epoch: Epoch(1),
                settings: &settings,
            })
            .unwrap_or_else(|refusal| panic!("{}: {refusal:?}", way.uri));
        while let Some((ask, admit)) = opening.question.take() {
            admit(&mut opening, answer(&ask)).unwrap_or_else(|refusal| panic!("{}: {refusal:?}", way.uri));
        }
        let mut session = Self {
            conversation: opening.conversation,
            subscription: Subscription {
                view: opening.view,
                transport: Transport::WebSocket,
                framing: Framing::Plain,
                dialect: opening.dialect,
                selection: opening.selection,
                delivery: opening.delivery,
                every: opening.every,
                partitions: Vec::new(),
                start: Start::live(0),
                principal,
                bound: opening.bound,
                cursors: opening.cursors,
                chooses: opening.chooses,
            },
            questions: VecDeque::new(),
            is_blocked: false,
            now: 0,
        };
        session.act(opening.first);
        session
    }

    fn take(&mut self, take: impl FnOnce(&mut dyn Conversation, &Moment<'_>) -> Vec<Action>) -> Vec<Action> {
        let at = Moment {
            now: self.now,
            subscription: &self.subscription,
            devices_max: DEVICES_MAX,
            is_blocked: self.is_blocked,
            cursor: Some("C"),
        };
        take(&mut *self.conversation, &at)
    }

    /// Does what a session does; what it sends.
    fn act(&mut self, actions: Vec<Action>) -> Vec<Value> {
        let mut said = Vec::new();
        for action in actions {
            match action {
                Action::Send(message) => said.push(object(&message.text)),
                Action::Ask(ask) => self.questions.push_back(ask),
                Action::Timer(_) => {}
                Action::Close(_) => panic!("nothing that a client says closes its stream"),
                Action::Select(selection) => said.extend(self.select(selection)),
                Action::Choose { add, remove } => {
                    let selection = &self.subscription.selection;
                    let DeviceSet::Set(chosen) = &selection.devices else {
                        panic!("a stream of every device has none to choose");
                    };
                    let mut devices = BTreeSet::clone(chosen);
                    devices.extend(add);
                    devices.retain(|device| !remove.contains(device));
                    let selection = Selection {
                        devices: DeviceSet::Set(Arc::new(devices)),
                        ..selection.clone()
                    };
                    said.extend(self.select(selection));
                }
            }
        }
        said
    }

    /// Shows that from now on; what is said to a client that may not have it.
    fn select(&mut self, selection: Selection) -> Option<Value> {
        let filters = selection.filters.as_ref().map_or(0, crate::filters::Filters::len);
        let devices = selection.devices.len().unwrap_or(0);
        if filters > FILTERS_MAX || devices > DEVICES_MAX {
            let refusal = self.conversation.refusal("too many");
            assert!(
                refusal.is_some(),
                "a dialect that chooses tells what it cannot have"
            );
            return refusal.map(|refusal| object(&refusal));
        }
        self.subscription.selection = selection;
        None
    }

    fn step(&mut self, way: &Way, step: &Step, offset: u64) {
        match step {
            Step::Says(text) => {
                let before = self.questions.len();
                let actions = self.take(|conversation, at| conversation.text(text, at));
                let said = self.act(actions);
                assert!(
                    self.questions.len() <= before + 1,
                    "a message asks one question at most"
                );
                if serde_json::from_str::<Value>(text).is_err() {
                    way.answers_nonsense(&said);
                }
                assert!(way.error.is_some() || said.is_empty(), "{said:?}");
            }
            Step::SaysBinary => {
                let actions = self.take(|conversation, at| conversation.binary(at));
                let said = self.act(actions);
                // The native API ignores it.
                if way.error != Some("fault") {
                    way.answers_nonsense(&said);
                }
            }
            Step::Answer(is_there) => {
                let Some(ask) = self.questions.pop_front() else {
                    return;
                };
                let answer = if *is_there {
                    answer(&ask)
                } else {
                    Answer::Unavailable
                };
                let actions = self.take(|conversation, at| conversation.answer(answer, at));
                self.act(actions);
            }
            Step::Record(number) => {
                let record = record(*number, offset);
                let actions = self.take(|conversation, at| conversation.record(&record, at));
                let is_allowed =
                    |action: &Action| matches!(action, Action::Send(_) | Action::Ask(_) | Action::Timer(_));
                assert!(
                    actions.iter().all(is_allowed),
                    "records are being read: {actions:?}"
                );
                self.act(actions);
            }
            Step::Timer => {
                let actions = self.take(|conversation, at| conversation.timer(at));
                self.act(actions);
            }
            Step::Passes(micros) => self.now += micros,
            Step::Blocks(is_blocked) => self.is_blocked = *is_blocked,
        }
    }
}

impl Way {
    /// What is said to a message that is none.
    fn answers_nonsense(&self, said: &[Value]) {
        match self.error {
            None => assert!(said.is_empty(), "{}: {said:?}", self.uri),
            Some(error) => {
                assert_eq!(said.len(), 1, "{}: {said:?}", self.uri);
                let is_error = said[0]["type"] == error || said[0]["error"][error].is_string();
                assert!(is_error, "{}: {said:?}", self.uri);
            }
        }
    }
}

fn object(text: &[u8]) -> Value {
    let value: Value = serde_json::from_slice(text).expect("frames are JSON");
    assert!(value.is_object(), "{value}");
    value
}

proptest! {
    #[test]
    fn whatever_a_client_says_its_session_can_do(steps in vec(step(), 0..40)) {
        for way in &WAYS {
            let mut session = Session::open(way);
            for (offset, step) in (0..).zip(&steps) {
                session.step(way, step, offset);
            }
        }
    }

    #[test]
    fn whatever_a_device_says_is_read(message in message(), text in any::<String>()) {
        for path in ["/v1/connect", "/v1/projects/yard/devices/van/connect/websocket"] {
            let tongue = tongue(path).unwrap();
            for text in [&message.to_string(), &text] {
                // Whatever it is: what cannot be told from it is refused, or nothing.
                drop(tongue.read(text, 10));
            }
        }
    }
}
