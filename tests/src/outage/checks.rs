//! What must hold once everything runs again and nobody sends.

use std::collections::{BTreeMap, BTreeSet};

use node::storage::Opened;
use projector::rebuild::{self, Options, Refold};
use serde_json::Value;

use super::findings::Findings;
use super::load::{Sent, TENANTS, is_mortal};
use super::truth::{Device, Logged, Stated, Truth};
use super::viewers::{Seen, Viewer, stable};
use crate::api::Api;

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
    let mut events = truth.events.clone();
    let (mut count, mut twice) = (0, 0);
    for ((tenant, device), of_device) in sent {
        let logged = events
            .remove(&((*tenant).to_owned(), device.clone()))
            .unwrap_or_default();
        let mut firsts = Vec::new();
        let mut known = BTreeSet::new();
        for event in logged.iter().filter(|event| !event.reaction) {
            if known.insert(event.id.clone()) {
                firsts.push(event.id.clone());
            } else {
                twice += 1;
            }
        }
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
    for (device, logged) in events {
        findings.violation(
            "events that nobody sent",
            format!("{device:?}: {:?}", around(&logged, 0)),
        );
    }
    findings.count("events acknowledged", count);
    findings.count("events twice in the log, by retries", twice);
    let reactions = truth.events.values().flatten().filter(|event| event.reaction);
    findings.count("events of the reactor", reactions.count() as u64);
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
        // A retry that arrives after its device's deletion makes it anew, which no model of ours foretells.
        if !is_mortal(device) && n != of_device.n.map(|n| n as u64) {
            findings.violation(
                "a document does not hold the last event",
                format!("{tenant}/{device}: n is {n:?}, sent {:?}", of_device.n),
            );
        }
    }
}

/// Every client saw exactly its part of the log.
pub fn viewers(viewers: &[Viewer], truth: &Truth, documents: &Documents, findings: &Findings) {
    for viewer in viewers {
        match &viewer.seen {
            Seen::Events(seen) => events_of(viewer, seen, truth, findings),
            Seen::Devices(map) => {
                let mut expected: BTreeMap<String, Value> = BTreeMap::new();
                for ((tenant, id), document) in documents {
                    if *tenant == viewer.tenant && wants(viewer, id) {
                        expected.insert(id.clone(), stable(document));
                    }
                }
                for id in expected
                    .keys()
                    .chain(map.documents.keys())
                    .collect::<BTreeSet<_>>()
                {
                    let (has, should) = (map.documents.get(id), expected.get(id));
                    if has != should {
                        findings.violation(
                            "a client's map is not the tables",
                            format!("{}: {id}: has {has:?}, should have {should:?}", viewer.named()),
                        );
                    }
                }
            }
        }
    }
}

fn wants(viewer: &Viewer, device: &str) -> bool {
    viewer
        .devices
        .as_ref()
        .is_none_or(|devices| devices.contains(device))
}

fn events_of(viewer: &Viewer, seen: &BTreeMap<String, Vec<u64>>, truth: &Truth, findings: &Findings) {
    let mut others: BTreeSet<&String> = seen.keys().collect();
    for ((tenant, device), logged) in &truth.events {
        if *tenant != viewer.tenant || !wants(viewer, device) {
            continue;
        }
        others.remove(device);
        let kinds = viewer.kinds.as_ref();
        let logged: Vec<&Logged> = logged
            .iter()
            .filter(|event| kinds.is_none_or(|kinds| kinds.contains(event.kind)))
            .collect();
        let expected: Vec<u64> = logged.iter().map(|event| event.mark).collect();
        let seen = seen.get(device).map_or(&[][..], Vec::as_slice);
        findings.count("events checked at clients", expected.len() as u64);
        if let Some(at) = first_difference(&expected, seen) {
            let known: Vec<Option<&&Logged>> = around(seen, at)
                .iter()
                .map(|mark| logged.iter().find(|event| event.mark == *mark))
                .collect();
            findings.violation(
                "a client's events are not the log",
                format!(
                    "{}: {device} from event {at} of {} on (received {}): expected {:?}, received {known:?}",
                    viewer.named(),
                    expected.len(),
                    seen.len(),
                    around(&logged, at),
                ),
            );
        }
    }
    if !others.is_empty() {
        findings.violation(
            "a client's events are not the log",
            format!("{}: also {others:?}", viewer.named()),
        );
    }
}

/// The tables are what `wakeline.state` says, and what folding every event anew gives.
pub async fn fold(opened: &Opened, findings: &Findings) {
    let options = Options::default();
    let refold = Refold {
        since: 0,
        write_to: None,
    };
    let compared = rebuild::compare(&opened.journal, &opened.store, &options, &|_| ()).await;
    let folded = rebuild::refold(&opened.journal, &opened.store, &options, refold, &|_| ()).await;
    for (what, comparison) in [
        ("wakeline.state", compared),
        ("the fold of wakeline.events", folded),
    ] {
        match comparison {
            Ok(comparison) if comparison.different == 0 => {
                findings.count(format!("documents equal to {what}"), comparison.devices);
            }
            other => findings.violation("the tables are not the log", format!("not {what}: {other:?}")),
        }
    }
}

/// The summary is what counting every document gives.
pub async fn summary(gateway: &Api, documents: &Documents, findings: &Findings) {
    for tenant in TENANTS {
        let told = gateway.get(&format!("/v1/summary?tenant={tenant}")).await.json;
        let of_tenant = || documents.iter().filter(|((of, _), _)| of == tenant);
        for status in ["ONLINE", "STALE", "OFFLINE"] {
            let counted = of_tenant()
                .filter(|(_, document)| document["status"] == status)
                .count() as u64;
            if told[status].as_u64() != Some(counted) {
                findings.violation(
                    "counts are wrong",
                    format!("{tenant}: {counted} are {status}, told {told}"),
                );
            }
        }
        let total = of_tenant().count() as u64;
        if told["total"].as_u64() != Some(total) {
            findings.violation(
                "counts are wrong",
                format!("{tenant}: {total} in all, told {told}"),
            );
        }
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
