//! Which devices are connected to this process: a newer connection replaces the older.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

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
}

/// One connection's place; dropping it gives the place up, unless another has it.
pub(super) struct Presence {
    key: DeviceKey,
    serial: u64,
    /// Fires when a newer connection takes the place.
    pub(super) replaced: CancellationToken,
    connected: Arc<Mutex<HashMap<DeviceKey, Peer>>>,
}

impl Peers {
    pub(super) fn enter(&self, key: DeviceKey) -> Presence {
        let serial = self.serial.fetch_add(1, Ordering::Relaxed);
        let replaced = CancellationToken::new();
        let peer = Peer {
            serial,
            replaced: replaced.clone(),
        };
        let older = self.connected.lock().insert(key.clone(), peer);
        if let Some(older) = older {
            older.replaced.cancel();
        }
        Presence {
            key,
            serial,
            replaced,
            connected: Arc::clone(&self.connected),
        }
    }

    pub(super) fn count(&self) -> usize {
        self.connected.lock().len()
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
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
}
