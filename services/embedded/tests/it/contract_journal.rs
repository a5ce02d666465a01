//! The contract of the journal ports.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use embedded::Settings;
use journal::contract::{Compaction, Harness};
use journal::{Admin, Journal, Offset, Partition, Topic};

use crate::support::Fixture;

struct EmbeddedLog(Fixture);

#[async_trait]
impl Harness for EmbeddedLog {
    async fn handle(&self) -> Journal {
        self.0.journal().await
    }

    async fn restarted(&self) -> Journal {
        // Without a pause: a test that appends meanwhile finds the new process, never none.
        let again = async {
            self.0.reopen().await;
            self.0.journal().await
        };
        tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(again))
    }

    async fn admin(&self) -> Arc<dyn Admin> {
        self.0.engine().admin()
    }

    async fn trim(&self, topic: Topic, partition: Partition, before: Offset) {
        self.0.maintain().await;
        let bounds = self.handle().await.reader.bounds(topic, &[partition]).await;
        assert_eq!(bounds[0].as_ref().unwrap().start, before);
    }

    fn now_ms(&self) -> i64 {
        self.0.time.now() / 1_000
    }

    fn compaction(&self) -> Option<&dyn Compaction> {
        Some(self)
    }
}

#[async_trait]
impl Compaction for EmbeddedLog {
    fn lag(&self) -> Duration {
        self.0.settings.state_compaction_lag
    }

    fn tombstone_retention(&self) -> Duration {
        self.0.settings.tombstone_retention
    }

    async fn advance(&self, by: Duration) {
        self.0.time.advance(by);
    }

    async fn compact(&self, _partition: Partition) {
        self.0.maintain().await;
    }
}

async fn harness() -> Option<EmbeddedLog> {
    let settings = Settings {
        revoke_grace: Duration::from_millis(300),
        ..Settings::default()
    };
    Some(EmbeddedLog(Fixture::new(settings).await))
}

journal::contract_tests!(harness());
