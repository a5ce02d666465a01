//! After the storm: everything settles, gateways are restarted in turn, and then nothing happens any more.

use std::collections::BTreeMap;
use std::time::Duration;

use journal::{Journal, Topic};
use tokio::time::{Instant, sleep};

use super::actions::{GATEWAYS, INGESTS, PROJECTORS, Stage};
use super::checks::{self, Documents};
use super::viewers::{Phase, Status};

/// Between two looks.
const LOOK: Duration = Duration::from_millis(50);
/// Longest time until every client has a stream, when nothing is disturbed: they wait 0.3 s at most before they
/// connect, 6 s for a gateway that hangs, and once more.
const BACK_MAX: Duration = Duration::from_secs(15);
/// After the last disturbance, until every client must have seen the last event on its open stream.
const CALM_MAX: Duration = Duration::from_secs(60);
/// After the last event, until every device must be OFFLINE: `offline-after` is 8 s.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// Looks between which nothing moves.
const SAME: u32 = 10;

/// Every client has a stream, and none ends it by itself any more.
pub async fn settle(stage: &Stage) {
    stage.board.enter(Phase::Settling);
    sleep(Duration::from_secs(3)).await;
    connected(stage, "the storm", |_| true).await;
}

/// Ends each gateway gracefully, one after the other: each cuts a client once at most.
pub async fn rolling_restart(stage: &Stage) {
    let findings = &stage.findings;
    let first = stage.board.all();
    for gateway in 0..GATEWAYS {
        let before = stage.board.all();
        let begun = Instant::now();
        stage.board.trouble(gateway, "a drain, alone");
        let mut node = stage.nodes[INGESTS + PROJECTORS + gateway].lock().await;
        let took = node.drain().await;
        let ended = Instant::now();
        findings.took("drain of a gateway", took);
        node.start_again().await;
        drop(node);
        // Whoever was cut is back before the next one goes.
        let is_back = |(at, since): (usize, Instant)| at != gateway || since > ended;
        connected(stage, "a drain", is_back).await;
        let after = stage.board.all();
        for (number, times) in cuts(&before, &after) {
            if times > 1 {
                let evidence = format!("client {number}: {times} times by gateway {}", gateway + 1);
                findings.violation("a drain cuts a client twice", evidence);
            }
        }
        let cut_at = after.iter().filter_map(|status| status.cut_at);
        let cut: Vec<Duration> = cut_at.filter(|at| *at > begun).map(|at| at - begun).collect();
        let (first, last) = (cut.iter().min(), cut.iter().max());
        findings.say(&format!(
            "gateway {} drained in {took:.2?}: {} clients cut, from {first:.2?} to {last:.2?}",
            gateway + 1,
            cut.len()
        ));
    }
    let mut times: BTreeMap<u32, u32> = BTreeMap::new();
    for (_, of_client) in cuts(&first, &stage.board.all()) {
        *times.entry(of_client).or_default() += 1;
    }
    for (times, clients) in times {
        // Twice: the first cut took it to the gateway that went next.
        let what = format!("clients cut {times} times by the rolling restart of {GATEWAYS} gateways");
        findings.count(what, u64::from(clients));
    }
}

fn cuts<'a>(before: &'a [Status], after: &'a [Status]) -> impl Iterator<Item = (usize, u32)> + 'a {
    let pairs = before.iter().zip(after);
    pairs.map(|(before, after)| after.cuts - before.cuts).enumerate()
}

/// Waits until every client has a stream that counts.
async fn connected(stage: &Stage, after: &str, counts: impl Fn((usize, Instant)) -> bool) {
    let begun = Instant::now();
    loop {
        let all = stage.board.all();
        let away = |status: &&Status| status.turns || !status.connection.is_some_and(&counts);
        let away: Vec<&Status> = all.iter().filter(away).collect();
        if away.is_empty() {
            return;
        }
        if begun.elapsed() > BACK_MAX {
            let evidence = format!("{} after {after}: {:?}", away.len(), away.first());
            stage.findings.violation("clients do not come back", evidence);
            return;
        }
        sleep(LOOK).await;
    }
}

/// Every client sees the last events of each of its devices on the stream that it had open before.
pub async fn last_events(stage: &Stage, journal: &Journal) {
    seen(stage, journal, "the last event", |kind| kind != "presence").await;
}

/// And then that they are OFFLINE.
pub async fn last_verdicts(stage: &Stage, journal: &Journal) {
    seen(stage, journal, "that all are OFFLINE", |_| true).await;
}

async fn seen(stage: &Stage, journal: &Journal, what: &str, counts: impl Fn(&str) -> bool) {
    let begun = Instant::now();
    let waits = |status: &Status| status.canaries.iter().any(|(_, kind)| counts(kind));
    while stage.board.all().iter().any(&waits) {
        if begun.elapsed() > CALM_MAX {
            for (number, status) in stage.board.all().iter().enumerate() {
                if waits(status) {
                    let evidence = format!("client {number} has not seen {what}: {status:?}");
                    stage.findings.violation("a stream hangs", evidence);
                }
            }
            tell_state(stage, journal).await;
            return;
        }
        sleep(LOOK).await;
    }
    stage
        .findings
        .took(format!("{what} is at every client after"), begun.elapsed());
}

async fn tell_state(stage: &Stage, journal: &Journal) {
    tell_readiness(stage).await;
    let partitions: Vec<_> = (0..journal.layout.partitions).collect();
    let ends = journal.reader.bounds(Topic::Events, &partitions).await;
    stage.findings.say(&format!("ends: {ends:?}"));
}

async fn tell_readiness(stage: &Stage) {
    for node in stage.nodes.iter() {
        let node = node.lock().await;
        stage
            .findings
            .say(&format!("{}: {}", node.name, node.readiness().await));
    }
}

/// Waits until every device is OFFLINE and nothing moves. The documents as they are then.
pub async fn silence(stage: &Stage, gateway: &crate::api::Api) -> Documents {
    let begun = Instant::now();
    let (mut last, mut same) = (Documents::new(), 0);
    loop {
        let now = checks::documents(gateway).await;
        let silent = now.values().all(|document| document["status"] == "OFFLINE");
        same = if silent && now == last { same + 1 } else { 0 };
        last = now;
        if same == SAME {
            return last;
        }
        if begun.elapsed() > SILENCE_MAX {
            let not_offline = last
                .iter()
                .filter(|(_, document)| document["status"] != "OFFLINE");
            for (device, document) in not_offline {
                let evidence = format!("{device:?} after {SILENCE_MAX:?}: {document}");
                stage
                    .findings
                    .violation("a silent device is not OFFLINE", evidence);
            }
            tell_readiness(stage).await;
            return last;
        }
        sleep(Duration::from_millis(300)).await;
    }
}
