use std::collections::BTreeSet;
use std::sync::Arc;

use access::{Principal, Role};
use journal::{Headers, Record, Topic};
use schemas::event::{Command, CommandStatus};
use schemas::{Body, Event};
use serde_json::{Value, json};

use super::command::{Frames, Updates, admits, rescoped};
use super::{DEVICES, LOCATIONS, allowed, may, may_anywhere};
use crate::dialect::conversation::{Action, Conversation, Moment};
use crate::engine::LogRecord;
use crate::subscription::{
    Delivery, DeviceSet, Framing, KindSet, Selection, Start, Subscription, TenantScope, Told, Transport, View,
};

fn staff(permissions: &[&str], organizations: &[&str]) -> Principal {
    let set = |names: &[&str]| -> Arc<BTreeSet<Box<str>>> {
        Arc::new(names.iter().map(|name| Box::from(*name)).collect())
    };
    let mut principal = Principal::system("staff");
    principal.role = Role::User;
    principal.superuser = false;
    principal.tenant = Some("acme".into());
    principal.permissions = set(permissions);
    principal.organizations = set(organizations);
    principal
}

fn some(tenants: &[&str]) -> TenantScope {
    TenantScope::Some(Arc::new(tenants.iter().map(|name| Box::from(*name)).collect()))
}

pub(super) fn subscription(tenant: TenantScope) -> Subscription {
    Subscription {
        view: View::Events,
        transport: Transport::WebSocket,
        framing: Framing::Plain,
        dialect: Arc::new(Frames),
        selection: Selection {
            tenant,
            devices: DeviceSet::All,
            kinds: KindSet::NONE,
            metrics: None,
            filters: None,
            told: Told::default(),
        },
        delivery: Delivery::Every,
        every: None,
        partitions: Vec::new(),
        start: Start::live(0),
        principal: Arc::new(Principal::system("tester")),
        bound: false,
        cursors: false,
        chooses: false,
    }
}

#[test]
fn staff_needs_the_permission_and_the_organization() {
    let somebody = staff(&["config.view_device"], &["acme"]);
    assert!(may(&somebody, "acme", DEVICES) && !may(&somebody, "globex", DEVICES));
    assert!(!may(&somebody, "acme", LOCATIONS) && !may_anywhere(&somebody, LOCATIONS));
    assert!(may_anywhere(&staff(&["geo.change_location"], &[]), LOCATIONS));
    let mut no_staff = staff(&["config.view_device"], &["acme"]);
    no_staff.staff = false;
    assert!(!may(&no_staff, "acme", DEVICES) && !may_anywhere(&no_staff, DEVICES));
    let root = Principal::system("root");
    assert!(may(&root, "anything", DEVICES) && may_anywhere(&root, LOCATIONS));
    let found = allowed(&somebody, ["acme".into(), "globex".into()], DEVICES);
    assert_eq!(found, BTreeSet::from(["acme".into()]));
}

#[test]
fn a_stream_keeps_what_is_left_of_its_organizations() {
    let somebody = staff(&["config.view_device"], &["acme", "initech"]);
    for (tenants, expected) in [
        (TenantScope::One("acme".into()), true),
        (TenantScope::One("globex".into()), false),
        (some(&["acme", "globex"]), true),
        (some(&["globex"]), false),
        (TenantScope::All, false),
    ] {
        assert_eq!(admits(&tenants, &somebody, DEVICES), expected, "{tenants:?}");
    }
    let stream = subscription(some(&["acme", "globex"]));
    let left = rescoped(&stream.selection, &somebody, DEVICES);
    assert_eq!(left.tenant, some(&["acme"]));
}

fn step(id: &str, status: CommandStatus) -> LogRecord {
    let input = r#"{"password":{"$sealed":"x"},"n":1}"#;
    // Who reports a later step need not say what the command is.
    let is_first = matches!(status, CommandStatus::Queued | CommandStatus::InProgress);
    step_of(id, status, is_first.then_some(input))
}

fn step_of(id: &str, status: CommandStatus, input: Option<&str>) -> LogRecord {
    let event = Event {
        id: "e".into(),
        tenant: "t".into(),
        device: "d".into(),
        occurred_at: 2_000,
        received_at: 0,
        claimed_at: None,
        seq: None,
        body: Body::Command(Command {
            command_id: id.into(),
            command_type: "reboot".into(),
            input: input.map(Into::into),
            connection: None,
            status,
            output: None,
            created: 1_000,
            by: None,
            expires_at: None,
        }),
    };
    let record = Record {
        offset: 0,
        timestamp_ms: 0,
        key: "t/d".into(),
        value: Some(event.encode()),
        headers: Headers::default(),
    };
    LogRecord::new(Topic::Events, 0, record)
}

#[test]
fn updates_only_go_forward_and_end_once() {
    use CommandStatus::{Delivered, Expired, InProgress, Queued, Success};
    let subscription = subscription(TenantScope::All);
    let at = Moment {
        now: 0,
        subscription: &subscription,
        devices_max: 3,
        is_blocked: false,
        cursor: Some("c"),
    };
    let mut updates = Updates::default();
    for (id, status, shown) in [
        ("a", Queued, None),
        ("a", Queued, Some("in-progress")),
        ("a", InProgress, Some("in-progress")),
        ("a", InProgress, Some("in-progress")),
        ("a", Delivered, None),
        ("a", Success, Some("success")),
        ("a", Expired, None),
        // Whatever it says, it makes the command.
        ("b", InProgress, None),
        ("b", InProgress, Some("in-progress")),
        ("c", Expired, None),
        ("c", Success, None),
    ] {
        let actions = updates.record(&step(id, status), &at);
        let frame = actions.into_iter().find_map(|action| match action {
            Action::Send(message) => serde_json::from_slice::<Value>(&message.text).ok(),
            Action::Select(_)
            | Action::Choose { .. }
            | Action::Ask(_)
            | Action::Timer(_)
            | Action::Close(_) => None,
        });
        let found = frame.as_ref().map(|frame| frame["data"]["status"].clone());
        assert_eq!(found, shown.map(Value::from), "{id} {status:?}");
        if let Some(frame) = frame {
            assert_eq!(frame["cursor"], "c");
            assert_eq!(frame["data"]["input"], json!({"password": "********", "n": 1}));
        }
    }
}
