//! Metrics of the projector, per partition.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use journal::Partition;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};

/// The families, registered once a process.
pub(crate) struct Metrics {
    lag: IntGaugeVec,
    lag_seconds: IntGaugeVec,
    waiting: IntGaugeVec,
    pending_timers: IntGaugeVec,
    batch: HistogramVec,
    fold: HistogramVec,
    transaction: HistogramVec,
    write: HistogramVec,
    events: IntCounterVec,
    reactions: IntCounterVec,
    retries: IntCounterVec,
    pub(crate) lost: IntCounter,
    pub(crate) restarts: IntCounter,
}

/// The metrics of one partition. Its gauges go when it is given up.
pub(crate) struct PartitionMetrics {
    label: String,
    pub(crate) lag: IntGauge,
    pub(crate) lag_seconds: IntGauge,
    pub(crate) pending_timers: IntGauge,
    waits_for: Mutex<Option<&'static str>>,
    batch: Histogram,
    fold: Histogram,
    transaction: Histogram,
    write: Histogram,
    lag_family: IntGaugeVec,
    lag_seconds_family: IntGaugeVec,
    waiting_family: IntGaugeVec,
    timers_family: IntGaugeVec,
    events: IntCounterVec,
    reactions: IntCounterVec,
    retries: IntCounterVec,
}

impl Metrics {
    /// # Errors
    /// When the registry has metrics of these names already.
    pub(crate) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let metrics = Self {
            lag: gauge(
                "lag_records",
                "Events between the position folded and the end of the log",
            )?,
            lag_seconds: gauge(
                "lag_seconds",
                "Age of the oldest event that may not be in the tables yet; 0 at the end of the log",
            )?,
            waiting: gauges(
                "waiting",
                "1 for a partition that waits for what is away, by what it tries to do",
                &["partition", "what"],
            )?,
            pending_timers: gauge("pending_timers", "Devices with a timer of silence")?,
            batch: histogram("batch_records", "Events folded in one batch", &COUNTS)?,
            fold: histogram("fold_seconds", "Time to fold one batch", &SECONDS)?,
            transaction: histogram(
                "transaction_seconds",
                "Time to commit one batch to the log",
                &SECONDS,
            )?,
            write: histogram(
                "write_seconds",
                "Time to write one batch to the state store",
                &SECONDS,
            )?,
            events: counters("events_total", "Events folded, by what they did", "outcome")?,
            reactions: counters(
                "reactions_total",
                "Events appended by the reactor, by rule",
                "rule",
            )?,
            retries: counters(
                "retries_total",
                "Attempts that failed and are made again, by what",
                "what",
            )?,
            lost: counter(
                "lost_events_total",
                "Events that retention removed before they were folded",
            )?,
            restarts: counter(
                "restarts_total",
                "Times that the group was joined again after trouble",
            )?,
        };
        for family in [
            &metrics.lag,
            &metrics.lag_seconds,
            &metrics.waiting,
            &metrics.pending_timers,
        ] {
            registry.register(Box::new(family.clone()))?;
        }
        for family in [
            &metrics.batch,
            &metrics.fold,
            &metrics.transaction,
            &metrics.write,
        ] {
            registry.register(Box::new(family.clone()))?;
        }
        for family in [&metrics.events, &metrics.reactions, &metrics.retries] {
            registry.register(Box::new(family.clone()))?;
        }
        registry.register(Box::new(metrics.lost.clone()))?;
        registry.register(Box::new(metrics.restarts.clone()))?;
        Ok(metrics)
    }

    pub(crate) fn partition(&self, partition: Partition) -> PartitionMetrics {
        let label = partition.to_string();
        let labels = [label.as_str()];
        PartitionMetrics {
            lag: self.lag.with_label_values(&labels),
            lag_seconds: self.lag_seconds.with_label_values(&labels),
            waits_for: Mutex::default(),
            pending_timers: self.pending_timers.with_label_values(&labels),
            batch: self.batch.with_label_values(&labels),
            fold: self.fold.with_label_values(&labels),
            transaction: self.transaction.with_label_values(&labels),
            write: self.write.with_label_values(&labels),
            lag_family: self.lag.clone(),
            lag_seconds_family: self.lag_seconds.clone(),
            waiting_family: self.waiting.clone(),
            timers_family: self.pending_timers.clone(),
            events: self.events.clone(),
            reactions: self.reactions.clone(),
            retries: self.retries.clone(),
            label,
        }
    }
}

impl PartitionMetrics {
    pub(crate) fn folded(&self, records: usize, took: Duration) {
        self.batch.observe(records as f64);
        self.fold.observe(took.as_secs_f64());
    }

    pub(crate) fn committed(&self, took: Duration) {
        self.transaction.observe(took.as_secs_f64());
    }

    pub(crate) fn written(&self, took: Duration) {
        self.write.observe(took.as_secs_f64());
    }

    pub(crate) fn events(&self, outcome: &str, count: u64) {
        self.events
            .with_label_values(&[self.label.as_str(), outcome])
            .inc_by(count);
    }

    pub(crate) fn reacted(&self, rule: &str) {
        self.reactions
            .with_label_values(&[self.label.as_str(), rule])
            .inc();
    }

    /// What the partition waits for from now on; `None`: it goes on.
    pub(crate) fn waits(&self, what: Option<&'static str>) {
        let mut waits_for = self.waits_for.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = waits_for.take()
            && Some(before) != what
        {
            drop(
                self.waiting_family
                    .remove_label_values(&[self.label.as_str(), before]),
            );
        }
        if let Some(what) = what {
            self.waiting_family
                .with_label_values(&[self.label.as_str(), what])
                .set(1);
        }
        *waits_for = what;
    }

    pub(crate) fn retried(&self, what: &str) {
        self.retries.with_label_values(&[self.label.as_str(), what]).inc();
    }
}

impl Drop for PartitionMetrics {
    fn drop(&mut self) {
        self.waits(None);
        for family in [&self.lag_family, &self.lag_seconds_family, &self.timers_family] {
            // Absent already when the partition came back before its last task was gone.
            drop(family.remove_label_values(&[self.label.as_str()]));
        }
    }
}

const SECONDS: [f64; 10] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.5];
const COUNTS: [f64; 8] = [1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1_000.0, 3_000.0];

fn name(suffix: &str) -> String {
    format!("wakeline_projector_{suffix}")
}

fn gauge(suffix: &str, help: &str) -> Result<IntGaugeVec, prometheus::Error> {
    gauges(suffix, help, &["partition"])
}

fn gauges(suffix: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec, prometheus::Error> {
    IntGaugeVec::new(Opts::new(name(suffix), help), labels)
}

fn histogram(suffix: &str, help: &str, buckets: &[f64]) -> Result<HistogramVec, prometheus::Error> {
    HistogramVec::new(
        HistogramOpts::new(name(suffix), help).buckets(buckets.to_vec()),
        &["partition"],
    )
}

fn counters(suffix: &str, help: &str, label: &str) -> Result<IntCounterVec, prometheus::Error> {
    IntCounterVec::new(Opts::new(name(suffix), help), &["partition", label])
}

fn counter(suffix: &str, help: &str) -> Result<IntCounter, prometheus::Error> {
    IntCounter::new(name(suffix), help)
}
