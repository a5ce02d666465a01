//! One membership: a consumer that joins the group, and the thread that serves it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use async_trait::async_trait;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{Offset as RawOffset, TopicPartitionList};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::Place;
use super::claim::KafkaClaim;
use super::ownership::{Hold, Ownership};
use crate::kafka::client;
use crate::kafka::feed::Feed;
use crate::kafka::settings::millis;
use crate::{ClaimEvent, Membership, Partition, Topic};

/// How long the thread waits for an event of the group before it looks round.
const POLL: Duration = Duration::from_millis(50);
/// Claims that wait to be taken by the owner of the membership.
const EVENTS_MAX: usize = 64;

/// Membership of one process in one group. Dropping it leaves the group.
pub(super) struct KafkaMembership {
    events: mpsc::Receiver<ClaimEvent>,
    stop: Arc<AtomicBool>,
}

pub(super) type GroupConsumer = BaseConsumer<Context>;

/// What the thread, the callbacks and the claims share.
pub(super) struct Member {
    pub(super) place: Arc<Place>,
    pub(super) group: String,
    pub(super) topic: Topic,
    pub(super) feed: Feed,
    ownership: Arc<Ownership>,
    /// Only the thread owns the consumer, so that it ends there.
    consumer: OnceLock<Weak<GroupConsumer>>,
    stop: Arc<AtomicBool>,
}

/// Answers the group's callbacks.
pub(super) struct Context {
    member: Arc<Member>,
    client: client::Context,
}

impl KafkaMembership {
    pub(super) fn join(
        place: Arc<Place>,
        group: &str,
        topic: Topic,
        runtime: Handle,
    ) -> Result<Self, String> {
        let settings = Arc::clone(&place.settings);
        let group = format!("{}{group}", settings.namespace);
        let mut config = settings.client();
        config
            .set("group.id", &group)
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("session.timeout.ms", millis(settings.session_timeout))
            .set("heartbeat.interval.ms", millis(settings.heartbeat))
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "latest")
            // Committed offsets are asked for with open transactions waited for.
            .set("isolation.level", "read_committed");
        let stop = Arc::new(AtomicBool::new(false));
        let feed = Feed::start(&settings, topic.is_transactional(), &place.metrics)?;
        let member = Arc::new(Member {
            place,
            group,
            topic,
            feed,
            ownership: Arc::default(),
            consumer: OnceLock::new(),
            stop: Arc::clone(&stop),
        });
        let context = Context {
            member: Arc::clone(&member),
            client: client::Context::default(),
        };
        let consumer: Arc<GroupConsumer> =
            Arc::new(client::create(&config, context).map_err(|error| error.to_string())?);
        let _first = member.consumer.set(Arc::downgrade(&consumer));
        consumer
            .subscribe(&[settings.topic_name(topic).as_str()])
            .map_err(|error| error.to_string())?;
        let (sender, events) = mpsc::channel(EVENTS_MAX);
        std::thread::Builder::new()
            .name("kafka-group".to_owned())
            .spawn(move || member.serve(consumer, &sender, &runtime))
            .map_err(|error| error.to_string())?;
        Ok(Self { events, stop })
    }
}

#[async_trait]
impl Membership for KafkaMembership {
    async fn next(&mut self) -> ClaimEvent {
        self.events
            .recv()
            .await
            .unwrap_or(ClaimEvent::Closed { reason: None })
    }
}

impl Drop for KafkaMembership {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
    }
}

impl Member {
    /// Serves the group until the membership is dropped or librdkafka cannot go on.
    fn serve(
        self: &Arc<Self>,
        consumer: Arc<GroupConsumer>,
        events: &mpsc::Sender<ClaimEvent>,
        runtime: &Handle,
    ) {
        while !self.stop.load(Ordering::Acquire) {
            match consumer.poll(POLL) {
                Some(Err(error)) if consumer.client().fatal_error().is_some() => {
                    let reason = Some(client::reason(&error, &consumer.context().client));
                    self.stop.store(true, Ordering::Release);
                    if events.blocking_send(ClaimEvent::Closed { reason }).is_err() {
                        break;
                    }
                }
                Some(Err(error)) => {
                    tracing::debug!(target: "kafka", group = self.group, %error, "group");
                }
                // Paused: at most what was under way when it was assigned.
                Some(Ok(_)) | None => {}
            }
            for hold in self.ownership.due(self.place.settings.reclaim_delay) {
                let (member, events) = (Arc::clone(self), events.clone());
                runtime.spawn_blocking(move || member.claim(hold, &events));
            }
        }
        self.ownership
            .revoke(&self.ownership.partitions(), self.place.settings.revocation);
        // Leaves the group.
        drop(consumer);
    }

    /// Makes a claim and hands it to the owner of the membership. When it cannot be made, the hold
    /// goes, and the next turn tries again.
    fn claim(self: &Arc<Self>, hold: Hold, events: &mpsc::Sender<ClaimEvent>) {
        let partition = hold.partition();
        match KafkaClaim::make(Arc::clone(self), hold) {
            // A receiver that is gone drops the claim, which is what it wants.
            Ok(claim) => drop(events.blocking_send(ClaimEvent::Claimed(Box::new(claim)))),
            Err(reason) => {
                tracing::warn!(target: "kafka", group = self.group, partition, reason, "cannot claim; trying again");
            }
        }
    }

    /// The consumer, while the membership lasts.
    pub(super) fn consumer(&self) -> Option<Arc<GroupConsumer>> {
        self.consumer.get().and_then(Weak::upgrade)
    }
}

impl Context {
    fn assign(&self, consumer: &GroupConsumer, list: &mut TopicPartitionList) -> Result<(), KafkaError> {
        // Any position will do, as nothing is fetched; one that needs no committed offset.
        list.set_all_offsets(RawOffset::End)?;
        consumer.incremental_assign(list)?;
        consumer.pause(list)
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        client::log(level, facility, message);
    }

    fn stats_raw(&self, _statistics: &[u8]) {}

    fn error(&self, error: KafkaError, reason: &str) {
        self.client.error(error, reason);
    }
}

impl ConsumerContext for Context {
    fn rebalance(&self, consumer: &GroupConsumer, event: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let member = &self.member;
        let partitions: Vec<Partition> = list
            .elements()
            .iter()
            .filter_map(|element| Partition::try_from(element.partition()).ok())
            .collect();
        tracing::debug!(target: "kafka", group = member.group, ?event, ?partitions, "rebalance");
        let done = if event == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            let done = self.assign(consumer, list);
            member.ownership.assigned(&partitions);
            done
        } else {
            // Lost partitions may have another owner already: nothing to wait for.
            let lost = consumer.assignment_lost();
            let patience = if lost {
                Duration::ZERO
            } else {
                member.place.settings.revocation
            };
            member.ownership.revoke(&partitions, patience);
            consumer.incremental_unassign(list)
        };
        if let Err(error) = done {
            tracing::warn!(target: "kafka", group = member.group, %error, "rebalance");
        }
    }
}
