//! What must hold once everything runs again and nobody sends.

mod clients;
mod silence;
mod tables;

use std::collections::BTreeMap;

use rand::rngs::SmallRng;
use serde_json::Value;

use super::actions::{self, Choice};
use super::findings::Findings;
use super::load::{OfDevice, Sent, TENANTS};
use super::truth::{Device, Logged, Stated, Truth};
use super::viewers::{CUT_WHILE_EXCHANGED, stable};
use crate::api::Api;

pub use clients::viewers;
pub use silence::silences;
pub use tables::{counts, counts_of_the_living, fold};

/// Documents by device, as the tables show them.
pub type Documents = BTreeMap<Device, Value>;

/// The documents of every tenant, by the API.
pub async fn documents(gateway: &Api) -> Documents {
    let mut documents = Documents::new();
    for tenant in TENANTS {
        let answer = gateway
            .get(&format!("/v1/devices?tenant={tenant}&limit=1000"))
            .await;
        for document in answer.json["devices"].as_array().into_iter().flatten() {
            let id = document["id"].as_str().unwrap_or_default().to_owned();
            documents.insert((tenant.to_owned(), id), document.clone());
        }
    }
    documents
}

/// What was acknowledged is in the log, in the order of each device, and nothing else is.
pub fn acknowledged(truth: &Truth, sent: &Sent, findings: &Findings) {
    let mut others = truth.events.clone();
    let mut count = 0;
    for ((tenant, device), of_device) in sent {
        let logged = others
            .remove(&((*tenant).to_owned(), device.clone()))
            .unwrap_or_default();
        let firsts = firsts(device, &logged, of_device, findings);
        count += firsts.len() as u64;
        if let Some(at) = first_difference(&firsts, &of_device.ids) {
            findings.violation(
                "the log is not what was acknowledged",
                format!(
                    "{tenant}/{device} from its event {at} on: acknowledged {:?}, logged {:?}; {} and {} in all",
                    around(&of_device.ids, at),
                    around(&firsts, at),
                    of_device.ids.len(),
                    firsts.len()
                ),
            );
        }
    }
    for (device, logged) in others {
        findings.violation(
            "events that nobody sent",
            format!("{device:?}: {:?}", around(&logged, 0)),
        );
    }
    findings.count("events acknowledged", count);
    let reactions = truth.events.values().flatten();
    let reactions = reactions.filter(|event| event.reaction.is_some());
    findings.count("events of the reactor", reactions.count() as u64);
}

/// The ids of a device's events in the order in which each is there first. One is there again only if it was
/// sent again.
fn firsts(device: &str, logged: &[Logged], of_device: &OfDevice, findings: &Findings) -> Vec<String> {
    let mut firsts = Vec::new();
    let mut times: BTreeMap<&str, u32> = BTreeMap::new();
    for event in logged.iter().filter(|event| event.reaction.is_none()) {
        let times = times.entry(&event.id).or_default();
        *times += 1;
        if *times == 1 {
            firsts.push(event.id.clone());
            continue;
        }
        findings.count("events twice in the log, by retries", 1);
        let sent = 1 + of_device.again.get(&event.id).copied().unwrap_or_default();
        if *times > sent {
            let evidence = format!("{device}, sent {sent} times, and for the {times}th time: {event:?}");
            findings.violation("an event stands in the log more often than it was sent", evidence);
        }
    }
    firsts
}

/// Every change of state is there once, in order, and the last is what the tables show.
pub fn states(truth: &Truth, documents: &Documents, findings: &Findings) {
    let mut left: Documents = documents.clone();
    for (device, changes) in &truth.states {
        let mut before: Option<&Stated> = None;
        for change in changes {
            let (version, expected) = (
                change.document.as_ref().map(version),
                before
                    .and_then(|before| before.document.as_ref())
                    .map_or(1, |document| version(document) + 1),
            );
            let late = before.is_some_and(|before| before.source >= change.source);
            if late || version.is_some_and(|version| version != expected) {
                findings.violation(
                    "state is doubled, lost or out of order",
                    format!("{device:?}: version {version:?}, expected {expected}; before {before:?}, then {change:?}"),
                );
            }
            before = Some(change);
        }
        let last = before.and_then(|change| change.document.as_ref()).map(stable);
        let row = left.remove(device).map(|row| stable(&row));
        if last != row {
            findings.violation(
                "the tables are not the state",
                format!("{device:?}: state {last:?}, row {row:?}"),
            );
        }
    }
    for (device, row) in left {
        findings.violation(
            "the tables are not the state",
            format!("{device:?}: no state, row {row}"),
        );
    }
    findings.count(
        "state records",
        truth.states.values().map(|changes| changes.len() as u64).sum(),
    );
}

/// The documents hold what was sent last.
pub fn model(sent: &Sent, documents: &Documents, findings: &Findings) {
    for ((tenant, device), of_device) in sent {
        let document = documents.get(&((*tenant).to_owned(), device.clone()));
        let n = document.and_then(|document| document["fields"]["n"].as_u64());
        if n.is_none() || n != of_device.n.map(|n| n as u64) {
            findings.violation(
                "a document does not hold the last event",
                format!("{tenant}/{device}: n is {n:?}, sent {:?}", of_device.n),
            );
        }
    }
}

/// A run has done what it is there for.
pub fn shown(choice: &Choice, random: &mut SmallRng, findings: &Findings) {
    actions::shown(choice, random, findings);
    if choice.has("Rebuild") && findings.counted(CUT_WHILE_EXCHANGED) == 0 {
        findings.violation("not shown", CUT_WHILE_EXCHANGED.to_owned());
    }
}

fn version(document: &Value) -> u64 {
    document["version"].as_u64().unwrap_or_default()
}

fn first_difference<T: PartialEq>(left: &[T], right: &[T]) -> Option<usize> {
    (0..left.len().max(right.len())).find(|at| left.get(*at) != right.get(*at))
}

fn around<T>(items: &[T], at: usize) -> &[T] {
    &items[at.saturating_sub(2).min(items.len())..(at + 4).min(items.len())]
}
