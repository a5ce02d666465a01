//! The thread of a feed: assigns, releases, and tells tails what the statistics say.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::util::Timeout;
use rdkafka::{Offset as RawOffset, TopicPartitionList};

use super::statistics::{Context, Statistics};
use super::{Command, Shared, Slot};
use crate::Partition;
use crate::kafka::client::{self, ConnectError};
use crate::kafka::metrics::Metrics;
use crate::kafka::record;
use crate::kafka::settings::Settings;

/// How long the thread sleeps when no tail comes or goes.
const TURN: Duration = Duration::from_millis(50);
/// How often librdkafka gives statistics: the delay with which a tail passes a hole at the end.
const STATISTICS_MS: &str = "250";
/// A leader must be away in so many statistics in a row before its tails hear of it.
const DOWN_STATISTICS: u32 = 4;

type Key = (String, Partition);

pub(super) struct Driver {
    consumer: Arc<BaseConsumer<Context>>,
    shared: Arc<Shared>,
    metrics: Arc<Metrics>,
    open: HashMap<Key, Assigned>,
    /// Released, but not yet seen stopped.
    stopping: HashSet<Key>,
    waiting: Vec<Arc<Slot>>,
    /// How many of `open` the metric counts.
    counted: i64,
}

struct Assigned {
    slot: Arc<Slot>,
    unreachable: u32,
}

impl Driver {
    pub(super) fn new(
        settings: &Settings,
        committed: bool,
        shared: Arc<Shared>,
        metrics: Arc<Metrics>,
    ) -> Result<Self, ConnectError> {
        let mut config = settings.consumer(committed, settings.tail_buffer_kbytes);
        config.set("statistics.interval.ms", STATISTICS_MS);
        let consumer = Arc::new(client::create(&config, Context::default())?);
        Ok(Self {
            consumer,
            shared,
            metrics,
            open: HashMap::new(),
            stopping: HashSet::new(),
            waiting: Vec::new(),
            counted: 0,
        })
    }

    pub(super) fn run(mut self) {
        loop {
            let (commands, stopping) = {
                let mut commands = self.shared.commands.lock();
                if commands.queue.is_empty() {
                    let _timed_out = self.shared.wake.wait_for(&mut commands, TURN);
                }
                (std::mem::take(&mut commands.queue), commands.stopping)
            };
            for command in commands {
                match command {
                    Command::Open(slot) => self.waiting.push(slot),
                    Command::Close(slot) => self.close(&slot),
                }
            }
            self.open_waiting();
            // Serves statistics, logs and errors; records go to the queues of their partitions.
            while let Some(event) = self.consumer.poll(Timeout::After(Duration::ZERO)) {
                if let Err(error) = event {
                    tracing::debug!(target: "kafka", %error, "feed");
                }
            }
            if let Some(statistics) = self.consumer.context().take() {
                self.tell(&statistics);
            }
            if stopping && self.end() {
                return;
            }
        }
    }

    /// Tells every tail that it is over; true when all are gone, so that the consumer ends here and
    /// not on the thread of a tail.
    fn end(&self) -> bool {
        for slot in self
            .open
            .values()
            .map(|assigned| &assigned.slot)
            .chain(&self.waiting)
        {
            slot.tell(&slot.closed, true);
        }
        self.open.is_empty() && self.waiting.is_empty()
    }

    fn open_waiting(&mut self) {
        for slot in std::mem::take(&mut self.waiting) {
            let key = (slot.topic.clone(), slot.partition);
            let taken = self.open.contains_key(&key);
            slot.tell(&slot.taken, taken);
            if taken || self.stopping.contains(&key) {
                self.waiting.push(slot);
            } else if let Err(reason) = self.assign(&slot) {
                tracing::warn!(target: "kafka", topic = slot.topic, partition = slot.partition, reason, "cannot assign");
                self.waiting.push(slot);
            } else {
                self.open.insert(key, Assigned { slot, unreachable: 0 });
            }
        }
        // Several feeds share the metric.
        let open = i64::try_from(self.open.len()).unwrap_or(i64::MAX);
        self.metrics.tails.add(open - self.counted);
        self.counted = open;
    }

    fn assign(&self, slot: &Arc<Slot>) -> Result<(), String> {
        let partition = record::raw_partition(slot.partition);
        // Split before the assignment, so that not one record goes to the common queue.
        let mut queue = self
            .consumer
            .split_partition_queue(&slot.topic, partition)
            .ok_or_else(|| "no such partition".to_owned())?;
        let notify = Arc::clone(&slot.notify);
        queue.set_nonempty_callback(move || notify.notify_one());
        *slot.queue.lock() = Some(queue);
        let mut list = TopicPartitionList::with_capacity(1);
        let at = RawOffset::Offset(record::raw(slot.from));
        list.add_partition_offset(&slot.topic, partition, at)
            .map_err(|error| error.to_string())?;
        self.consumer
            .incremental_assign(&list)
            .map_err(|error| error.to_string())?;
        slot.notify.notify_one();
        Ok(())
    }

    fn close(&mut self, slot: &Arc<Slot>) {
        self.waiting.retain(|waiting| !Arc::ptr_eq(waiting, slot));
        let key = (slot.topic.clone(), slot.partition);
        if !self
            .open
            .get(&key)
            .is_some_and(|assigned| Arc::ptr_eq(&assigned.slot, slot))
        {
            return;
        }
        self.open.remove(&key);
        let mut list = TopicPartitionList::with_capacity(1);
        list.add_partition(&slot.topic, record::raw_partition(slot.partition));
        if let Err(error) = self.consumer.incremental_unassign(&list) {
            tracing::warn!(target: "kafka", topic = slot.topic, partition = slot.partition, %error, "cannot release");
        }
        // Here, since with its queue may go the last hold on the consumer.
        drop(slot.queue.lock().take());
        self.stopping.insert(key);
    }

    fn tell(&mut self, statistics: &Statistics) {
        self.stopping
            .retain(|(topic, partition)| !statistics.of(topic, *partition).stopped);
        for ((topic, partition), assigned) in &mut self.open {
            let seen = statistics.of(topic, *partition);
            let slot = &assigned.slot;
            if seen.end >= 0 && slot.end.swap(seen.end, Ordering::AcqRel) != seen.end {
                slot.notify.notify_one();
            }
            assigned.unreachable = if seen.reachable {
                0
            } else {
                assigned.unreachable.saturating_add(1)
            };
            slot.tell(&slot.down, assigned.unreachable >= DOWN_STATISTICS);
        }
    }
}
