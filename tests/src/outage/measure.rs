//! How long each kind of outage lasts with nothing else going on: the ends of both topics are looked at all along,
//! and clients tell when they are live again. What takes longer than settings allow for is a finding.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use journal::{Journal, Partition, Topic};
use rand::RngExt as _;
use rand::rngs::SmallRng;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::actions::{GATEWAYS, INGESTS, PROJECTORS, Stage};
use super::findings::Findings;
use super::servers::BROKERS;

/// Time between two looks.
const LOOK: Duration = Duration::from_millis(150);
/// A shorter pause is one of the load.
const PAUSE: Duration = Duration::from_millis(1_500);
/// What stands still because of an outage does so from then on.
const BEGINS_MAX: Duration = Duration::from_secs(3);
/// What is down stays down for so long: longer than what should go on without it takes.
const DOWN: Duration = Duration::from_secs(30);
/// After it is up again, before the next.
const QUIET: Duration = Duration::from_secs(12);
/// A client finds the other gateway: `PAUSE_MS` and a refused connection, some times over, then what it missed.
const GATEWAY_MAX: Duration = Duration::from_secs(10);
/// `kafka-session-timeout` (6 s), a rebalance (`kafka-heartbeat`, 2 s, twice), and the dead one's transaction,
/// which whoever comes next aborts; as much again for recovery and two busy cores.
const PROJECTOR_MAX: Duration = Duration::from_secs(20);
/// `broker.session.timeout.ms` (3 s), then `kafka-socket-timeout` (10 s) where a connection is open and mute,
/// then the question who leads (`kafka-request-timeout`, 5 s).
const BROKER_MAX: Duration = Duration::from_secs(18);
/// The same where the broker led the group or its transactions: `kafka-session-timeout` (6 s) until whoever lost it
/// comes back, and `kafka-transaction-timeout` (10 s) for what was open.
const BROKER_OF_STATE_MAX: Duration = Duration::from_secs(28);
/// The driver fills its pool again after 10 s at most, and `projector-retry-max` is 5 s; the CQL server's first answers
/// take seconds.
const CQL_MAX: Duration = Duration::from_secs(20);

type Moves = BTreeMap<(u8, Partition), Vec<Instant>>;

/// One outage of each kind with nothing else going on.
pub async fn alone(stage: &Stage, monitor: &Monitor, random: &mut SmallRng) {
    let findings = &stage.findings;
    let gateway = INGESTS + PROJECTORS + random.random_range(0..GATEWAYS);
    let projector = INGESTS + random.random_range(0..PROJECTORS);
    let live_again = "client live again after a killed gateway, alone";
    let before = findings.samples(live_again);
    for (node, what) in [(gateway, "a killed gateway"), (projector, "a killed projector")] {
        let begun = Instant::now();
        findings.say(what);
        stage.kill(node, DOWN, &format!("{what}, alone")).await;
        tokio::time::sleep(QUIET).await;
        if node == projector {
            monitor.report(Topic::State, begun..begun, what, PROJECTOR_MAX, findings);
        }
    }
    findings.at_most(live_again, GATEWAY_MAX, before);
    let broker = format!("kafka-{}", random.random_range(1..=BROKERS));
    for (down, up, what) in [
        ("kill", "start", "a killed broker"),
        ("freeze", "thaw", "a frozen broker"),
    ] {
        let begun = Instant::now();
        findings.say(&format!("{what}: {broker}"));
        stage.outage(down, up, &broker, DOWN).await;
        tokio::time::sleep(QUIET).await;
        monitor.report(Topic::Events, begun..begun, what, BROKER_MAX, findings);
        monitor.report(Topic::State, begun..begun, what, BROKER_OF_STATE_MAX, findings);
    }
    let begun = Instant::now();
    findings.say("a killed CQL server");
    stage.outage("kill", "start", "cql", Duration::from_secs(1)).await;
    let up = Instant::now();
    tokio::time::sleep(CQL_MAX + PAUSE).await;
    findings.took("start of a killed CQL server", up - begun);
    monitor.report(
        Topic::State,
        begun..up,
        "the CQL server is back",
        CQL_MAX,
        findings,
    );
}

/// Looks until dropped.
pub struct Monitor {
    moves: Arc<Mutex<Moves>>,
    _tasks: JoinSet<()>,
}

impl Monitor {
    /// Starts looking at every partition.
    #[must_use]
    pub fn start(journal: &Journal) -> Self {
        let moves: Arc<Mutex<Moves>> = Arc::default();
        let mut tasks = JoinSet::new();
        for topic in [Topic::Events, Topic::State] {
            for partition in 0..journal.layout.partitions {
                let (journal, moves) = (journal.clone(), Arc::clone(&moves));
                tasks.spawn(async move {
                    let mut end = 0;
                    loop {
                        if let Some(Ok(bounds)) = journal.reader.bounds(topic, &[partition]).await.first()
                            && bounds.end > end
                        {
                            end = bounds.end;
                            let mut moves = moves.lock().unwrap_or_else(PoisonError::into_inner);
                            moves
                                .entry((key(topic), partition))
                                .or_default()
                                .push(Instant::now());
                        }
                        tokio::time::sleep(LOOK).await;
                    }
                });
            }
        }
        Self { moves, _tasks: tasks }
    }

    /// Tells how long after the end of an `outage` the partitions of `topic` that stood still since its beginning went
    /// on: within `max`. One at least must have stood still.
    pub fn report(
        &self,
        topic: Topic,
        outage: Range<Instant>,
        what: &str,
        max: Duration,
        findings: &Findings,
    ) {
        let of_all = format!("{} goes on after {what}", topic.name());
        let before = findings.samples(&of_all);
        let moves = self.moves.lock().unwrap_or_else(PoisonError::into_inner);
        for ((_, partition), moves) in moves.iter().filter(|((of, _), _)| *of == key(topic)) {
            let named = format!("{} goes on after {what}", topic.name());
            match went_on(moves, outage.start, Instant::now()) {
                Some(Stood::Until(end)) => {
                    let after = end.saturating_duration_since(outage.end);
                    findings.say(&format!("{named}: partition {partition}, {after:.2?}"));
                    findings.took(named, after);
                }
                Some(Stood::Still(since)) => findings.violation(
                    "a partition does not go on",
                    format!("{named}: partition {partition}, {:.2?} ago", since.elapsed()),
                ),
                None => {}
            }
        }
        drop(moves);
        findings.at_most(&of_all, max, before);
    }
}

/// How a partition stood still.
#[derive(Debug, PartialEq)]
enum Stood {
    Until(Instant),
    /// Since then, and it still does.
    Still(Instant),
}

/// The longest time that a partition with these `moves` stood still from about `from` on, as seen `now`.
fn went_on(moves: &[Instant], from: Instant, now: Instant) -> Option<Stood> {
    let ends = moves.iter().copied().skip(1).map(Some).chain([None]);
    moves
        .iter()
        .zip(ends)
        .map(|(start, end)| (*start, end, end.unwrap_or(now)))
        .filter(|(start, _, until)| *until > from && *start < from + BEGINS_MAX && *until - *start > PAUSE)
        .max_by_key(|(start, _, until)| *until - *start)
        .map(|(start, end, _)| end.map_or(Stood::Still(start), Stood::Until))
}

const fn key(topic: Topic) -> u8 {
    match topic {
        Topic::Events => 0,
        Topic::State => 1,
        Topic::Control => 2,
        Topic::Rejected => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(begun: Instant, seconds: &[u64]) -> Vec<Instant> {
        let after = |seconds: &u64| begun + Duration::from_secs(*seconds);
        seconds.iter().map(after).collect()
    }

    #[test]
    fn a_pause_ends_with_the_next_move() {
        let begun = Instant::now();
        let moves = at(begun, &[9, 10, 16, 17]);
        let (from, now) = (moves[1], begun + Duration::from_secs(18));
        assert_eq!(went_on(&moves, from, now), Some(Stood::Until(moves[2])));
    }

    #[test]
    fn who_stands_still_did_not_go_on() {
        let begun = Instant::now();
        let moves = at(begun, &[9, 10]);
        let (from, now) = (moves[1], begun + Duration::from_secs(18));
        assert_eq!(went_on(&moves, from, now), Some(Stood::Still(moves[1])));
    }

    #[test]
    fn later_pauses_have_other_reasons() {
        let begun = Instant::now();
        let moves = at(begun, &[9, 10, 11, 12, 13, 14, 15, 25, 26]);
        let (from, now) = (moves[1], begun + Duration::from_secs(27));
        assert_eq!(went_on(&moves, from, now), None);
    }
}
