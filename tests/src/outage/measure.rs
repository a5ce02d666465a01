//! How long each partition stands still: the ends of both topics, looked at all along.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use journal::{Journal, Partition, Topic};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::findings::Findings;

/// Time between two looks.
const LOOK: Duration = Duration::from_millis(150);
/// A shorter pause is one of the load.
const PAUSE: Duration = Duration::from_millis(1_500);

type Moves = BTreeMap<(u8, Partition), Vec<Instant>>;

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

    /// Tells how long after `from` the partitions of `topic` that stood still went on.
    pub fn report(&self, topic: Topic, from: Instant, what: &str, findings: &Findings) {
        let moves = self.moves.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        for ((_, partition), moves) in moves.iter().filter(|((of, _), _)| *of == key(topic)) {
            let mut ends = moves.clone();
            ends.push(now);
            let gaps = ends
                .windows(2)
                .filter(|pair| pair[1] > from && pair[1] - pair[0] > PAUSE);
            if let Some(gap) = gaps.max_by_key(|pair| pair[1] - pair[0]) {
                let after = gap[1] - from;
                findings.say(&format!(
                    "{} partition {partition} went on {:.2} s after {what}",
                    topic.name(),
                    after.as_secs_f64()
                ));
                findings.took(format!("{} goes on after {what}", topic.name()), after);
            }
        }
    }
}

const fn key(topic: Topic) -> u8 {
    match topic {
        Topic::Events => 0,
        Topic::State => 1,
        Topic::Control => 2,
        Topic::Rejected => 3,
    }
}
