//! What must hold of presence, worked out from the log alone.

use std::collections::{BTreeMap, BTreeSet};

use journal::Offset;
use schemas::event::{PresenceReason, Status};
use schemas::{Body, Document, Event, Micros};
use state::fold::is_sign_of_life;
use state::{Limits, Outcome, fold};

use super::model::{events, folded};
use super::world::{PARTITIONS, World};

/// Tenant and device.
pub(super) type Name = (Box<str>, Box<str>);
/// Status, and whether it was ever seen.
type Liveness = (Option<Status>, bool);
pub(super) type Faithful = BTreeSet<Name>;

fn status_of(world: &World) -> BTreeMap<Name, Liveness> {
    let mut statuses = BTreeMap::new();
    for partition in 0..PARTITIONS {
        for (key, document) in folded(world, partition).documents {
            let was_seen = document.last_seen_at.is_some();
            statuses.insert((key.tenant, key.device), (document.status, was_seen));
        }
    }
    statuses
}

/// Who keeps sending is ONLINE.
pub(super) fn are_online(world: &World, faithful: &Faithful) -> Result<(), String> {
    let statuses = status_of(world);
    for device in faithful {
        match statuses.get(device) {
            Some((Some(Status::Online), _)) => {}
            found => return Err(format!("{device:?} keeps sending and is {found:?}")),
        }
    }
    Ok(())
}

/// Who was seen, and then was silent for long, is OFFLINE.
pub(super) fn are_offline(world: &World) -> Result<(), String> {
    for (device, (status, was_seen)) in status_of(world) {
        if was_seen && status != Some(Status::Offline) {
            return Err(format!("{device:?} has long been silent and is {status:?}"));
        }
    }
    Ok(())
}

/// The status that a verdict of silence gives.
fn verdict(event: &Event) -> Option<Status> {
    match &event.body {
        Body::Presence(presence) if presence.reason == PresenceReason::Silence => presence.status,
        Body::Presence(_)
        | Body::Telemetry(_)
        | Body::Lock(_)
        | Body::Log(_)
        | Body::Entity(_)
        | Body::Location(_)
        | Body::Command(_)
        | Body::Alert(_)
        | Body::Device(_)
        | Body::Deleted => None,
    }
}

/// Whether somebody else says what the device's status is.
fn is_other_word(event: &Event) -> bool {
    matches!(&event.body, Body::Presence(presence)
        if presence.status.is_some() && presence.reason != PresenceReason::Silence)
}

/// No verdict was ever given on who keeps sending.
pub(super) fn were_never_silent(world: &World, faithful: &Faithful) -> Result<(), String> {
    for partition in 0..PARTITIONS {
        for (offset, event) in events(world, partition) {
            if let Some(status) = verdict(&event)
                && faithful.contains(&(event.tenant.clone(), event.device.clone()))
            {
                return Err(format!(
                    "{} keeps sending and was called {} in event {offset} of partition {partition}",
                    event.device,
                    status.word()
                ));
            }
        }
    }
    Ok(())
}

/// Between two signs of life (or words of others about its status), a device is called STALE once at most, and
/// OFFLINE once at most; the same event may stand in the log twice.
pub(super) fn each_silence_is_told_once(world: &World) -> Result<(), String> {
    for partition in 0..PARTITIONS {
        let mut told: BTreeMap<(Name, Status), Box<str>> = BTreeMap::new();
        let mut seen: BTreeMap<Name, Micros> = BTreeMap::new();
        for (offset, event) in events(world, partition) {
            let device = (event.tenant.clone(), event.device.clone());
            if is_sign_of_life(&event) {
                let seen = seen.entry(device.clone()).or_default();
                *seen = event.received_at.max(*seen);
            }
            if is_sign_of_life(&event) || is_other_word(&event) {
                told.retain(|(told, _), _| *told != device);
            }
            let Some(status) = verdict(&event) else { continue };
            if seen
                .get(&device)
                .is_some_and(|seen| !was_silent(world, &event, status, *seen))
            {
                // A sign of life overtook it on its way into the log: it is of the silence before.
                continue;
            }
            let key = (device, status);
            if told
                .insert(key, event.id.clone())
                .is_some_and(|before| before != event.id)
            {
                return Err(format!(
                    "{} was called {} twice, the second time in event {offset} of partition {partition}",
                    event.device,
                    status.word()
                ));
            }
        }
    }
    Ok(())
}

/// Whoever shows a sign of life while it is not ONLINE is called ONLINE, unless it is told otherwise; and so is
/// whoever was called silent and was not, unless it is STALE meanwhile, and called so.
pub(super) fn whoever_lives_is_called_online(world: &World) -> Result<(), String> {
    let limits = Limits::of(&world.layout);
    for partition in 0..PARTITIONS {
        let mut documents: BTreeMap<Name, Document> = BTreeMap::new();
        let mut owed: BTreeMap<Name, Offset> = BTreeMap::new();
        let mut wrong: BTreeMap<Name, Offset> = BTreeMap::new();
        for (offset, event) in events(world, partition) {
            let device = (event.tenant.clone(), event.device.clone());
            let before = documents.get(&device).cloned();
            let after = match fold(before.as_ref(), &event, &limits) {
                Outcome::Nothing => continue,
                Outcome::Times(after) => Some(after),
                Outcome::Changed(change) => Some(change.document),
                Outcome::Deleted => None,
                Outcome::Refused { document, .. } => document,
            };
            let Some(after) = after else {
                documents.remove(&device);
                owed.remove(&device);
                wrong.remove(&device);
                continue;
            };
            let is_told = after.status == Some(Status::Online) || is_other_word(&event);
            match verdict(&event) {
                _ if is_told => {
                    owed.remove(&device);
                    wrong.remove(&device);
                }
                None if is_sign_of_life(&event) => drop(owed.entry(device.clone()).or_insert(offset)),
                None => {}
                Some(status) if is_true(world, &event, status, &after) => {
                    let stood = wrong.remove(&device).filter(|_| status != Status::Stale);
                    if let Some(heard) = owed.get(&device).or(stood.as_ref()) {
                        return Err(format!(
                            "{} lived in event {heard} of partition {partition}, and the next word is {} in event {offset}",
                            event.device,
                            status.word()
                        ));
                    }
                }
                // Its event changed the status though the device was heard in time.
                Some(_) if before.is_some_and(|before| before.status != after.status) => {
                    wrong.entry(device.clone()).or_insert(offset);
                }
                Some(_) => {}
            }
            documents.insert(device, after);
        }
        if let Some(((_, device), offset)) = owed.iter().chain(&wrong).next() {
            return Err(format!(
                "{device} lives since event {offset} of partition {partition}, and nobody says so"
            ));
        }
    }
    Ok(())
}

/// Whether all of the time was silent that a verdict speaks of.
fn is_true(world: &World, event: &Event, status: Status, document: &Document) -> bool {
    document
        .last_seen_at
        .is_none_or(|seen| was_silent(world, event, status, seen))
}

/// Whether a device last heard at `seen` was silent for all of the time that its verdict speaks of.
fn was_silent(world: &World, event: &Event, status: Status, seen: Micros) -> bool {
    let silence = match status {
        Status::Stale => world.settings.stale_after,
        Status::Offline => world.settings.offline_after,
        Status::Online => return false,
    };
    let silence = Micros::try_from(silence.as_micros()).unwrap_or(Micros::MAX);
    seen + silence <= event.occurred_at
}
