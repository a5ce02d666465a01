//! Which devices are connected to this process: a newer connection replaces the older, and speaks of itself
//! only once the older has nothing more to say, so that what stands last in the log is the newer's.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use state::DeviceKey;
use tokio_util::sync::CancellationToken;

/// The connected devices.
#[derive(Default)]
pub(super) struct Peers {
    serial: AtomicU64,
    connected: Arc<Mutex<HashMap<DeviceKey, Peer>>>,
}

struct Peer {
    serial: u64,
    replaced: CancellationToken,
    silent: CancellationToken,
}

/// One connection's place; dropping it gives the place up, unless another has it.
pub(super) struct Presence {
    key: DeviceKey,
    serial: u64,
    /// Fires when a newer connection takes the place.
    pub(super) replaced: CancellationToken,
    /// The connection appends nothing more than its end.
    silent: CancellationToken,
    /// Fires when that is so of the one whose place this is.
    older: Option<CancellationToken>,
    connected: Arc<Mutex<HashMap<DeviceKey, Peer>>>,
}

impl Peers {
    pub(super) fn enter(&self, key: DeviceKey) -> Presence {
        let serial = self.serial.fetch_add(1, Ordering::Relaxed);
        let (replaced, silent) = (CancellationToken::new(), CancellationToken::new());
        let peer = Peer {
            serial,
            replaced: replaced.clone(),
            silent: silent.clone(),
        };
        let older = self.connected.lock().insert(key.clone(), peer);
        if let Some(older) = &older {
            older.replaced.cancel();
        }
        Presence {
            key,
            serial,
            replaced,
            silent,
            older: older.map(|older| older.silent),
            connected: Arc::clone(&self.connected),
        }
    }

    pub(super) fn count(&self) -> usize {
        self.connected.lock().len()
    }
}

impl Presence {
    /// Waits until the connection before this one appends nothing more, at most so long.
    pub(super) async fn is_alone(&self, within: Duration) {
        if let Some(older) = &self.older
            && tokio::time::timeout(within, older.cancelled()).await.is_err()
        {
            tracing::warn!(device = %self.key.device, "a replaced connection does not end");
        }
    }

    /// The connection appends nothing more, but that it ended.
    pub(super) fn falls_silent(&self) {
        self.silent.cancel();
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.silent.cancel();
        let mut connected = self.connected.lock();
        if connected
            .get(&self.key)
            .is_some_and(|peer| peer.serial == self.serial)
        {
            connected.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_connection_replaces_the_older_and_keeps_its_place() {
        let peers = Peers::default();
        let key = DeviceKey {
            tenant: "acme".into(),
            device: "bus".into(),
        };
        let older = peers.enter(key.clone());
        let newer = peers.enter(key);
        assert!(older.replaced.is_cancelled() && !newer.replaced.is_cancelled());
        drop(older);
        assert_eq!(peers.count(), 1);
        drop(newer);
        assert_eq!(peers.count(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_newer_connection_waits_until_the_older_is_silent_but_not_for_ever() {
        let peers = Peers::default();
        let key = DeviceKey {
            tenant: "acme".into(),
            device: "bus".into(),
        };
        let older = peers.enter(key.clone());
        older.is_alone(Duration::MAX).await;
        let newer = peers.enter(key.clone());
        let mut waits = std::pin::pin!(newer.is_alone(Duration::from_secs(60)));
        let soon = Duration::from_secs(1);
        assert!(tokio::time::timeout(soon, &mut waits).await.is_err());
        older.falls_silent();
        assert!(tokio::time::timeout(soon, &mut waits).await.is_ok());
        // One that hangs keeps nobody waiting for ever; one that is gone, not at all.
        let newest = peers.enter(key.clone());
        newest.is_alone(soon).await;
        drop(newest);
        let last = peers.enter(key);
        assert!(
            tokio::time::timeout(soon, last.is_alone(Duration::MAX))
                .await
                .is_ok()
        );
    }
}
