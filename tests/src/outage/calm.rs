//! After the storm: everything settles, gateways are restarted in turn, and then nothing happens any more.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::join_all;
use journal::{Journal, Topic};
use schemas::Micros;
use tokio::time::{Instant, sleep, timeout};

use super::actions::{GATEWAYS, INGESTS, PROJECTORS, Stage};
use super::checks::{self, Documents};
use super::viewers::{Canary, Phase, Status};

/// Between two looks.
const LOOK: Duration = Duration::from_millis(50);
/// After the storm, until every node is ready, with no server away, and every partition is applied: what was open
/// when the log's last broker was killed takes 28 s (`measure.rs`).
const WELL_MAX: Duration = Duration::from_secs(60);
/// Longest time until every client has a stream, once all is well: it gives one up that is silent for 8 s, waits
/// 0.3 s at most before it connects, 6 s for a gateway that hangs, and turns a page for 4 s.
const BACK_MAX: Duration = Duration::from_secs(25);
/// A drain is no wave when more than so many percent of its cuts fall into a tenth of its time.
const WAVE_PERCENT_MAX: usize = 60;
/// Fewer cuts than these tell nothing of a wave.
const WAVE_CUTS_MIN: usize = 10;
/// After the last disturbance, until every client must have seen the last event on its open stream.
const CALM_MAX: Duration = Duration::from_secs(60);
/// After the last event, until every device must be OFFLINE: `offline-after` is 8 s.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// Looks between which nothing moves.
const SAME: u32 = 10;

/// Every client has a stream, and none ends it by itself any more.
pub async fn settle(stage: &Stage) {
    stage.board.enter(Phase::Settling);
    let begun = Instant::now();
    let mut problem = "nobody looked".to_owned();
    let well = async {
        while let Err(said) = well(stage, begun + WELL_MAX).await {
            problem = said;
            sleep(LOOK * 10).await;
        }
    };
    if timeout(WELL_MAX, well).await.is_err() {
        let evidence = format!("{WELL_MAX:?} after the storm: {problem}");
        stage.findings.violation("it does not get well", evidence);
        tell_readiness(stage).await;
    }
    stage
        .findings
        .took("all is well after the storm", begun.elapsed());
    // Whoever is cut comes back anywhere: the drains that follow have clients on both gateways to cut.
    for proxy in &stage.proxies[..GATEWAYS] {
        proxy.cut();
    }
    sleep(LOOK * 10).await;
    connected(stage, "the storm", |_| true).await;
}

/// Waits until every partition is applied to where it ends now, and looks at the nodes then.
async fn well(stage: &Stage, until: Instant) -> Result<(), String> {
    let opened = stage.servers.open().await.map_err(|error| error.to_string())?;
    let partitions: Vec<_> = (0..opened.journal.layout.partitions).collect();
    let ends = opened.journal.reader.bounds(Topic::Events, &partitions).await;
    for (partition, bounds) in partitions.into_iter().zip(ends) {
        let end = bounds.map_err(|error| error.to_string())?.end;
        loop {
            let applied = opened.store.progress.applied(partition).await;
            let applied = applied.map_err(|error| error.to_string())?;
            if end == 0 || applied.as_ref().is_some_and(|applied| applied.source >= end) {
                break;
            }
            if Instant::now() >= until {
                return Err(format!(
                    "partition {partition} ends at {end}, and is applied to {applied:?}"
                ));
            }
            sleep(LOOK).await;
        }
    }
    for node in stage.nodes.iter() {
        let node = node.lock().await;
        let said = node.readiness().await;
        if !(said.starts_with("200") && said.contains("\"degraded\":[]")) {
            return Err(format!("{}: {said}", node.name));
        }
    }
    Ok(())
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
        let at_once = at_once(&cut, took / 10);
        let is_burst = cut.len() >= WAVE_CUTS_MIN && at_once * 100 > cut.len() * WAVE_PERCENT_MAX;
        if cut.is_empty() || is_burst {
            let evidence = format!(
                "gateway {} cut {} clients, {at_once} of them within {:.2?} of {took:.2?}: {cut:.2?}",
                gateway + 1,
                cut.len(),
                took / 10
            );
            findings.violation("a drain does not spread its cuts", evidence);
        }
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

/// The most of `times` that fall into one stretch of time.
fn at_once(times: &[Duration], stretch: Duration) -> usize {
    let within = |from: &Duration| {
        times
            .iter()
            .filter(|&time| (*from..=*from + stretch).contains(time))
            .count()
    };
    times.iter().map(within).max().unwrap_or_default()
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

/// Kills every projector, so that whoever speaks of the silence that has begun did not see it begin. When all were
/// dead.
pub async fn hand_over(stage: &Stage) -> Micros {
    let begun = Instant::now();
    let mut projectors = Vec::new();
    for projector in &stage.nodes[INGESTS..INGESTS + PROJECTORS] {
        let mut projector = projector.lock().await;
        stage.strike(&mut projector).await;
        projectors.push(projector);
    }
    let dead = node::system_clock()();
    join_all(projectors.iter_mut().map(|projector| projector.start_again())).await;
    stage
        .findings
        .took("both projectors start again in the calm", begun.elapsed());
    dead
}

/// Every client sees the last events of each of its devices that `has` them on the stream that it had open before.
pub async fn last_events(stage: &Stage, journal: &Journal, has: impl Fn(&str) -> bool) {
    seen(stage, journal, "the last event", |(device, kind)| {
        *kind != "presence" && has(device)
    })
    .await;
}

/// And then that they are OFFLINE.
pub async fn last_verdicts(stage: &Stage, journal: &Journal) {
    seen(stage, journal, "that all are OFFLINE", |_| true).await;
}

async fn seen(stage: &Stage, journal: &Journal, what: &str, counts: impl Fn(&Canary) -> bool) {
    let begun = Instant::now();
    let waits = |status: &Status| status.canaries.iter().any(&counts);
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

/// Everything that is known of a run that does not end.
pub async fn tell_all(stage: &Stage) {
    let findings = &stage.findings;
    tell_readiness(stage).await;
    for node in stage.nodes.iter() {
        if let Ok(node) = node.try_lock() {
            findings.say(&format!("{} said: {}", node.name, node.said()));
        }
    }
    for (number, status) in stage.board.all().iter().enumerate() {
        findings.say(&format!("client {number}: {status:?}"));
    }
    match timeout(LOOK * 200, stage.servers.open()).await {
        Ok(Ok(opened)) => {
            let partitions: Vec<_> = (0..opened.journal.layout.partitions).collect();
            let ends = opened.journal.reader.bounds(Topic::Events, &partitions);
            let ends = timeout(LOOK * 200, ends).await;
            findings.say(&format!("ends: {ends:?}"));
        }
        Ok(Err(error)) => findings.say(&format!("servers: {error}")),
        Err(_) => findings.say("servers: no answer"),
    }
}

async fn tell_readiness(stage: &Stage) {
    for (number, node) in stage.nodes.iter().enumerate() {
        let Ok(node) = node.try_lock() else {
            stage
                .findings
                .say(&format!("node {number}: something is being done to it"));
            continue;
        };
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_at_once_are_told_from_a_wave() {
        let wave: Vec<Duration> = (0..10).map(Duration::from_secs).collect();
        assert_eq!(at_once(&wave, Duration::from_secs(1)), 2);
        assert_eq!(at_once(&[Duration::ZERO; 7], Duration::from_secs(1)), 7);
        assert_eq!(at_once(&[], Duration::from_secs(1)), 0);
    }
}
