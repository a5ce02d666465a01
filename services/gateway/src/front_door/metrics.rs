//! What the front door counts.

use http::StatusCode;
use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};

/// Metrics of the front door.
pub(super) struct Metrics {
    /// Connections held.
    pub(super) connections: IntGauge,
    /// Connections beyond the cap.
    pub(super) refused: IntCounter,
    /// Connections that could not be accepted or had no good TLS handshake.
    pub(super) broken: IntCounter,
    requests: IntCounterVec,
}

impl Metrics {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let metrics = Self {
            connections: IntGauge::new(
                "wakeline_gateway_front_connections",
                "Connections that the front door holds itself; streams on plain sockets are not among them",
            )?,
            refused: IntCounter::new(
                "wakeline_gateway_front_refused_total",
                "Connections refused because the front door had as many as it may",
            )?,
            broken: IntCounter::new(
                "wakeline_gateway_front_broken_total",
                "Connections that were not accepted, or whose TLS handshake failed",
            )?,
            requests: IntCounterVec::new(
                Opts::new(
                    "wakeline_gateway_front_requests_total",
                    "Requests answered, by status",
                ),
                &["status"],
            )?,
        };
        registry.register(Box::new(metrics.connections.clone()))?;
        registry.register(Box::new(metrics.refused.clone()))?;
        registry.register(Box::new(metrics.broken.clone()))?;
        registry.register(Box::new(metrics.requests.clone()))?;
        Ok(metrics)
    }

    pub(super) fn answered(&self, status: StatusCode) {
        self.requests.with_label_values(&[status.as_str()]).inc();
    }
}
