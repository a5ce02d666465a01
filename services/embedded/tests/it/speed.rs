//! How fast it is, on whatever this runs on: `cargo test -p embedded -- --ignored --nocapture speed`.

use std::time::Instant;

use embedded::Settings;
use journal::Topic;

use crate::support::{Fixture, append, read_all};

#[expect(clippy::print_stdout, reason = "what it is for")]
fn report(what: &str, count: usize, begun: Instant) {
    let seconds = begun.elapsed().as_secs_f64();
    println!(
        "{what}: {:.0}/s ({count} in {seconds:.2} s)",
        count as f64 / seconds
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn speed() {
    // Small memory, so that the scan reads the store.
    let fixture = Fixture::new(Settings {
        ring_bytes: 1,
        ..Settings::default()
    })
    .await;
    let journal = fixture.journal().await;
    let value = "x".repeat(250);
    let record = |partition| fixture.record(Topic::Events, partition, "acme/bus-14", &value);

    let begun = Instant::now();
    for _ in 0..300 {
        append(&journal, vec![record(0)]).await;
    }
    report("appends one after the other, each synced", 300, begun);

    let begun = Instant::now();
    let callers = (0..64).map(|caller| {
        let journal = &journal;
        async move {
            for _ in 0..50 {
                append(journal, vec![record(caller % 4)]).await;
            }
        }
    });
    futures::future::join_all(callers).await;
    report("appends of 64 callers at once", 64 * 50, begun);

    let begun = Instant::now();
    for turn in 0..100 {
        append(&journal, (0..1_000).map(|_| record(turn % 4)).collect()).await;
    }
    report("records in calls of 1,000", 100_000, begun);

    let begun = Instant::now();
    let mut count = 0;
    for partition in 0..4 {
        count += read_all(&journal, Topic::Events, partition).await.len();
    }
    report("records scanned from the store", count, begun);
}
