//! Figures of the delivery engine.

use prometheus::{
    Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};

use super::blocks::Counters;

/// Counted by workers.
pub(crate) struct Metrics {
    pub(crate) streams: IntGauge,
    pub(crate) streams_max: IntGauge,
    pub(crate) behind: IntGauge,
    pub(crate) frames: IntCounter,
    pub(crate) bytes: IntCounter,
    pub(crate) records: IntCounter,
    pub(crate) fell_behind: IntCounter,
    pub(crate) evaluations: IntCounter,
    pub(crate) filters: IntGauge,
    pub(crate) resets: IntCounterVec,
    pub(crate) ended: IntCounterVec,
    pub(crate) age: Histogram,
    pub(crate) lag: Histogram,
    pub(crate) tails: IntGauge,
    pub(crate) degraded: IntGaugeVec,
    pub(crate) ring_bytes: IntGauge,
    pub(crate) block_bytes: IntGauge,
    pub(crate) blocks: Counters,
}

impl Metrics {
    pub(crate) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let gauge = |name: &str, help: &str| -> Result<IntGauge, prometheus::Error> {
            let gauge = IntGauge::new(format!("wakeline_gateway_{name}"), help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok(gauge)
        };
        let counter = |name: &str, help: &str| -> Result<IntCounter, prometheus::Error> {
            let counter = IntCounter::new(format!("wakeline_gateway_{name}"), help)?;
            registry.register(Box::new(counter.clone()))?;
            Ok(counter)
        };
        let counters = |name: &str, help: &str, label: &str| -> Result<IntCounterVec, prometheus::Error> {
            let counters = IntCounterVec::new(Opts::new(format!("wakeline_gateway_{name}"), help), &[label])?;
            registry.register(Box::new(counters.clone()))?;
            Ok(counters)
        };
        let seconds = |name: &str, help: &str| -> Result<Histogram, prometheus::Error> {
            let buckets = prometheus::exponential_buckets(0.001, 2.0, 20)?;
            let options = HistogramOpts::new(format!("wakeline_gateway_{name}"), help).buckets(buckets);
            let histogram = Histogram::with_opts(options)?;
            registry.register(Box::new(histogram.clone()))?;
            Ok(histogram)
        };
        let degraded = IntGaugeVec::new(
            Opts::new(
                "wakeline_gateway_partition_degraded",
                "1 for a partition that is needed and cannot be followed, 0 for one that is followed",
            ),
            &["topic", "partition"],
        )?;
        registry.register(Box::new(degraded.clone()))?;
        Ok(Self {
            streams: gauge("streams", "Streams that are open")?,
            streams_max: gauge("streams_max", "Streams that may be open")?,
            behind: gauge("streams_behind", "Streams that read the log at their own pace")?,
            frames: counter("frames_total", "Data frames queued for streams")?,
            bytes: counter("written_bytes_total", "Bytes written to streams")?,
            records: counter(
                "records_total",
                "Records that workers matched against live streams",
            )?,
            fell_behind: counter("fell_behind_total", "Times that a live stream fell behind")?,
            evaluations: counter(
                "filter_evaluations_total",
                "Runs of filters on changes and devices",
            )?,
            filters: gauge(
                "filters",
                "Distinct filters of streams, each worker's counted by itself",
            )?,
            resets: counters("resets_total", "Resets told to streams", "reason")?,
            ended: counters("ended_total", "Streams that ended", "why")?,
            age: seconds("record_age_seconds", "Age of records when a worker takes them")?,
            lag: seconds(
                "lag_seconds",
                "How far streams that are behind are behind, when they read",
            )?,
            tails: gauge("tails", "Partitions that are followed")?,
            degraded,
            ring_bytes: gauge("ring_bytes", "Records in the rings")?,
            block_bytes: gauge("block_cache_bytes", "Blocks in the cache")?,
            blocks: Counters {
                hits: counter("block_hits_total", "Reads of blocks that the cache answered")?,
                reads: counter("block_reads_total", "Blocks read from the log")?,
                read_bytes: counter("block_read_bytes_total", "Bytes of blocks read from the log")?,
            },
        })
    }
}
