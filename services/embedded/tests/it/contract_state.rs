//! The contract of the state ports.

use std::time::Duration;

use async_trait::async_trait;
use embedded::Settings;
use journal::Micros;
use state::Store;
use state::contract::{Expiring, Harness};

use crate::support::{Fixture, create};

struct EmbeddedStore(Fixture);

#[async_trait]
impl Harness for EmbeddedStore {
    async fn handle(&self) -> Store {
        self.0.engine().store()
    }

    async fn restarted(&self) -> Store {
        self.0.reopen().await;
        self.handle().await
    }

    async fn of_next_layout(&self) -> Option<Store> {
        create(&self.0.engine(), 2).await;
        Some(self.handle().await)
    }

    fn now(&self) -> Micros {
        self.0.time.now()
    }

    async fn expiring(&self) -> Option<Box<dyn Expiring>> {
        let (engine, time) = (self.0.engine(), self.0.time.clone());
        Some(Box::new(EmbeddedExpiring {
            engine,
            time,
            ttl: self.0.settings.history_ttl,
        }))
    }
}

struct EmbeddedExpiring {
    engine: embedded::Engine,
    time: crate::support::Time,
    ttl: Duration,
}

#[async_trait]
impl Expiring for EmbeddedExpiring {
    fn store(&self) -> Store {
        self.engine.store()
    }

    fn ttl(&self) -> Duration {
        self.ttl
    }

    async fn pass(&self, time: Duration) {
        self.time.advance(time);
    }
}

async fn harness() -> Option<EmbeddedStore> {
    Some(EmbeddedStore(Fixture::new(Settings::default()).await))
}

state::state_contract_tests!(harness());
