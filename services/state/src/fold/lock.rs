//! The lock: the newest move by the device's time.

use schemas::document::DeviceLock;
use schemas::event::Lock;
use schemas::{Document, Event};

pub(super) fn apply(document: &mut Document, event: &Event, lock: &Lock) {
    if document
        .lock
        .as_ref()
        .is_some_and(|known| event.occurred_at < known.at)
    {
        return;
    }
    document.lock = Some(DeviceLock {
        locked: lock.locked,
        source: lock.source,
        code: lock.code.clone(),
        metadata: lock.metadata.clone(),
        at: event.occurred_at,
    });
}
