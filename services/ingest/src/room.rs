//! Room for bodies: so much in all, and so much of one tenant, so that none shuts the others out.

use std::sync::Arc;

use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use crate::Settings;
use crate::metrics::Metrics;

/// The room of a process.
pub(crate) struct Room {
    all_max: usize,
    tenant_max: usize,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    all: usize,
    by_tenant: FxHashMap<Box<str>, usize>,
}

/// What one body has of it, until it is dropped.
pub(crate) struct Held {
    room: Arc<Room>,
    metrics: Arc<Metrics>,
    tenant: Box<str>,
    bytes: usize,
}

impl Room {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            all_max: settings.held_bytes_max,
            tenant_max: settings.held_tenant_bytes_max,
            taken: Mutex::default(),
        }
    }

    /// No room yet, for a body of `tenant`.
    pub(crate) fn held(self: &Arc<Self>, tenant: &str, metrics: &Arc<Metrics>) -> Held {
        Held {
            room: Arc::clone(self),
            metrics: Arc::clone(metrics),
            tenant: tenant.into(),
            bytes: 0,
        }
    }
}

impl Held {
    /// Takes room for so many more bytes. Whether there is.
    pub(crate) fn take(&mut self, more: usize) -> bool {
        let room = &*self.room;
        let mut taken = room.taken.lock();
        let own = taken.by_tenant.get(&self.tenant).copied().unwrap_or_default();
        let is_room =
            taken.all.saturating_add(more) <= room.all_max && own.saturating_add(more) <= room.tenant_max;
        if is_room && more > 0 {
            taken.all += more;
            taken.by_tenant.insert(self.tenant.clone(), own + more);
            self.bytes += more;
            self.metrics.held_bytes.add(gauge(more));
        }
        is_room
    }

    /// The same room for another holder; this one has none any more.
    pub(crate) fn lend(&mut self) -> Self {
        Self {
            room: Arc::clone(&self.room),
            metrics: Arc::clone(&self.metrics),
            tenant: self.tenant.clone(),
            bytes: std::mem::take(&mut self.bytes),
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.bytes == 0 {
            return;
        }
        self.metrics.held_bytes.sub(gauge(self.bytes));
        let mut taken = self.room.taken.lock();
        taken.all -= self.bytes;
        let left = taken.by_tenant.remove(&self.tenant);
        if let Some(left) = left.map(|own| own - self.bytes).filter(|left| *left > 0) {
            taken.by_tenant.insert(self.tenant.clone(), left);
        }
    }
}

fn gauge(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room() -> (Arc<Room>, Arc<Metrics>) {
        let settings = Settings {
            held_bytes_max: 100,
            held_tenant_bytes_max: 60,
            ..Settings::default()
        };
        let metrics = Metrics::new(&prometheus::Registry::new()).unwrap();
        (Arc::new(Room::new(&settings)), Arc::new(metrics))
    }

    #[test]
    fn a_tenant_leaves_room_to_others() {
        let (room, metrics) = room();
        let mut theirs = room.held("theirs", &metrics);
        assert!(theirs.take(60));
        assert!(!room.held("theirs", &metrics).take(1));
        let mut other = room.held("other", &metrics);
        assert!(other.take(40) && !other.take(1));
    }

    #[test]
    fn room_is_given_back_by_whoever_has_it_last() {
        let (room, metrics) = room();
        let mut first = room.held("theirs", &metrics);
        assert!(first.take(30) && first.take(30));
        let lent = first.lend();
        drop(first);
        assert!(!room.held("theirs", &metrics).take(1));
        drop(lent);
        assert!(room.taken.lock().by_tenant.is_empty());
        assert_eq!((room.taken.lock().all, metrics.held_bytes.get()), (0, 0));
    }
}
