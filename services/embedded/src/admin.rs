//! Topics and the layout record.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use fjall::PersistMode;
use journal::ports::{AdminError, TopicDescription};
use journal::{Admin, Headers, NewRecord, Topic};
use schemas::Control;
use schemas::control::Layout;

use crate::database::Tables;
use crate::engine::Inner;
use crate::log;
use crate::partition::PartitionState;
use crate::{keys, record};

/// The key of the layout record.
const LAYOUT_KEY: &str = "layout/current";
/// The writer gets so long to take a layout record.
const LAYOUT_DEADLINE: Duration = Duration::from_secs(30);

/// The administrative port.
pub(crate) struct EmbeddedAdmin {
    inner: Arc<Inner>,
}

impl EmbeddedAdmin {
    pub(crate) fn new(inner: Arc<Inner>) -> Self {
        Self { inner }
    }
}

/// Number of partitions of a topic; 0 if it was not created.
pub(crate) fn partitions(tables: &Tables, topic: Topic) -> fjall::Result<u32> {
    let stored = tables.meta.get([keys::meta::TOPIC, topic.code()])?;
    Ok(stored.and_then(|bytes| keys::u32_at(&bytes)).unwrap_or(0))
}

/// The layout record that was written last.
pub(crate) fn read_layout(tables: &Tables) -> Result<Option<Layout>, String> {
    for guard in tables.log.prefix(keys::partition(Topic::Control, 0)).rev() {
        let (key, value) = guard.into_inner().map_err(|error| error.to_string())?;
        let offset = keys::offset_of(&key).unwrap_or_default();
        let (record_key, tombstone) = record::key(offset, &value).map_err(|error| error.to_string())?;
        if record_key != LAYOUT_KEY {
            continue;
        }
        if tombstone {
            return Ok(None);
        }
        let record = record::decode(offset, &value).map_err(|error| error.to_string())?;
        let value = record.value.unwrap_or_default();
        return match Control::decode(&value) {
            Ok(Control::Layout(layout)) => Ok(Some(layout)),
            Ok(other) => Err(format!(
                "the layout record at offset {offset} is a {}",
                other.kind()
            )),
            Err(error) => Err(format!(
                "the layout record at offset {offset} cannot be read: {error}"
            )),
        };
    }
    Ok(None)
}

fn failed(what: &str, error: &dyn std::fmt::Display) -> AdminError {
    AdminError {
        reason: format!("{what} in the embedded engine: {error}"),
    }
}

#[async_trait]
impl Admin for EmbeddedAdmin {
    async fn cluster_id(&self) -> Result<String, AdminError> {
        Ok(self.inner.cluster_id.clone())
    }

    async fn describe(&self) -> Result<Vec<TopicDescription>, AdminError> {
        let existing = Topic::ALL.into_iter().filter_map(|topic| {
            let partitions = self.inner.partitions(topic);
            let description = TopicDescription {
                topic,
                partitions,
                replicas: None,
                min_insync: None,
                unclean_election: false,
            };
            (partitions > 0).then_some(description)
        });
        Ok(existing.collect())
    }

    async fn create(&self, partitions: u32, _replication: u32) -> Result<(), AdminError> {
        const WHAT: &str = "creating the topics";
        if partitions == 0 {
            return Err(failed(WHAT, &"a topic has at least one partition"));
        }
        let inner = Arc::clone(&self.inner);
        let created = self
            .inner
            .blocking(move |tables| create(&inner, tables, partitions))
            .await;
        created
            .map_err(|error| failed(WHAT, &error))?
            .map_err(|error| failed(WHAT, &error))
    }

    async fn layout(&self) -> Result<Option<Layout>, AdminError> {
        const WHAT: &str = "reading the layout record";
        let read = self.inner.blocking(read_layout).await;
        read.map_err(|error| failed(WHAT, &error))?
            .map_err(|error| failed(WHAT, &error))
    }

    async fn write_layout(&self, layout: &Layout) -> Result<(), AdminError> {
        const WHAT: &str = "writing the layout record";
        let control = Control::Layout(layout.clone());
        let record = NewRecord {
            topic: Topic::Control,
            partition: 0,
            key: control.key().into(),
            value: Some(control.encode()),
            timestamp_ms: layout.created_at / 1_000,
            headers: Headers {
                kind: control.kind().into(),
                generation: layout.generation,
                ..Headers::default()
            },
        };
        for outcome in log::append(&self.inner, vec![record], LAYOUT_DEADLINE).await {
            outcome.map_err(|error| failed(WHAT, &error))?;
        }
        self.inner.generation.store(layout.generation, Ordering::Release);
        Ok(())
    }
}

/// Creates the missing topics. Rejected input is placed as events are, so it has as many partitions.
fn create(inner: &Inner, tables: &Tables, partitions: u32) -> Result<(), String> {
    let _creating = inner.creating.lock();
    for topic in Topic::ALL {
        if inner.partitions(topic) > 0 {
            continue;
        }
        let count = if topic == Topic::Control { 1 } else { partitions };
        let mut batch = tables.database.batch().durability(Some(PersistMode::SyncAll));
        batch.insert(
            &tables.meta,
            [keys::meta::TOPIC, topic.code()],
            count.to_be_bytes(),
        );
        batch.commit().map_err(|error| error.to_string())?;
        let states = (0..count)
            .map(|number| PartitionState::recover(tables, &inner.settings, topic, number).map(Arc::new))
            .collect::<Result<Arc<[_]>, _>>()
            .map_err(|error| error.to_string())?;
        inner.add_topic(topic, states);
    }
    Ok(())
}
