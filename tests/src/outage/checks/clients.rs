//! What clients saw.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Documents, around, first_difference};
use crate::outage::findings::Findings;
use crate::outage::truth::{Logged, Truth};
use crate::outage::viewers::{Seen, Viewer, stable};

/// Every client saw exactly its part of the log.
pub fn viewers(viewers: &[Viewer], truth: &Truth, documents: &Documents, findings: &Findings) {
    for viewer in viewers {
        match &viewer.seen {
            Seen::Events(seen) => events_of(viewer, seen, truth, findings),
            Seen::Devices(map) => {
                let mut expected: BTreeMap<String, Value> = BTreeMap::new();
                for ((tenant, id), document) in documents {
                    if *tenant == viewer.tenant && viewer.wanted.contains(id) {
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

fn events_of(viewer: &Viewer, seen: &BTreeMap<String, Vec<u64>>, truth: &Truth, findings: &Findings) {
    let mut others: BTreeSet<&String> = seen.keys().collect();
    for ((tenant, device), logged) in &truth.events {
        if *tenant != viewer.tenant || !viewer.wanted.contains(device) {
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
