//! Metrics of the engine.

use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry};

/// Registered once per process.
pub(super) struct Metrics {
    /// `wakeline_kafka_append_records_total{outcome}`.
    pub(super) appended: IntCounterVec,
    /// `wakeline_kafka_append_waiting`: records that the producer holds.
    pub(super) waiting: IntGauge,
    /// `wakeline_kafka_producer_restarts_total`.
    pub(super) restarts: IntCounter,
    /// `wakeline_kafka_tails`: partitions followed.
    pub(super) tails: IntGauge,
    /// `wakeline_kafka_read_seconds`: time of one range.
    pub(super) read: Histogram,
    /// `wakeline_kafka_transaction_seconds`.
    pub(super) transaction: Histogram,
}

impl Metrics {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let seconds = |name: &str, help: &str| -> Result<Histogram, prometheus::Error> {
            let buckets = prometheus::exponential_buckets(0.001, 2.0, 14)?;
            let metric = Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets))?;
            registry.register(Box::new(metric.clone()))?;
            Ok(metric)
        };
        let gauge = |name: &str, help: &str| -> Result<IntGauge, prometheus::Error> {
            let metric = IntGauge::new(name, help)?;
            registry.register(Box::new(metric.clone()))?;
            Ok(metric)
        };
        let appended = IntCounterVec::new(
            Opts::new(
                "wakeline_kafka_append_records_total",
                "Records appended, by outcome",
            ),
            &["outcome"],
        )?;
        registry.register(Box::new(appended.clone()))?;
        let restarts = IntCounter::new(
            "wakeline_kafka_producer_restarts_total",
            "Producers replaced because going on would have left a gap",
        )?;
        registry.register(Box::new(restarts.clone()))?;
        Ok(Self {
            appended,
            waiting: gauge("wakeline_kafka_append_waiting", "Records that the producer holds")?,
            restarts,
            tails: gauge("wakeline_kafka_tails", "Partitions followed")?,
            read: seconds("wakeline_kafka_read_seconds", "Time to read one range of the log")?,
            transaction: seconds("wakeline_kafka_transaction_seconds", "Time of one transaction")?,
        })
    }
}
