//! Whether a device may still be connected: known from memory, whatever the state store and the log do.

use std::time::Duration;

use super::session::End;
use super::{Device, Shared};

const CREDENTIAL: End = End::Close(4401, "the credential is not good any more");
const SCOPE: End = End::Close(4403, "the credential does not cover this device any more");

/// After a look, changes that come in this time are looked at together: every device has one of these,
/// and a change is seen within a second all the same.
const PAUSE: Duration = Duration::from_millis(400);
/// Without a change it is looked at this often, since the wall clock may be set.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// Why the device may not be connected as of now; none while it may.
pub(super) fn lost(shared: &Shared, device: &Device) -> Option<End> {
    match shared.directory.recheck(&device.principal, (shared.clock)()) {
        Ok(principal) if principal.may_receive_commands(&device.tenant, &device.id) => None,
        Ok(_) => Some(SCOPE),
        Err(_) => Some(CREDENTIAL),
    }
}

/// Waits until the device may not be connected any more.
pub(super) async fn until_lost(shared: &Shared, device: &Device) -> End {
    let mut changes = shared.directory.changes();
    loop {
        // A change that comes from here on is seen below.
        changes.borrow_and_update();
        if let Some(end) = lost(shared, device) {
            return end;
        }
        let look = tokio::time::sleep(until_look(shared, device));
        tokio::pin!(look);
        tokio::select! {
            () = &mut look => continue,
            () = tokio::time::sleep(PAUSE) => {}
        }
        tokio::select! {
            () = look => {}
            changed = changes.changed() => if changed.is_err() {
                // The directory is gone, and the process with it.
                std::future::pending::<()>().await;
            },
        }
    }
}

/// Until the credential ends, or until it is time to look again.
fn until_look(shared: &Shared, device: &Device) -> Duration {
    let Some(expires_at) = device.principal.expires_at else {
        return LOOK_AGAIN;
    };
    let left_us = expires_at.saturating_sub((shared.clock)()).max(0);
    // Not before the end.
    let left = Duration::from_micros(left_us.unsigned_abs()) + Duration::from_millis(1);
    left.min(LOOK_AGAIN)
}
