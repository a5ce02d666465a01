//! Alert rules and the expiry of commands over the whole way: appended, read back, folded.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use journal::{Headers, NewRecord, Topic};
use projector::{FaultHook, Point, Settings};
use query::{Filter, Nothing};
use schemas::control::Rule;
use schemas::event::{Alert, AlertStatus, Command, CommandStatus};
use schemas::{Body, Control, Document, Event};
use state::{DeviceKey, Filterable, Limits, Outcome, fold};

use crate::events::{event, fleet, speed};
use crate::truth::assert_true;
use crate::world::{PATIENCE, SECOND, START, World, partition_of, quick, until};

const WHEN: &str = "speed > 0";

pub(crate) async fn control(world: &World, id: &str, when: Option<&str>) {
    let rule = Control::Rule(Rule {
        tenant: "acme".into(),
        id: id.into(),
        when: when.unwrap_or_default().into(),
        close_when: None,
        alert_type: "MOVING".into(),
        severity: 2,
        summary: "it moves".into(),
    });
    let record = NewRecord {
        topic: Topic::Control,
        partition: 0,
        key: rule.key().into(),
        value: when.map(|_| rule.encode()),
        timestamp_ms: START / 1_000,
        headers: Headers {
            kind: rule.kind().into(),
            generation: 1,
            ..Headers::default()
        },
    };
    for answer in world.journal.appender.append(vec![record], PATIENCE).await {
        answer.unwrap();
    }
}

/// Every event of the log.
pub(crate) async fn log(world: &World) -> Vec<Event> {
    let records = world.read_all(Topic::Events).await;
    let event = |record: &journal::Record| Event::decode(record.value.as_ref().unwrap()).unwrap();
    records.iter().map(|(_, record)| event(record)).collect()
}

/// The alerts that a rule opened, each once.
async fn opened(world: &World, rule: &str) -> BTreeSet<Box<str>> {
    let of_rule = |event: Event| {
        let Body::Alert(alert) = event.body else {
            return None;
        };
        let opens = alert.status == AlertStatus::Open && alert.alert_id.starts_with(rule);
        opens.then_some(alert.alert_id)
    };
    log(world).await.into_iter().filter_map(of_rule).collect()
}

async fn document(world: &World, device: &str) -> Option<Arc<Document>> {
    let probe = event("", device, 0, Body::Deleted);
    let key = DeviceKey {
        tenant: probe.tenant.clone(),
        device: device.into(),
    };
    let found = world
        .store
        .documents
        .get(&[(partition_of(&probe), key)])
        .await
        .unwrap();
    found.into_iter().next().flatten().map(|stored| stored.document)
}

async fn standing(world: &World, device: &str) -> Vec<Box<str>> {
    let document = document(world, device).await;
    let alerts = document.iter().flat_map(|document| &document.alerts);
    alerts.map(|alert| alert.alert_id.clone()).collect()
}

pub(crate) async fn stands(world: &World, device: &str, count: usize) {
    until(&format!("{device} has {count} alerts"), async || {
        standing(world, device).await.len() == count
    })
    .await;
}

/// How often the rule became true, by the log alone.
async fn became_true(world: &World) -> usize {
    let filter: Filter = WHEN.parse().unwrap();
    let holds = |document: &Document| filter.matches(&Filterable::new(document), &Nothing);
    let limits = Limits::of(&world.journal.layout);
    let mut documents = std::collections::BTreeMap::new();
    let mut count = 0;
    for event in log(world).await {
        let key = (event.tenant.clone(), event.device.clone());
        let before = documents.get(&key);
        match fold(before, &event, &limits) {
            Outcome::Nothing | Outcome::Refused { .. } => {}
            Outcome::Times(after) => drop(documents.insert(key, after)),
            Outcome::Changed(change) => {
                let becomes = holds(&change.document) && !before.is_some_and(holds);
                count += usize::from(becomes && &*event.tenant == "acme");
                documents.insert(key, change.document);
            }
            Outcome::Deleted => drop(documents.remove(&key)),
        }
    }
    count
}

async fn survives(point: Point) {
    let world = World::new().await;
    control(&world, "moving", Some(WHEN)).await;
    let left = Arc::new(AtomicU32::new(5));
    let counter = Arc::clone(&left);
    let hook = FaultHook::new(move |passed| {
        let take = |left: u32| left.checked_sub(1);
        if passed == point
            && counter
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, take)
                .is_ok()
        {
            panic!("a crash at {point:?}, as planned");
        }
    });
    // Rules that were there first find nothing: what they open follows from the log.
    for partition in 0..crate::world::PARTITIONS {
        let known = world.end(Topic::Control, 0).await;
        world
            .store
            .progress
            .set_rules_applied(partition, known)
            .await
            .unwrap();
    }
    let running = world.start(Settings {
        fault: Some(hook),
        batch_records_max: 7,
        ..quick()
    });
    for round in 0..5 {
        let events = fleet(START + round * 1_000_000, 30, round.unsigned_abs() + 1);
        world.append(&events).await;
        world.quiet(&world.store).await;
    }
    world.quiet(&world.store).await;
    assert_eq!(left.load(Ordering::SeqCst), 0, "it did die");
    let (found, due) = (opened(&world, "moving~").await.len(), became_true(&world).await);
    assert!(due > 3, "the rule became true {due} times");
    assert_eq!(found, due);
    for number in 0..5 {
        let device = format!("bus-{number}");
        let Some(document) = document(&world, &device).await else {
            continue;
        };
        let filter: Filter = WHEN.parse().unwrap();
        let holds = filter.matches(&Filterable::new(&document), &Nothing);
        let of_rule = document
            .alerts
            .iter()
            .filter(|alert| alert.alert_id.starts_with("moving~"));
        assert_eq!(of_rule.count(), usize::from(holds), "{document:?}");
    }
    assert_true(&world, &world.store).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alerts_survive_a_crash_between_reactions_and_commit() {
    survives(Point::BetweenReactorAppendAndCommit).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alerts_survive_a_crash_after_the_transaction() {
    survives(Point::AfterTransaction).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alerts_survive_a_crash_before_the_rows() {
    survives(Point::BeforeRows).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alerts_survive_a_crash_between_rows_and_applied() {
    survives(Point::BetweenRowsAndApplied).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_rule_meets_devices_that_satisfy_it_already_and_leaves_none_when_it_goes() {
    let world = World::new().await;
    let running = world.start(quick());
    let devices = ["bus-1", "bus-2", "bus-3"];
    for device in devices {
        world.append(&[event(device, device, START, speed(5))]).await;
    }
    world.quiet(&world.store).await;
    control(&world, "moving", Some(WHEN)).await;
    for device in devices {
        stands(&world, device, 1).await;
    }
    control(&world, "moving", None).await;
    for device in devices {
        stands(&world, device, 0).await;
    }
    assert_eq!(opened(&world, "moving~").await.len(), 3);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alert_closed_by_hand_stays_closed_through_a_hand_over() {
    let world = World::new().await;
    let first = world.start(quick());
    control(&world, "moving", Some(WHEN)).await;
    world.append(&[event("a", "bus", START, speed(5))]).await;
    stands(&world, "bus", 1).await;
    let alert = document(&world, "bus").await.unwrap().alerts[0].clone();
    let closed = Alert {
        alert_id: alert.alert_id,
        alert_type: alert.alert_type,
        severity: alert.severity,
        confidence: None,
        summary: alert.summary,
        status: AlertStatus::Closed,
        site_id: None,
    };
    world
        .append(&[event("b", "bus", START + 1, Body::Alert(closed))])
        .await;
    stands(&world, "bus", 0).await;
    first.stop().await;
    let second = world.start(quick());
    // A rule of another name shows that the new owner has met the rules.
    control(&world, "other", Some("speed = 6")).await;
    world.append(&[event("c", "bus", START + 2, speed(6))]).await;
    stands(&world, "bus", 1).await;
    assert_eq!(opened(&world, "moving~").await.len(), 1);
    second.stop().await;
}

fn command(expires_at: i64) -> Body {
    Body::Command(Command {
        command_id: "c1".into(),
        command_type: "reboot".into(),
        input: None,
        connection: None,
        status: CommandStatus::Queued,
        output: None,
        created: START,
        by: None,
        expires_at: Some(expires_at),
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_expires_once_though_its_owner_changed_meanwhile() {
    let world = World::new().await;
    let settings = Settings {
        unobserved_max: Duration::from_secs(3_600),
        ..quick()
    };
    let first = world.start(settings.clone());
    world
        .append(&[
            event("a", "bus", START, speed(1)),
            event("b", "bus", START + 1, command(START + 60 * SECOND)),
        ])
        .await;
    until("the command is open", async || {
        let document = document(&world, "bus").await;
        document.is_some_and(|document| document.commands.len() == 1)
    })
    .await;
    first.stop().await;
    let second = world.start(settings);
    world.time.advance(61 * SECOND);
    until("the command has expired", async || {
        let document = document(&world, "bus").await;
        document.is_some_and(|document| document.commands.is_empty())
    })
    .await;
    world.quiet(&world.store).await;
    let expired = log(&world).await.into_iter().filter(
        |event| matches!(&event.body, Body::Command(command) if command.status == CommandStatus::Expired),
    );
    assert_eq!(expired.count(), 1);
    assert_true(&world, &world.store).await;
    second.stop().await;
}
