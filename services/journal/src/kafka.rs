//! The log on Apache Kafka. The only place that names rdkafka.
//!
//! | part | holds |
//! |---|---|
//! | `append` | the idempotent producer, shared by all callers |
//! | `feed` | an assigned consumer that many partitions share, and the tails on it |
//! | `read` | a pool of consumers for ranges; ends and the time index |
//! | `group` | membership, claims and their transactional producers |
//! | `admin` | topics and the layout record |
//!
//! librdkafka's blocking calls never run on an asynchronous thread: they have threads of their own
//! or go through `spawn_blocking`, and each has a deadline.

mod admin;
mod append;
mod client;
mod feed;
mod group;
mod metrics;
mod read;
mod record;
mod settings;

use std::sync::Arc;

use prometheus::Registry;
use schemas::control::Layout;

pub use self::client::ConnectError;
pub use self::settings::{Settings, TopicSettings};

use self::admin::KafkaAdmin;
use self::append::KafkaAppender;
use self::feed::KafkaTails;
use self::group::KafkaGroups;
use self::metrics::Metrics;
use self::read::KafkaReader;
use crate::{Admin, Epoch, Journal};

/// A Kafka cluster that answered.
pub struct Kafka {
    settings: Arc<Settings>,
    metrics: Arc<Metrics>,
    cluster_id: String,
    appender: Arc<KafkaAppender>,
    reader: Arc<KafkaReader>,
    admin: Arc<KafkaAdmin>,
}

/// Connects to the cluster and learns its identity, within [`Settings::connect_timeout`]. Metrics
/// are registered in `registry`, once per process.
///
/// # Errors
/// The address that does not answer, or the property that is wrong.
pub async fn connect(settings: Settings, registry: &Registry) -> Result<Kafka, ConnectError> {
    settings.check()?;
    let settings = Arc::new(settings);
    let metrics = Arc::new(Metrics::new(registry).map_err(|error| ConnectError::Metrics(error.to_string()))?);
    let cluster_id = client::cluster_id(&settings).await?;
    let appender = Arc::new(KafkaAppender::new(Arc::clone(&settings), Arc::clone(&metrics)));
    let reader = Arc::new(KafkaReader::new(Arc::clone(&settings), Arc::clone(&metrics))?);
    let admin = Arc::new(KafkaAdmin::new(
        Arc::clone(&settings),
        cluster_id.clone(),
        Arc::clone(&appender),
        Arc::clone(&reader),
    )?);
    Ok(Kafka {
        settings,
        metrics,
        cluster_id,
        appender,
        reader,
        admin,
    })
}

impl Kafka {
    /// The administrative port; usable before there is a layout.
    #[must_use]
    pub fn admin(&self) -> Arc<dyn Admin> {
        Arc::clone(&self.admin) as Arc<dyn Admin>
    }

    /// The ports of the log that `layout` describes: what [`Admin::layout`] answered.
    #[must_use]
    pub fn journal(&self, layout: Layout) -> Journal {
        let epoch = Epoch::new(&layout, &self.cluster_id);
        let tails = KafkaTails::new(
            Arc::clone(&self.settings),
            Arc::clone(&self.reader),
            Arc::clone(&self.metrics),
        );
        let groups = KafkaGroups::new(
            Arc::clone(&self.settings),
            Arc::clone(&self.reader),
            Arc::clone(&self.metrics),
            layout.generation,
        );
        Journal {
            appender: Arc::clone(&self.appender) as _,
            tails: Arc::new(tails),
            reader: Arc::clone(&self.reader) as _,
            groups: Arc::new(groups),
            layout,
            epoch,
        }
    }
}
