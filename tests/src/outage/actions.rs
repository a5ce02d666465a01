//! What is done to whom, and when: drawn from the seed.

mod rebuild;
mod script;
mod stage;

use std::time::Duration;

use projector::Point;
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use tokio::task::JoinSet;
use tokio::time::Instant;

pub use rebuild::in_calm as rebuild_in_calm;
pub use script::{script, shown};
pub use stage::{BEFORE_INGEST, GATEWAYS, INGESTS, PROJECTORS, PROXIES, Stage};

/// Actions under way at once.
const AT_ONCE: usize = 3;

/// Something that is done.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Action {
    /// `kill -9` of a node, and a start after a while.
    Kill(usize, Duration),
    /// SIGSTOP of a node, SIGCONT after a while.
    Freeze(usize, Duration),
    /// SIGTERM of a node, and a start.
    Drain(usize),
    /// A projector dies where it must lose nothing.
    DieAt(Point),
    /// `kill -9` of a broker, and a start after a while.
    KillBroker(usize, Duration),
    /// SIGSTOP of a broker, SIGCONT after a while.
    FreezeBroker(usize, Duration),
    /// `kill -9` of the CQL server, and a start after a while.
    KillCql(Duration),
    /// SIGSTOP of the CQL server, SIGCONT after a while.
    FreezeCql(Duration),
    /// A connection forwards nothing for a while.
    Stall(usize, Duration),
    /// Every connection of a proxy ends.
    Cut(usize),
    /// `wakeline rebuild`, interrupted so often, and run to its end.
    Rebuild(u32),
}

/// Which actions are drawn.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    /// Only those whose name begins so.
    pub only: Option<String>,
    /// None of these.
    pub without: Vec<String>,
}

impl Choice {
    /// Whether an action of that name is drawn.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.only
            .as_ref()
            .is_none_or(|only| name.starts_with(only.as_str()))
            && self.without.iter().all(|without| without != name)
    }

    /// Whether nothing is left to draw.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !Action::NAMES.iter().any(|name| self.has(name))
    }
}

impl Action {
    /// The names of all.
    pub const NAMES: [&str; 11] = [
        "Kill",
        "Freeze",
        "Drain",
        "DieAt",
        "KillBroker",
        "FreezeBroker",
        "KillCql",
        "FreezeCql",
        "Stall",
        "Cut",
        "Rebuild",
    ];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kill(..) => "Kill",
            Self::Freeze(..) => "Freeze",
            Self::Drain(_) => "Drain",
            Self::DieAt(_) => "DieAt",
            Self::KillBroker(..) => "KillBroker",
            Self::FreezeBroker(..) => "FreezeBroker",
            Self::KillCql(_) => "KillCql",
            Self::FreezeCql(_) => "FreezeCql",
            Self::Stall(..) => "Stall",
            Self::Cut(_) => "Cut",
            Self::Rebuild(_) => "Rebuild",
        }
    }

    /// Draws one.
    pub fn draw(random: &mut SmallRng) -> Self {
        let node = random.random_range(0..INGESTS + PROJECTORS + GATEWAYS);
        let broker = random.random_range(0..super::servers::BROKERS);
        let long = Duration::from_millis(random.random_range(200..9_000));
        let short = Duration::from_millis(random.random_range(0..2_000));
        match random.random_range(0..100) {
            0..38 => Self::Kill(node, short),
            38..56 => Self::DieAt(*Point::ALL.choose(random).unwrap_or(&Point::AfterTransaction)),
            56..64 => Self::Freeze(node, long),
            64..68 => Self::Drain(node),
            68..74 => Self::KillBroker(broker, short * 2),
            74..79 => Self::FreezeBroker(broker, long),
            79..81 => Self::KillCql(short),
            81..84 => Self::FreezeCql(long),
            84..90 => Self::Stall(random.random_range(0..PROXIES.len()), long),
            90..97 => Self::Cut(random.random_range(0..PROXIES.len())),
            _ => Self::Rebuild(random.random_range(0..3)),
        }
    }

    /// What it needs for itself while it lasts.
    fn claims(self) -> Vec<String> {
        match self {
            Self::Kill(node, _) | Self::Freeze(node, _) | Self::Drain(node) => vec![format!("node {node}")],
            Self::DieAt(_) => (INGESTS..INGESTS + PROJECTORS)
                .map(|node| format!("node {node}"))
                .collect(),
            // Never two brokers at once: that is more than three replicas promise.
            Self::KillBroker(..) | Self::FreezeBroker(..) => vec!["brokers".to_owned()],
            Self::KillCql(_) | Self::FreezeCql(_) => vec!["cql".to_owned()],
            Self::Stall(proxy, _) | Self::Cut(proxy) => vec![format!("proxy {proxy}")],
            Self::Rebuild(_) => vec!["rebuild".to_owned()],
        }
    }
}

/// Does one thing after another, some at once, until `end`. Something must be left to draw.
pub async fn storm(stage: &Stage, seed: u64, end: Instant, choice: &Choice) {
    let mut random = SmallRng::seed_from_u64(seed);
    let mut under_way: JoinSet<Vec<String>> = JoinSet::new();
    let mut claimed: Vec<String> = Vec::new();
    while Instant::now() < end {
        let action = Action::draw(&mut random);
        if !choice.has(action.name()) {
            continue;
        }
        let claims = action.claims();
        while under_way.len() >= AT_ONCE || claims.iter().any(|claim| claimed.contains(claim)) {
            let Some(done) = under_way.join_next().await else {
                break;
            };
            let done = done.expect("an action");
            claimed.retain(|claim| !done.contains(claim));
        }
        claimed.extend(claims.clone());
        let (stage, then) = (stage.clone(), random.random());
        under_way.spawn(async move {
            stage.act(action, then).await;
            claims
        });
        tokio::time::sleep(Duration::from_millis(random.random_range(50..500))).await;
    }
    while let Some(done) = under_way.join_next().await {
        done.expect("an action");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_action_is_drawn_under_its_name() {
        let mut random = SmallRng::seed_from_u64(1);
        let drawn: std::collections::BTreeSet<&str> =
            (0..10_000).map(|_| Action::draw(&mut random).name()).collect();
        assert_eq!(drawn, Action::NAMES.into_iter().collect());
    }

    #[test]
    fn what_is_excluded_is_not_drawn() {
        let choice = Choice {
            only: Some("Kill".to_owned()),
            without: vec!["Kill".to_owned()],
        };
        let left: Vec<&str> = Action::NAMES
            .into_iter()
            .filter(|name| choice.has(name))
            .collect();
        assert_eq!(left, ["KillBroker", "KillCql"]);
    }
}
