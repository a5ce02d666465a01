//! What every run does first, whatever is drawn later: each thing once, so that no run shows nothing.

use std::time::Duration;

use projector::Point;
use rand::RngExt as _;
use rand::rngs::SmallRng;
use tokio::task::JoinSet;

use super::stage::{PROXIES, role_of};
use super::{Action, Choice, GATEWAYS, INGESTS, PROJECTORS, Stage};
use crate::outage::findings::Findings;
use crate::outage::servers::BROKERS;

/// How often something is done until it has shown itself.
const TRIES: u32 = 8;
/// How long a node or a server is down.
const DOWN: Duration = Duration::from_millis(500);
/// How long a connection stalls.
const STALL: Duration = Duration::from_secs(1);

/// Does each thing until it has shown itself, several at once.
pub async fn script(stage: &Stage, random: &mut SmallRng, choice: &Choice) {
    let mut under_way = JoinSet::new();
    for lane in lanes(random) {
        let (stage, choice, seed) = (stage.clone(), choice.clone(), random.random());
        under_way.spawn(async move {
            for action in lane.into_iter().filter(|action| choice.has(action.name())) {
                for _ in 0..TRIES {
                    stage.act(action, seed).await;
                    if not_shown(action, &stage.findings).is_none() {
                        break;
                    }
                }
            }
        });
    }
    while let Some(done) = under_way.join_next().await {
        done.expect("a lane");
    }
}

/// That each of these has shown itself, at any time.
pub fn shown(choice: &Choice, random: &mut SmallRng, findings: &Findings) {
    for action in lanes(random).into_iter().flatten() {
        if let Some(what) = not_shown(action, findings).filter(|_| choice.has(action.name())) {
            findings.violation("not shown", what);
        }
    }
}

/// One after the other in each lane; what one lane does never waits for another.
fn lanes(random: &mut SmallRng) -> [Vec<Action>; 3] {
    let mut kill = |first: usize, count: usize| Action::Kill(first + random.random_range(0..count), DOWN);
    let ingest = kill(0, INGESTS);
    let projector = kill(INGESTS, PROJECTORS);
    let gateway = kill(INGESTS + PROJECTORS, GATEWAYS);
    let broker = Action::KillBroker(random.random_range(0..BROKERS), DOWN);
    let mut projectors: Vec<Action> = Point::ALL.iter().copied().map(Action::DieAt).collect();
    projectors.push(projector);
    let mut others = vec![ingest, gateway];
    others.extend((0..PROXIES.len()).flat_map(|proxy| [Action::Cut(proxy), Action::Stall(proxy, STALL)]));
    others.push(broker);
    [
        projectors,
        vec![Action::Rebuild(1), Action::KillCql(DOWN)],
        others,
    ]
}

/// What was not counted though `action` is to show it.
fn not_shown(action: Action, findings: &Findings) -> Option<String> {
    let shows: Vec<String> = match action {
        Action::Kill(node, _) => vec![format!("kills of {}-", role_of(node))],
        Action::DieAt(point) => vec![format!("kills at {point:?}")],
        Action::KillBroker(..) => vec!["kills of kafka-".to_owned()],
        Action::KillCql(_) => vec!["kills of cql".to_owned()],
        Action::Stall(proxy, _) => vec![format!("stalls of {}", PROXIES[proxy])],
        Action::Cut(proxy) => vec![format!("cuts of {}", PROXIES[proxy])],
        Action::Rebuild(_) => vec![
            "kills of rebuild".to_owned(),
            "tables compared before a rebuild".to_owned(),
        ],
        Action::Freeze(..) | Action::Drain(_) | Action::FreezeBroker(..) | Action::FreezeCql(_) => Vec::new(),
    };
    shows.into_iter().find(|what| findings.counted_from(what) == 0)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;

    #[test]
    fn whatever_is_drawn_everything_is_killed_and_every_connection_stalled_and_cut() {
        for seed in 0..20 {
            let lanes = lanes(&mut SmallRng::seed_from_u64(seed));
            let all: Vec<Action> = lanes.into_iter().flatten().collect();
            let count = |name: &str| all.iter().filter(|action| action.name() == name).count();
            assert_eq!(count("Kill"), 3);
            assert_eq!(count("DieAt"), Point::ALL.len());
            assert_eq!((count("Cut"), count("Stall")), (PROXIES.len(), PROXIES.len()));
            let servers = ["KillBroker", "KillCql", "Rebuild"].map(count);
            assert_eq!(servers, [1, 1, 1]);
        }
    }

    #[test]
    fn what_was_not_counted_was_not_shown() {
        let findings = Findings::default();
        let kill = Action::Kill(0, DOWN);
        assert_eq!(not_shown(kill, &findings), Some("kills of ingest-".to_owned()));
        findings.count("kills of ingest-2", 1);
        assert_eq!(not_shown(kill, &findings), None);
    }
}
