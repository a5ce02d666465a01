//! Resume is exact: clients that are cut and come back at random points, on any of two gateways, end with
//! exactly what they should, while events flow. The same on either engine.

mod clients;
pub mod devices;
pub mod events;
mod writers;

use std::time::Duration;

/// A gateway with so little room that its streams are always behind and snapshots take many pages, and
/// with short keep-alives, so that cursors come from those too.
#[must_use]
pub fn tight() -> gateway::Settings {
    gateway::Settings {
        workers: 2,
        ring_bytes_max: 4 << 10,
        turn_records_max: 16,
        turn_bytes_max: 2 << 10,
        slice_records_max: 16,
        tail_grace: Duration::from_millis(50),
        block_bytes: 8 << 10,
        block_align: 8,
        block_cache_bytes_max: 64 << 10,
        page_documents: 3,
        snapshot_changed_max: 8,
        keep_alive: Duration::from_millis(60),
        keep_alive_jitter: Duration::from_millis(20),
        ..gateway::Settings::default()
    }
}
