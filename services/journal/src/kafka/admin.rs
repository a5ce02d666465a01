//! Topics and the layout record.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures::future::try_join_all;
use rdkafka::admin::{
    AdminClient, AdminOptions, ConfigResource, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::metadata::Metadata;
use schemas::Control;
use schemas::control::Layout;

use super::append::KafkaAppender;
use super::client::{self, ConnectError, Context};
use super::read::KafkaReader;
use super::settings::Settings;
use crate::ports::{AdminError, TopicDescription};
use crate::{Admin, Appender as _, Headers, NewRecord, Partition, Reader as _, Topic};

/// Bytes of `wakeline.control` read at once.
const BLOCK_BYTES: usize = 1024 * 1024;
/// How often a new topic is looked for until all its partitions have a leader.
const LOOK: Duration = Duration::from_millis(100);

/// The administrative port.
pub(super) struct KafkaAdmin {
    settings: Arc<Settings>,
    cluster_id: String,
    client: Arc<AdminClient<Context>>,
    appender: Arc<KafkaAppender>,
    reader: Arc<KafkaReader>,
}

/// What the brokers know. librdkafka gives up at once when a connection breaks, such as to a broker that has
/// just been started again; there is time for others.
fn metadata(client: &AdminClient<Context>, timeout: Duration) -> KafkaResult<Metadata> {
    let deadline = Instant::now() + timeout;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match client.inner().fetch_metadata(None, left) {
            Err(error)
                if error.rdkafka_error_code() == Some(RDKafkaErrorCode::BrokerTransportFailure)
                    && left > LOOK =>
            {
                std::thread::sleep(LOOK);
            }
            answer => return answer,
        }
    }
}

/// What the brokers say of a topic.
struct Found {
    topic: Topic,
    partitions: u32,
    replicas: u32,
    led: bool,
}

impl KafkaAdmin {
    pub(super) fn new(
        settings: Arc<Settings>,
        cluster_id: String,
        appender: Arc<KafkaAppender>,
        reader: Arc<KafkaReader>,
    ) -> Result<Self, ConnectError> {
        let client = Arc::new(client::create(&settings.client(), Context::default())?);
        Ok(Self {
            settings,
            cluster_id,
            client,
            appender,
            reader,
        })
    }

    fn error(&self, tried: &str, reason: impl std::fmt::Display) -> AdminError {
        AdminError {
            reason: format!("{tried} at {}: {reason}", self.settings.brokers),
        }
    }

    /// Our topics, as far as they exist.
    async fn found(&self) -> Result<Vec<Found>, AdminError> {
        let client = Arc::clone(&self.client);
        let timeout = self.settings.request_timeout;
        let metadata = tokio::task::spawn_blocking(move || metadata(&client, timeout))
            .await
            .map_err(|error| self.error("cannot list topics", error))?
            .map_err(|error| {
                self.error(
                    "cannot list topics",
                    client::reason(&error, self.client.inner().context()),
                )
            })?;
        let mut found = Vec::new();
        for topic in Topic::ALL {
            let name = self.settings.topic_name(topic);
            let Some(seen) = metadata.topics().iter().find(|seen| seen.name() == name) else {
                continue;
            };
            let partitions = seen.partitions();
            let replicas = partitions
                .iter()
                .map(|partition| partition.replicas().len())
                .min()
                .unwrap_or(0);
            found.push(Found {
                topic,
                partitions: count(partitions.len()),
                replicas: count(replicas),
                led: !partitions.is_empty() && partitions.iter().all(|partition| partition.leader() >= 0),
            });
        }
        Ok(found)
    }

    async fn settings_of(&self, found: &Found) -> Result<(Option<u32>, bool), AdminError> {
        let name = self.settings.topic_name(found.topic);
        let tried = format!("cannot read the settings of {name}");
        let options = AdminOptions::new().request_timeout(Some(self.settings.request_timeout));
        let answers = self
            .client
            .describe_configs(&[ResourceSpecifier::Topic(&name)], &options)
            .await
            .map_err(|error| self.error(&tried, error))?;
        let config: ConfigResource = answers
            .into_iter()
            .next()
            .ok_or_else(|| self.error(&tried, "no answer"))?
            .map_err(|code| self.error(&tried, code))?;
        let value = |name: &str| config.get(name).and_then(|entry| entry.value.clone());
        let min_insync = value("min.insync.replicas").and_then(|text| text.parse().ok());
        Ok((
            min_insync,
            value("unclean.leader.election.enable").as_deref() == Some("true"),
        ))
    }

    /// Waits until `topics` can be used: every partition has a leader, and that leader answers. A
    /// broker names a leader before it has made the partition's log.
    async fn await_usable(&self, topics: &[Topic]) -> Result<(), AdminError> {
        let until = Instant::now() + self.settings.connect_timeout;
        loop {
            let Some(missing) = self.not_usable(topics).await? else {
                return Ok(());
            };
            if Instant::now() >= until {
                return Err(self.error("new topics cannot be used", missing));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Why `topics` cannot be used yet.
    async fn not_usable(&self, topics: &[Topic]) -> Result<Option<String>, AdminError> {
        let found = self.found().await?;
        for topic in topics {
            let name = self.settings.topic_name(*topic);
            let Some(seen) = found.iter().find(|seen| seen.topic == *topic && seen.led) else {
                return Ok(Some(format!("{name} has partitions without a leader")));
            };
            let partitions: Vec<Partition> = (0..seen.partitions).collect();
            let bounds = self.reader.bounds(*topic, &partitions).await;
            if let Some(error) = bounds.into_iter().find_map(Result::err) {
                return Ok(Some(format!("{name}: {error}")));
            }
        }
        Ok(None)
    }
}

impl Drop for KafkaAdmin {
    fn drop(&mut self) {
        client::drop_elsewhere(&self.client);
    }
}

#[async_trait]
impl Admin for KafkaAdmin {
    async fn cluster_id(&self) -> Result<String, AdminError> {
        Ok(self.cluster_id.clone())
    }

    async fn describe(&self) -> Result<Vec<TopicDescription>, AdminError> {
        let found = self.found().await?;
        try_join_all(found.iter().map(|found| async {
            let (min_insync, unclean_election) = self.settings_of(found).await?;
            Ok(TopicDescription {
                topic: found.topic,
                partitions: found.partitions,
                replicas: Some(found.replicas),
                min_insync,
                unclean_election,
            })
        }))
        .await
    }

    async fn create(&self, partitions: u32, replication: u32) -> Result<(), AdminError> {
        let found = self.found().await?;
        let missing: Vec<Topic> = Topic::ALL
            .into_iter()
            .filter(|topic| !found.iter().any(|seen| seen.topic == *topic))
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        let plans: Vec<Plan> = missing
            .iter()
            .map(|topic| Plan::new(&self.settings, *topic, partitions, replication))
            .collect();
        let options = AdminOptions::new()
            .request_timeout(Some(self.settings.connect_timeout))
            .operation_timeout(Some(self.settings.connect_timeout));
        let topics: Vec<NewTopic<'_>> = plans.iter().map(Plan::topic).collect();
        let answers = self
            .client
            .create_topics(&topics, &options)
            .await
            .map_err(|error| self.error("cannot create topics", error))?;
        for answer in answers {
            match answer {
                // Another process was quicker.
                Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((name, code)) => {
                    let error = KafkaError::AdminOp(code);
                    return Err(self.error(&format!("cannot create {name}"), error));
                }
            }
        }
        self.await_usable(&missing).await
    }

    async fn layout(&self) -> Result<Option<Layout>, AdminError> {
        const TRIED: &str = "cannot read the layout";
        if !self
            .found()
            .await?
            .iter()
            .any(|found| found.topic == Topic::Control)
        {
            return Ok(None);
        }
        let bounds = self.reader.bounds(Topic::Control, &[0]).await;
        let bounds = match bounds.into_iter().next() {
            Some(Ok(bounds)) => bounds,
            Some(Err(error)) => return Err(self.error(TRIED, error)),
            None => return Err(self.error(TRIED, "no answer")),
        };
        let mut layout = None;
        let mut next = bounds.start;
        while next < bounds.end {
            let block = self
                .reader
                .read(Topic::Control, 0, next, BLOCK_BYTES)
                .await
                .map_err(|error| self.error(TRIED, error))?;
            for record in block
                .records
                .iter()
                .filter(|record| &*record.key == "layout/current")
            {
                let value = record
                    .value
                    .as_ref()
                    .map(|value| Control::decode(value))
                    .transpose();
                match value.map_err(|error| self.error(TRIED, error))? {
                    Some(Control::Layout(found)) => layout = Some(found),
                    _ => layout = None,
                }
            }
            if block.next <= next {
                return Err(self.error(TRIED, "the log does not go on before its end"));
            }
            next = block.next;
        }
        Ok(layout)
    }

    async fn write_layout(&self, layout: &Layout) -> Result<(), AdminError> {
        let control = Control::Layout(layout.clone());
        let record = NewRecord {
            topic: Topic::Control,
            partition: 0,
            key: control.key().into(),
            value: Some(control.encode()),
            timestamp_ms: layout.created_at / 1000,
            headers: Headers {
                kind: control.kind().into(),
                generation: layout.generation,
                ..Headers::default()
            },
        };
        let outcomes = self
            .appender
            .append(vec![record], self.settings.connect_timeout)
            .await;
        match outcomes.into_iter().next() {
            Some(Ok(_)) => Ok(()),
            Some(Err(error)) => Err(self.error("cannot write the layout", error)),
            None => Err(self.error("cannot write the layout", "no answer")),
        }
    }
}

/// A topic to create.
struct Plan {
    name: String,
    partitions: i32,
    replication: i32,
    config: Vec<(String, String)>,
}

impl Plan {
    fn new(settings: &Settings, topic: Topic, partitions: u32, replication: u32) -> Self {
        let mut config: Vec<(String, String)> = settings
            .topics
            .iter()
            .filter(|of| of.topic == topic)
            .flat_map(|of| of.config.clone())
            .collect();
        // With fewer replicas than the minimum in sync nothing could ever be appended.
        for (name, value) in &mut config {
            if name == "min.insync.replicas" && value.parse().is_ok_and(|least: u32| least > replication) {
                *value = replication.to_string();
            }
        }
        let partitions = if topic == Topic::Control { 1 } else { partitions };
        Self {
            name: settings.topic_name(topic),
            partitions: i32::try_from(partitions).unwrap_or(i32::MAX),
            replication: i32::try_from(replication).unwrap_or(i32::MAX),
            config,
        }
    }

    fn topic(&self) -> NewTopic<'_> {
        let new = NewTopic::new(
            &self.name,
            self.partitions,
            TopicReplication::Fixed(self.replication),
        );
        self.config
            .iter()
            .fold(new, |new, (name, value)| new.set(name, value))
    }
}

fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
