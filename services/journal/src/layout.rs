//! The epoch of a log: names one incarnation of it on one cluster.

use schemas::control::Layout;
use xxhash_rust::xxh3::Xxh3;

/// Names one incarnation of a log on one cluster. A mirrored, copied or recreated log has another,
/// so that a cursor of the one is never taken for a cursor of the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Epoch(pub u64);

impl Epoch {
    /// The epoch of `layout` on the cluster named `cluster_id`.
    #[must_use]
    pub fn new(layout: &Layout, cluster_id: &str) -> Self {
        let mut hash = Xxh3::new();
        hash.update(&layout.epoch.to_be_bytes());
        hash.update(cluster_id.as_bytes());
        Self(hash.digest())
    }
}
