use super::*;

const START: Micros = 1_000;

fn key() -> Arc<DeviceKey> {
    Arc::new(DeviceKey {
        tenant: "acme".into(),
        device: "bus".into(),
    })
}

fn command(id: &str, expires_at: Option<Micros>) -> DeviceCommand {
    DeviceCommand {
        command_id: id.into(),
        command_type: "reboot".into(),
        input: Some(r#"{"pin":{"$sealed":"x"}}"#.into()),
        connection: None,
        status: CommandStatus::Delivered,
        output: Some("half".into()),
        created: 1,
        modified: 1,
        by: Some("ann".into()),
        expires_at,
    }
}

fn document(commands: Vec<DeviceCommand>) -> Document {
    Document {
        commands,
        ..Document::default()
    }
}

fn due(expiries: &mut Expiries, clock: Micros) -> Vec<StepReaction> {
    std::iter::from_fn(|| expiries.next_due(clock, clock, 100)).collect()
}

#[test]
fn a_command_expires_at_its_time_with_all_that_was_known_of_it() {
    let mut expiries = Expiries::default();
    expiries.update(
        &key(),
        Some(&document(vec![command("a", Some(START)), command("b", None)])),
    );
    assert!(due(&mut expiries, START - 1).is_empty());
    let [expired] = &due(&mut expiries, START)[..] else {
        panic!("one expires")
    };
    let Body::Command(step) = &expired.event.body else {
        panic!("{expired:?}")
    };
    assert_eq!((&*step.command_id, step.status), ("a", CommandStatus::Expired));
    assert_eq!(step.input.as_deref(), Some(r#"{"pin":{"$sealed":"x"}}"#));
    assert_eq!(step.output.as_deref(), Some("half"));
    assert_eq!(expired.event.occurred_at, START);
}

#[test]
fn an_expiry_that_does_not_come_back_is_given_out_again_under_its_id() {
    let mut expiries = Expiries::default();
    let open = document(vec![command("a", Some(START))]);
    expiries.update(&key(), Some(&open));
    let first = due(&mut expiries, START);
    // Other events of the device meanwhile change nothing of that.
    expiries.update(&key(), Some(&open));
    assert!(due(&mut expiries, START + 99).is_empty());
    let again = due(&mut expiries, START + 100);
    assert_eq!((first.len(), again.len()), (1, 1));
    assert_eq!(first[0].event.id, again[0].event.id);
    expiries.update(&key(), Some(&document(Vec::new())));
    assert!(due(&mut expiries, START + 10_000).is_empty());
    assert_eq!(expiries.len(), 0);
}

#[test]
fn a_command_that_ends_or_whose_device_goes_does_not_expire() {
    let mut expiries = Expiries::default();
    let open = document(vec![command("a", Some(START))]);
    expiries.update(&key(), Some(&open));
    expiries.update(&key(), Some(&document(Vec::new())));
    assert!(due(&mut expiries, START).is_empty());
    expiries.update(&key(), Some(&open));
    expiries.update(&key(), None);
    assert!(due(&mut expiries, START).is_empty());
}

fn step(id: &str, status: CommandStatus) -> Command {
    Command {
        command_id: id.into(),
        command_type: "reboot".into(),
        input: None,
        connection: None,
        status,
        output: None,
        created: 1,
        by: Some("ann".into()),
        expires_at: Some(START),
    }
}

#[test]
fn a_command_for_a_device_that_nobody_knows_expires_unless_it_is_answered() {
    let mut expiries = Expiries::default();
    for id in ["a", "a", "b"] {
        expiries.step_of_unknown(&key(), &step(id, CommandStatus::Queued));
    }
    expiries.step_of_unknown(&key(), &step("c", CommandStatus::Delivered));
    // Whatever becomes of the device meanwhile.
    expiries.update(&key(), Some(&document(Vec::new())));
    expiries.update(&key(), None);
    expiries.ended(&key(), "b");
    let expired = due(&mut expiries, START);
    let [expired] = &expired[..] else {
        panic!("{} expire", expired.len())
    };
    let Body::Command(step) = &expired.event.body else {
        panic!("{expired:?}")
    };
    assert_eq!((&*step.command_id, step.status), ("a", CommandStatus::Expired));
    // Until it is read back it is given out again.
    assert_eq!(due(&mut expiries, START + 100).len(), 1);
    expiries.ended(&key(), "a");
    assert!(due(&mut expiries, START + 10_000).is_empty());
    assert_eq!((expiries.len(), expiries.unknown), (0, 0));
}

/// Commands for devices that nobody knows, so many of one tenant.
fn many_of(tenant: &str, count: usize, expiries: &mut Expiries) {
    for n in 0..count {
        let key = DeviceKey {
            tenant: tenant.into(),
            device: n.to_string().into(),
        };
        expiries.step_of_unknown(&Arc::new(key), &step("a", CommandStatus::Queued));
    }
}

#[test]
fn only_so_many_commands_of_unknown_devices_wait_and_no_tenant_takes_all_the_room() {
    let mut expiries = Expiries::default();
    many_of("acme", UNKNOWN_MAX + 10, &mut expiries);
    assert_eq!(expiries.len(), UNKNOWN_MAX / 2);
    many_of("globex", UNKNOWN_MAX, &mut expiries);
    assert_eq!(expiries.len(), UNKNOWN_MAX * 3 / 4);
    for n in 0..100 {
        many_of(&format!("t{n}"), UNKNOWN_MAX, &mut expiries);
    }
    assert!(expiries.len() <= UNKNOWN_MAX);
}

#[test]
fn a_tenant_whose_commands_ended_has_their_room_again() {
    let mut expiries = Expiries::default();
    many_of("acme", UNKNOWN_MAX, &mut expiries);
    let had = expiries.len();
    let first = DeviceKey {
        tenant: "acme".into(),
        device: "0".into(),
    };
    expiries.ended(&Arc::new(first), "a");
    assert_eq!(expiries.len(), had - 1);
    many_of("acme", UNKNOWN_MAX, &mut expiries);
    assert_eq!(expiries.len(), had);
}
