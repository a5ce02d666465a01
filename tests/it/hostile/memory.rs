//! Memory of a process, MiB.

use std::future::Future;
use std::time::Duration;

/// The process waits a little each time.
const SAMPLED_EVERY: Duration = Duration::from_millis(250);

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Memory {
    pub(super) rss: u64,
    pub(super) pss: u64,
}

impl Memory {
    pub(super) fn of(process: u32) -> Self {
        let text = std::fs::read_to_string(format!("/proc/{process}/smaps_rollup")).expect("it runs");
        let of = |name: &str| {
            let line = text.lines().find(|line| line.starts_with(name)).expect(name);
            let kib: u64 = line
                .split_whitespace()
                .nth(1)
                .expect("a size")
                .parse()
                .expect("a number");
            kib / 1024
        };
        Self {
            rss: of("Rss:"),
            pss: of("Pss:"),
        }
    }

    /// The most that is held during `work`.
    pub(super) async fn most<T>(process: u32, work: impl Future<Output = T>) -> (T, Self) {
        let mut most = Self::default();
        let mut every = tokio::time::interval(SAMPLED_EVERY);
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return (done, most),
                _ = every.tick() => {
                    let now = Self::of(process);
                    most = Self { rss: most.rss.max(now.rss), pss: most.pss.max(now.pss) };
                }
            }
        }
    }
}
