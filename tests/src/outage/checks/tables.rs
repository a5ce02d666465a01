//! The tables, and the counts beside them.

use std::time::Duration;

use journal::Topic;
use node::storage::Opened;
use projector::rebuild::{self, Options, Refold};
use serde_json::Value;
use tokio::time::Instant;

use super::{Documents, documents};
use crate::api::Api;
use crate::outage::findings::Findings;
use crate::outage::load::TENANTS;

/// Longest wait for a moment in which documents stand still and are counted; a few devices live as long.
const LIVING_MAX: Duration = Duration::from_secs(60);

/// Tables that began to serve just now are written by projectors once these notice, within 5 s.
const APPLIED_MAX: Duration = Duration::from_secs(30);

/// The tables are what `wakeline.state` says, and what folding every event anew gives: all events, all devices.
pub async fn fold(opened: &Opened, documents: &Documents, findings: &Findings) {
    applied(opened, findings).await;
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
            Ok(comparison) if comparison.different == 0 && comparison.devices == documents.len() as u64 => {
                findings.count(format!("documents equal to {what}"), comparison.devices);
            }
            other => findings.violation(
                "the tables are not the log",
                format!("not {what}, of {} devices: {other:?}", documents.len()),
            ),
        }
    }
}

/// Every event is in the tables.
async fn applied(opened: &Opened, findings: &Findings) {
    let begun = Instant::now();
    for partition in 0..opened.journal.layout.partitions {
        loop {
            let applied = opened.store.progress.applied(partition).await;
            let source = applied.map(|applied| applied.map(|applied| applied.source));
            let mut bounds = opened.journal.reader.bounds(Topic::Events, &[partition]).await;
            let end = bounds.pop().expect("an answer").map(|bounds| bounds.end);
            if matches!((&source, &end), (Ok(Some(source)), Ok(end)) if source == end) {
                break;
            }
            if begun.elapsed() > APPLIED_MAX {
                findings.violation(
                    "the tables are not the log",
                    format!("partition {partition} is applied to {source:?}, and ends at {end:?}"),
                );
                break;
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    }
}

/// The counts of each tenant are what counting every document gives.
pub async fn counts(gateway: &Api, documents: &Documents, findings: &Findings) {
    for wrong in miscounts(&told(gateway).await, documents) {
        findings.violation("counts are wrong", wrong);
    }
}

/// So they are while devices are ONLINE. Documents that are the same before and after the question are those
/// that were counted, unless what was read is older than its count: that passes, a wrong count does not.
pub async fn counts_of_the_living(of_documents: &Api, of_counts: &Api, findings: &Findings) {
    let begun = Instant::now();
    let mut wrong = Vec::new();
    while begun.elapsed() < LIVING_MAX {
        let before = documents(of_documents).await;
        let told = told(of_counts).await;
        let lives = before.values().any(|document| document["status"] == "ONLINE");
        if lives && before == documents(of_documents).await {
            wrong = miscounts(&told, &before);
            if wrong.is_empty() {
                findings.count("counts compared while devices are ONLINE", 1);
                return;
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    if wrong.is_empty() {
        findings.violation("not shown", "counts while devices are ONLINE".to_owned());
    }
    for wrong in wrong {
        findings.violation("counts are wrong", wrong);
    }
}

async fn told(gateway: &Api) -> Vec<(&'static str, Value)> {
    let mut told = Vec::new();
    for tenant in TENANTS {
        let answer = gateway.get(&format!("/v1/summary?tenant={tenant}")).await;
        told.push((tenant, answer.json));
    }
    told
}

fn miscounts(told: &[(&'static str, Value)], documents: &Documents) -> Vec<String> {
    let mut wrong = Vec::new();
    for (tenant, told) in told {
        let of_tenant = || documents.iter().filter(|((of, _), _)| of == tenant);
        let of_status = |status: &str| {
            let with = of_tenant().filter(|(_, document)| document["status"] == status);
            with.count() as u64
        };
        let all = ["ONLINE", "STALE", "OFFLINE"].map(|status| (status, of_status(status)));
        for (what, counted) in all.into_iter().chain([("total", of_tenant().count() as u64)]) {
            if told[what].as_u64() != Some(counted) {
                wrong.push(format!("{tenant}: {what} is {counted}, told {told}"));
            }
        }
    }
    wrong
}
