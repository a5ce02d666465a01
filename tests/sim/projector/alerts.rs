//! What must hold of alerts and of the expiry of commands, worked out from the log and the rules alone.

use std::collections::{BTreeMap, BTreeSet};

use query::{Filter, Nothing};
use schemas::control::Rule;
use schemas::event::{Alert, AlertStatus, PresenceReason, Status};
use schemas::{Body, Control, Document, Event};
use state::{DeviceKey, Filterable, Limits, Outcome, fold};

use super::model::events;
use super::world::{PARTITIONS, World};

/// A rule of state, in force from the beginning.
pub(super) const STEADY: &str = "steady";
pub(super) const STEADY_WHEN: &str = "speed > 0 or engine.rpm = \"on\"";
/// A rule of change, in force from the beginning.
pub(super) const MOVES: &str = "moves";
pub(super) const MOVES_WHEN: &str = "lock and lock.locked != @lock.locked";
/// A rule of state that comes and goes.
pub(super) const FICKLE: &str = "fickle";
pub(super) const FICKLE_WHEN: &str = "not connected";
/// The rule that is built in.
const NO_HEARTBEAT: &str = "NO_HEARTBEAT";

pub(super) fn rule(tenant: &str, id: &str, when: &str) -> Control {
    Control::Rule(Rule {
        tenant: tenant.into(),
        id: id.into(),
        when: when.into(),
        close_when: None,
        alert_type: "TEST".into(),
        severity: 1,
        summary: "a rule holds".into(),
    })
}

/// The rule that opened an alert.
fn rule_of(alert: &str) -> Option<&str> {
    alert.rsplit_once('~').map(|(rule, _)| rule)
}

/// Every alert that a rule opened, in the order of the log, as often as it stands there.
pub(super) fn opened(world: &World) -> Vec<(DeviceKey, Alert)> {
    let all = (0..PARTITIONS).flat_map(|partition| events(world, partition));
    let of_rules = all.filter_map(|(_, event)| match event.body {
        Body::Alert(alert) if alert.status == AlertStatus::Open && rule_of(&alert.alert_id).is_some() => {
            let key = DeviceKey {
                tenant: event.tenant,
                device: event.device,
            };
            Some((key, alert))
        }
        Body::Alert(_)
        | Body::Presence(_)
        | Body::Telemetry(_)
        | Body::Lock(_)
        | Body::Log(_)
        | Body::Entity(_)
        | Body::Location(_)
        | Body::Command(_)
        | Body::Device(_)
        | Body::Deleted => None,
    });
    of_rules.collect()
}

/// Whether a change opens an alert of a rule that was in force all the time.
fn opens(rule: &str, event: &Event, before: Option<&Document>, after: &Document) -> bool {
    let filter = |text: &str| text.parse::<Filter>().expect("a filter");
    let was = before.map(Filterable::new);
    let is = Filterable::new(after);
    if matches!(event.body, Body::Alert(_)) {
        return false;
    }
    match rule {
        STEADY => {
            let filter = filter(STEADY_WHEN);
            filter.matches(&is, &Nothing) && !was.is_some_and(|was| filter.matches(&was, &Nothing))
        }
        MOVES => filter(MOVES_WHEN).matches(&is, &was),
        _ => {
            let is_silent = |status| matches!(status, Some(Status::Stale | Status::Offline));
            matches!(&event.body, Body::Presence(presence) if presence.reason == PresenceReason::Silence)
                && is_silent(after.status)
                && !is_silent(before.and_then(|before| before.status))
        }
    }
}

/// Of each rule that was in force all the time, every change that should have opened an alert opened one, and
/// nothing else did, however often its event stands in the log.
pub(super) fn follow_from_the_log(world: &World) -> Result<(), String> {
    let limits = Limits::of(&world.layout);
    let mut due: BTreeMap<(DeviceKey, &str), usize> = BTreeMap::new();
    for partition in 0..PARTITIONS {
        let mut documents: BTreeMap<DeviceKey, Document> = BTreeMap::new();
        for (_, event) in events(world, partition) {
            let key = DeviceKey {
                tenant: event.tenant.clone(),
                device: event.device.clone(),
            };
            let before = documents.get(&key).cloned();
            let after = match fold(before.as_ref(), &event, &limits) {
                Outcome::Nothing => continue,
                Outcome::Times(after) => Some(after),
                Outcome::Changed(change) => {
                    for rule in [STEADY, MOVES, NO_HEARTBEAT] {
                        if opens(rule, &event, before.as_ref(), &change.document) {
                            *due.entry((key.clone(), rule)).or_default() += 1;
                        }
                    }
                    Some(change.document)
                }
                Outcome::Deleted => None,
                Outcome::Refused { document, .. } => document,
            };
            match after {
                Some(after) => drop(documents.insert(key, after)),
                None => drop(documents.remove(&key)),
            }
        }
    }
    let mut found: BTreeMap<(DeviceKey, &str), BTreeSet<Box<str>>> = BTreeMap::new();
    for (key, alert) in opened(world) {
        let known = [STEADY, MOVES, NO_HEARTBEAT];
        let rule = rule_of(&alert.alert_id).and_then(|rule| known.into_iter().find(|known| *known == rule));
        if let Some(rule) = rule {
            found.entry((key, rule)).or_default().insert(alert.alert_id);
        }
    }
    let places: BTreeSet<_> = due.keys().chain(found.keys()).collect();
    for place in places {
        let (due, found) = (
            due.get(place).copied().unwrap_or(0),
            found.get(place).map_or(0, BTreeSet::len),
        );
        if due != found {
            return Err(format!(
                "{place:?}: {found} alerts were opened, and {due} should have been"
            ));
        }
    }
    Ok(())
}

/// In the end an alert of a rule of state stands where its rule holds, one for each device, unless somebody
/// closed it or the document had no room for it; and none stands where it does not hold, or the rule is gone.
pub(super) fn stand_where_rules_hold(world: &World) -> Result<(), String> {
    let fickle_is_put = {
        let records = world.log.all(journal::Topic::Control, 0);
        let of_it = records.iter().rfind(|record| record.key.ends_with(FICKLE));
        of_it.is_some_and(|record| record.value.is_some())
    };
    let excused = excused(world);
    for partition in 0..PARTITIONS {
        for (key, document) in super::model::folded(world, partition).documents {
            for (id, when, in_force) in [
                (STEADY, STEADY_WHEN, true),
                (
                    FICKLE,
                    FICKLE_WHEN,
                    fickle_is_put && &*key.tenant == crate::fleet::TENANTS[0],
                ),
            ] {
                let filter: Filter = when.parse().map_err(|error| format!("{error}"))?;
                let holds = in_force && filter.matches(&Filterable::new(&document), &Nothing);
                let alerts = document.alerts.iter();
                let standing = alerts
                    .filter(|alert| rule_of(&alert.alert_id) == Some(id))
                    .count();
                let is_right = match (holds, standing) {
                    (true, 1) | (false, 0) => true,
                    (true, 0) => excused.contains(&(key.clone(), id.into())),
                    (true | false, _) => false,
                };
                if !is_right {
                    return Err(format!(
                        "rule {id} {} of {key:?}, which has {standing} alerts of it: {document:?}",
                        if holds { "holds" } else { "does not hold" },
                    ));
                }
            }
        }
    }
    Ok(())
}

/// The rule that is in force all the time ends no alert while it holds: the alert of its n-th coming true ends when
/// it is false after that, or came true again.
pub(super) fn end_with_their_reason(world: &World) -> Result<(), String> {
    let limits = Limits::of(&world.layout);
    let filter: Filter = STEADY_WHEN.parse().map_err(|error| format!("{error}"))?;
    let holds = |document: &Document| filter.matches(&Filterable::new(document), &Nothing);
    for partition in 0..PARTITIONS {
        let mut devices: BTreeMap<DeviceKey, Steady> = BTreeMap::new();
        for (offset, event) in events(world, partition) {
            let key = DeviceKey {
                tenant: event.tenant.clone(),
                device: event.device.clone(),
            };
            let device = devices.entry(key.clone()).or_default();
            if let Body::Alert(alert) = &event.body
                && rule_of(&alert.alert_id) == Some(STEADY)
            {
                device.step(&event, alert).map_err(|why| {
                    format!(
                        "the alert {} of {key:?} ended at {offset} of {partition}: {why}",
                        alert.alert_id
                    )
                })?;
            }
            match fold(device.document.as_ref(), &event, &limits) {
                Outcome::Nothing => continue,
                Outcome::Times(after) => device.document = Some(after),
                Outcome::Changed(change) => device.document = Some(change.document),
                Outcome::Deleted => device.document = None,
                Outcome::Refused { document, .. } => device.document = document.or(device.document.take()),
            }
            let held = std::mem::replace(&mut device.holds, device.document.as_ref().is_some_and(holds));
            device.rises += usize::from(device.holds && !held);
        }
    }
    Ok(())
}

/// A device and the rule that is in force all the time.
#[derive(Default)]
struct Steady {
    document: Option<Document>,
    holds: bool,
    /// How often it came true.
    rises: usize,
    /// Alerts in the order of their opening, each once.
    opened: Vec<Box<str>>,
}

impl Steady {
    fn step(&mut self, event: &Event, alert: &Alert) -> Result<(), String> {
        let place = self.opened.iter().position(|id| *id == alert.alert_id);
        match alert.status {
            AlertStatus::Open if place.is_none() => self.opened.push(alert.alert_id.clone()),
            // Ids that the reactor makes have dashes; others close what they like.
            AlertStatus::Closed if event.id.contains('-') => {
                let place = place.ok_or("it was never opened")?;
                if self.holds && self.rises <= place + 1 {
                    return Err(format!("the rule holds since it came true {} times", self.rises));
                }
            }
            AlertStatus::Open | AlertStatus::Acknowledged | AlertStatus::Closed => {}
        }
        Ok(())
    }
}

/// Devices and rules of which somebody closed an alert by hand, or of which the fold refused one.
fn excused(world: &World) -> BTreeSet<(DeviceKey, Box<str>)> {
    let limits = Limits::of(&world.layout);
    let mut excused = BTreeSet::new();
    for partition in 0..PARTITIONS {
        let mut documents: BTreeMap<DeviceKey, Document> = BTreeMap::new();
        for (_, event) in events(world, partition) {
            let key = DeviceKey {
                tenant: event.tenant.clone(),
                device: event.device.clone(),
            };
            let outcome = fold(documents.get(&key), &event, &limits);
            if let Body::Alert(alert) = &event.body
                && let Some(rule) = rule_of(&alert.alert_id)
            {
                // Ids that the reactor makes have dashes.
                let by_hand = !event.id.contains('-') && alert.status == AlertStatus::Closed;
                if by_hand || matches!(outcome, Outcome::Refused { .. }) {
                    excused.insert((key.clone(), rule.into()));
                }
            }
            match outcome {
                Outcome::Nothing => {}
                Outcome::Times(after) => drop(documents.insert(key, after)),
                Outcome::Changed(change) => drop(documents.insert(key, change.document)),
                Outcome::Deleted => drop(documents.remove(&key)),
                Outcome::Refused { document, .. } => documents.extend(document.map(|after| (key, after))),
            }
        }
    }
    excused
}

/// No command stays open beyond its time.
pub(super) fn commands_expire(world: &World) -> Result<(), String> {
    for partition in 0..PARTITIONS {
        for (key, document) in super::model::folded(world, partition).documents {
            let mut commands = document.commands.iter();
            if let Some(command) = commands.find(|command| command.expires_at.is_some()) {
                return Err(format!(
                    "command {} of {key:?} did not expire",
                    command.command_id
                ));
            }
        }
    }
    Ok(())
}
