//! What operators see of the directory.

use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};

use super::Denied;

pub(super) struct Metrics {
    authentications: IntCounterVec,
    limited: IntCounter,
    records: IntCounterVec,
    pub(super) tokens: IntGauge,
    pub(super) tenants: IntGauge,
    pub(super) lag: IntGauge,
    pub(super) current: IntGauge,
}

impl Metrics {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let metrics = Self {
            authentications: IntCounterVec::new(
                Opts::new(
                    "wakeline_access_authentications_total",
                    "credentials judged, by outcome",
                ),
                &["outcome"],
            )?,
            limited: IntCounter::new(
                "wakeline_access_limited_total",
                "failed authentications of addresses that had too many",
            )?,
            records: IntCounterVec::new(
                Opts::new(
                    "wakeline_access_control_records_total",
                    "control records folded, by effect",
                ),
                &["effect"],
            )?,
            tokens: IntGauge::new("wakeline_access_tokens", "API tokens known")?,
            tenants: IntGauge::new("wakeline_access_tenants", "tenants known")?,
            lag: IntGauge::new(
                "wakeline_access_control_lag_records",
                "control records in the log that are not folded yet",
            )?,
            current: IntGauge::new(
                "wakeline_access_control_current",
                "1 while the fold of the control topic is at its end, 0 while it stalls",
            )?,
        };
        registry.register(Box::new(metrics.authentications.clone()))?;
        registry.register(Box::new(metrics.limited.clone()))?;
        registry.register(Box::new(metrics.records.clone()))?;
        for gauge in [&metrics.tokens, &metrics.tenants, &metrics.lag, &metrics.current] {
            registry.register(Box::new(gauge.clone()))?;
        }
        Ok(metrics)
    }

    pub(super) fn authenticated(&self, denied: Option<Denied>) {
        let outcome = match denied {
            None => "good",
            Some(Denied::Unknown) => "unknown",
            Some(Denied::UnknownKey | Denied::UnknownKeyId) => "unknown_key",
            Some(Denied::Unready) => "unready",
            Some(Denied::Expired) => "expired",
            Some(Denied::Revoked) => "revoked",
        };
        self.authentications.with_label_values(&[outcome]).inc();
    }

    pub(super) fn limited(&self) {
        self.limited.inc();
    }

    pub(super) fn folded(&self, effect: super::fold::Effect) {
        let effect = match effect {
            super::fold::Effect::Changed => "changed",
            super::fold::Effect::Unchanged => "unchanged",
            super::fold::Effect::Unreadable => "unreadable",
        };
        self.records.with_label_values(&[effect]).inc();
    }
}
