//! Every limit of ingest, with its default.

use std::time::Duration;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// Limits of ingest. Rates are per process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Length of a body, compressed or not: 8 MiB.
    pub body_bytes_max: usize,
    /// How long a body may take to arrive: 30 s.
    pub body_within: Duration,
    /// Bytes of all bodies that are held at once; beyond that requests are answered 503: 256 MiB.
    pub held_bytes_max: usize,
    /// Those of one tenant: 128 MiB.
    pub held_tenant_bytes_max: usize,
    /// Events in one request: 10,000.
    pub events_max: usize,
    /// Length of one event, as JSON: 256 KiB.
    pub event_bytes_max: usize,
    /// Bounds on what an event contains.
    pub event: schemas::json::Limits,
    /// Bodies longer than this are taken apart on a thread of their own, so that one does not hold up
    /// other requests: 64 KiB.
    pub inline_bytes_max: usize,
    /// A command that does not say when it expires lives so long: 1 day.
    pub command_lifetime: Duration,
    /// How long the log may take to confirm: 10 s.
    pub append_within: Duration,
    /// `Retry-After` of an answer that asks to try again: 2 s.
    pub retry_after: Duration,
    /// Events of one device in a second, in the long run: 1,000.
    pub device_events_per_second: u32,
    /// Events of one device at once; a device that was out of reach catches up with a full request:
    /// 10,000.
    pub device_events_burst: u32,
    /// Devices whose rate is watched at once; of more, some are not limited: 262,144.
    pub devices_watched_max: usize,
    /// Refused input of one tenant that is kept in `wakeline.rejected` in a second: 10.
    pub rejected_per_second: u32,
    /// Refused input of one tenant that is kept at once: 100.
    pub rejected_burst: u32,
    /// Bytes that are kept of refused input: 4 KiB.
    pub rejected_bytes_max: usize,
    /// Appends of refused input under way at once; more are not kept: 64.
    pub rejected_appends_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            body_bytes_max: 8 * MIB,
            body_within: Duration::from_secs(30),
            held_bytes_max: 256 * MIB,
            held_tenant_bytes_max: 128 * MIB,
            events_max: 10_000,
            event_bytes_max: 256 * KIB,
            event: schemas::json::Limits::default(),
            inline_bytes_max: 64 * KIB,
            command_lifetime: Duration::from_secs(86_400),
            append_within: Duration::from_secs(10),
            retry_after: Duration::from_secs(2),
            device_events_per_second: 1_000,
            device_events_burst: 10_000,
            devices_watched_max: 262_144,
            rejected_per_second: 10,
            rejected_burst: 100,
            rejected_bytes_max: 4 * KIB,
            rejected_appends_max: 64,
        }
    }
}
