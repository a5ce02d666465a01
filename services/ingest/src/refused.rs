//! Keeps refused input in `wakeline.rejected`, for people to look at. Best effort: it never makes a
//! sender wait, and what would be too much is only counted.

use std::sync::Arc;

use access::Principal;
use journal::{Appender, Headers, NewRecord, Placement, Topic};
use parking_lot::Mutex;
use schemas::{Micros, Rejected};
use tokio::task::JoinSet;

use crate::Settings;
use crate::admission::Gist;
use crate::blank::{excerpt, named_secrets, reason};
use crate::metrics::Metrics;
use crate::rate::Rate;

/// `kind` header of these records.
const KIND: &str = "rejected";

/// Appends refused input in the background.
pub(crate) struct Refusals {
    appender: Arc<dyn Appender>,
    generation: u32,
    partitions: u32,
    settings: Settings,
    rate: Rate,
    metrics: Arc<Metrics>,
    appends: Mutex<JoinSet<()>>,
}

/// Some input that was refused.
pub(crate) struct Refused<'a> {
    /// Why, for people.
    pub(crate) reason: &'a str,
    /// What came, or the part of it that is at hand.
    pub(crate) original: &'a str,
    /// The device of the surface that it came by.
    pub(crate) device: Option<&'a str>,
}

/// Who sent refused input, and when.
pub(crate) struct Sender<'a> {
    pub(crate) principal: &'a Principal,
    pub(crate) tenant: &'a str,
    /// Where the tenant's devices lie, if it exists.
    pub(crate) placement: Option<&'a Placement>,
    pub(crate) received_at: Micros,
    pub(crate) traceparent: Option<&'a str>,
}

impl Refusals {
    pub(crate) fn new(
        settings: &Settings,
        appender: Arc<dyn Appender>,
        layout: &schemas::control::Layout,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            appender,
            generation: layout.generation,
            partitions: layout.partitions,
            rate: Rate::new(
                settings.rejected_per_second,
                settings.rejected_burst,
                settings.devices_watched_max,
            ),
            settings: settings.clone(),
            metrics,
            appends: Mutex::default(),
        }
    }

    /// Keeps what is within the tenant's rate.
    pub(crate) fn keep<'a>(&self, sender: &Sender<'_>, refused: impl Iterator<Item = Refused<'a>>) {
        let mut records = Vec::new();
        for refused in refused {
            let granted = self
                .rate
                .take(sender.tenant, std::iter::once(""), sender.received_at);
            if granted == [true] {
                records.push(self.record(sender, &refused));
            } else {
                self.metrics.rejected("limited");
            }
        }
        if records.is_empty() {
            return;
        }
        tracing::debug!(
            tenant = sender.tenant,
            principal = %sender.principal.id,
            count = records.len(),
            "input refused"
        );
        self.append(records);
    }

    /// Waits until what is under way is in the log.
    pub(crate) async fn drain(&self) {
        let mut appends = std::mem::take(&mut *self.appends.lock());
        while appends.join_next().await.is_some() {}
    }

    fn record(&self, sender: &Sender<'_>, refused: &Refused<'_>) -> NewRecord {
        let gist = Gist::of(refused.original);
        let secrets = if gist.secrets.is_empty() {
            named_secrets(refused.original)
        } else {
            gist.secrets
        };
        let device = gist.device.as_deref().or(refused.device);
        let key = format!("{}/{}", sender.tenant, device.unwrap_or_default());
        let placed = |placement: &Placement| placement.of(device.unwrap_or_default());
        let partition = sender.placement.map_or_else(
            || placed(&Placement::new(sender.tenant, self.partitions, self.partitions)),
            placed,
        );
        let value = Rejected {
            tenant: sender.tenant.into(),
            device: device.map(Into::into),
            received_at: sender.received_at,
            reason: reason(refused.reason, &secrets).into(),
            original: excerpt(refused.original, &secrets, self.settings.rejected_bytes_max).into(),
        };
        NewRecord {
            topic: Topic::Rejected,
            partition,
            key: key.into(),
            value: Some(value.encode()),
            timestamp_ms: sender.received_at.div_euclid(1_000),
            headers: Headers {
                kind: KIND.into(),
                generation: self.generation,
                traceparent: sender.traceparent.map(Into::into),
                source_offset: None,
            },
        }
    }

    fn append(&self, records: Vec<NewRecord>) {
        let mut appends = self.appends.lock();
        while appends.try_join_next().is_some() {}
        if appends.len() >= self.settings.rejected_appends_max {
            for _ in &records {
                self.metrics.rejected("busy");
            }
            return;
        }
        let (appender, metrics) = (Arc::clone(&self.appender), Arc::clone(&self.metrics));
        let within = self.settings.append_within;
        appends.spawn(async move {
            for outcome in appender.append(records, within).await {
                metrics.rejected(if outcome.is_ok() { "kept" } else { "failed" });
            }
        });
    }
}
