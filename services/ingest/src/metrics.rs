//! What operators see of ingest.

use access::Outcome;
use access::events::Reason;
use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry};

pub(crate) struct Metrics {
    requests: IntCounterVec,
    events: IntCounterVec,
    rejected: IntCounterVec,
    pub(crate) body_bytes: IntCounter,
    pub(crate) held_bytes: IntGauge,
    pub(crate) append_seconds: Histogram,
}

impl Metrics {
    pub(crate) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counters =
            |name: &str, help: &str, label: &str| IntCounterVec::new(Opts::new(name, help), &[label]);
        let metrics = Self {
            requests: counters(
                "wakeline_ingest_requests_total",
                "requests to POST /v1/events answered, by status",
                "status",
            )?,
            events: counters(
                "wakeline_ingest_events_total",
                "events judged, from every surface, by outcome",
                "outcome",
            )?,
            rejected: counters(
                "wakeline_ingest_rejected_records_total",
                "refused input, by what became of its record in wakeline.rejected",
                "outcome",
            )?,
            body_bytes: IntCounter::new(
                "wakeline_ingest_body_bytes_total",
                "bytes of bodies, decompressed",
            )?,
            held_bytes: IntGauge::new("wakeline_ingest_held_bytes", "bytes of bodies held at present")?,
            append_seconds: Histogram::with_opts(
                HistogramOpts::new(
                    "wakeline_ingest_append_seconds",
                    "from handing the records of one request to the log until it answered",
                )
                .buckets(prometheus::exponential_buckets(0.000_5, 2.0, 16)?),
            )?,
        };
        registry.register(Box::new(metrics.requests.clone()))?;
        registry.register(Box::new(metrics.events.clone()))?;
        registry.register(Box::new(metrics.rejected.clone()))?;
        registry.register(Box::new(metrics.body_bytes.clone()))?;
        registry.register(Box::new(metrics.held_bytes.clone()))?;
        registry.register(Box::new(metrics.append_seconds.clone()))?;
        Ok(metrics)
    }

    pub(crate) fn answered(&self, status: http::StatusCode) {
        self.requests.with_label_values(&[status.as_str()]).inc();
    }

    pub(crate) fn judged(&self, outcomes: &[Outcome]) {
        let mut counts = [0_u64; OUTCOMES.len()];
        for outcome in outcomes {
            counts[place(outcome)] += 1;
        }
        for (label, count) in OUTCOMES.iter().zip(counts).filter(|(_, count)| *count > 0) {
            self.events.with_label_values(&[*label]).inc_by(count);
        }
    }

    /// `kept`, `limited`, `busy` or `failed`.
    pub(crate) fn rejected(&self, outcome: &'static str) {
        self.rejected.with_label_values(&[outcome]).inc();
    }
}

/// Labels of outcomes, in the order of [`place`].
const OUTCOMES: [&str; 7] = [
    "accepted",
    "invalid",
    "too_large",
    "forbidden",
    "rate_limited",
    "refused",
    "retry",
];

fn place(outcome: &Outcome) -> usize {
    match outcome.as_ref().map_err(|rejection| rejection.reason) {
        Ok(_) => 0,
        Err(Reason::Invalid) => 1,
        Err(Reason::TooLarge) => 2,
        Err(Reason::Forbidden) => 3,
        Err(Reason::RateLimited) => 4,
        Err(Reason::Refused) => 5,
        Err(Reason::Retry) => 6,
    }
}
