//! Waiting for a condition with a deadline.

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

/// Longest wait for what should take milliseconds; generous, because builds share these cores.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// Waits until `condition` gives a value. Panics with `what` after [`DEADLINE`].
pub async fn until<T, F>(what: &str, mut condition: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let deadline = Instant::now() + DEADLINE;
    loop {
        // A condition that hangs is one that does not hold.
        if let Ok(Some(value)) = timeout_at(deadline, condition()).await {
            return value;
        }
        assert!(Instant::now() < deadline, "timed out waiting until {what}");
        sleep(Duration::from_millis(20)).await;
    }
}

/// The value of `future`. Panics with `what` after [`DEADLINE`].
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(DEADLINE, future).await {
        Ok(value) => value,
        Err(_) => panic!("timed out waiting for {what}"),
    }
}
