//! Groups: membership by Kafka's cooperative protocol, claims by transactional producers.
//!
//! The group's consumer only holds the membership: its partitions are paused from the moment they
//! are assigned, and a claim reads through a feed of its own. So folding slowly never evicts a
//! member, and a claim's position is its owner's affair. Who owns a partition is decided twice: the
//! group assigns it, and the claim's transactional id, the same for every owner of a partition, fences
//! whoever had it before and aborts what that one left open.

mod claim;
mod membership;
mod ownership;
mod transaction;

use std::sync::Arc;

use async_trait::async_trait;

use self::membership::KafkaMembership;
use super::metrics::Metrics;
use super::read::KafkaReader;
use super::settings::Settings;
use crate::{Groups, Membership, ReadError, Topic};

/// The groups port.
pub(super) struct KafkaGroups {
    place: Arc<Place>,
}

/// What every membership and claim needs to know.
struct Place {
    settings: Arc<Settings>,
    reader: Arc<KafkaReader>,
    metrics: Arc<Metrics>,
    generation: u32,
}

impl KafkaGroups {
    pub(super) fn new(
        settings: Arc<Settings>,
        reader: Arc<KafkaReader>,
        metrics: Arc<Metrics>,
        generation: u32,
    ) -> Self {
        Self {
            place: Arc::new(Place {
                settings,
                reader,
                metrics,
                generation,
            }),
        }
    }
}

#[async_trait]
impl Groups for KafkaGroups {
    async fn join(&self, group: &str, topic: Topic) -> Result<Box<dyn Membership>, ReadError> {
        let place = Arc::clone(&self.place);
        let group = group.to_owned();
        let runtime = tokio::runtime::Handle::current();
        let joined =
            tokio::task::spawn_blocking(move || KafkaMembership::join(place, &group, topic, runtime)).await;
        let membership = joined
            .map_err(|error| ReadError::Unavailable {
                reason: error.to_string(),
            })?
            .map_err(|reason| ReadError::Unavailable { reason })?;
        Ok(Box::new(membership))
    }
}
