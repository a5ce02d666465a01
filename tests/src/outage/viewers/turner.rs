//! Clients that turn the pages of snapshots: they leave in the middle of one and come back with its cursor,
//! when they can after other tables began to serve.

use std::time::Duration;

use rand::RngExt as _;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::board::Phase;
use super::{Over, PAUSE_MS, Until, Viewer};
use crate::outage::load::DEVICES;

/// Longest wait for a rebuild to end.
const REBUILD_MAX: Duration = Duration::from_secs(120);
/// Nodes go over to other tables within 5 s.
const OVER_MS: u64 = 6_000;
/// How long changes are followed after a snapshot.
const LIVE: Duration = Duration::from_secs(4);

impl Viewer {
    /// Turns pages until the storm is over; then it is a client like others.
    pub(super) async fn turn(&mut self, stop: &mut watch::Receiver<bool>) {
        self.board.update(self.number, |status| status.turns = true);
        let phase = self.board.phase();
        while *phase.borrow() == Phase::Storm && !*stop.borrow() {
            self.cursor = None;
            let before = self.board.tables().borrow().exchanged;
            let part = self.random.random_range(1..DEVICES - 2);
            let over = self.connection(stop, Until::Documents(part)).await;
            if let (Over::Complete, Some(_)) = (&over, &self.cursor) {
                self.wait_for_tables().await;
                self.findings.count("snapshots cut in their middle", 1);
                if self.board.tables().borrow().exchanged > before {
                    self.findings.count(CUT_WHILE_EXCHANGED, 1);
                }
            }
            while let Over::Cut | Over::Refused = self.connection(stop, Until::Live(LIVE)).await {
                sleep(Duration::from_millis(self.random.random_range(PAUSE_MS))).await;
            }
        }
        self.board.update(self.number, |status| status.turns = false);
    }

    async fn wait_for_tables(&mut self) {
        let (mut phase, mut tables) = (self.board.phase(), self.board.tables());
        let pause = if tables.borrow().rebuilding {
            OVER_MS
        } else {
            2_000
        };
        let pause = Duration::from_millis(self.random.random_range(0..pause));
        let exchanged = async {
            let ended = tables.wait_for(|tables| !tables.rebuilding).await.is_ok();
            sleep(pause).await;
            ended
        };
        let waited = async {
            tokio::select! {
                ended = exchanged => ended,
                over = phase.wait_for(|phase| *phase != Phase::Storm) => over.is_ok(),
            }
        };
        // Whatever ended the wait, the snapshot goes on.
        let _ended = timeout(REBUILD_MAX, waited).await;
    }
}

/// What the run must have shown.
pub const CUT_WHILE_EXCHANGED: &str = "snapshots cut in their middle while other tables began to serve";
