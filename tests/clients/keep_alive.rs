//! A client that has heard nothing but keep-alives for a while resumes from where those were.

use journal::{Cursor, Offset};
use tests::seed::Seed;
use tokio::task::JoinSet;

use crate::client::{self, Client, Running};
use crate::cutter::{Cutter, Plan, Visit};
use crate::fleet::Fleet;

/// Devices share one partition, so that the busy one moves the cursor of who watches the quiet one.
const ARGUMENTS: &[&str] = &[
    "--allowed-origins",
    "*",
    "--default-spread",
    "1",
    "--gateway-keep-alive",
    "200ms",
    "--gateway-keep-alive-jitter",
    "10ms",
];
const QUIET: &str = "bus-1";
const BUSY: &str = "bus-2";
const CLIENTS: [Client; 7] = [
    Client::HttpxSse,
    Client::SseclientPy,
    Client::PythonWebsockets,
    Client::EventSource,
    Client::FetchEventSource,
    Client::Curl,
    Client::Chromium,
];

/// Keep-alives at the end that are waited for before a client is cut.
const AT_END: usize = 3;

/// A client that watches the quiet device, and what it comes through.
struct Watch {
    client: Client,
    cutter: Cutter,
    running: Running,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_client_resumes_from_what_a_keep_alive_told_it() {
    if !client::are_here() {
        return;
    }
    let mut random = Seed::of_test().part(0);
    let mut fleet = Fleet::start(ARGUMENTS).await;
    fleet.send_of(QUIET, &mut random).await;
    let mut watches = Vec::new();
    for client in CLIENTS {
        let cutter = Cutter::start(fleet.address(), Plan::default()).await;
        let query = format!("kind=telemetry&device={QUIET}&since=earliest");
        let url = format!("{}/v1/stream?{query}", cutter.base());
        let running = Running::start(client, &url, &fleet.reader, 2);
        watches.push(Watch {
            client,
            cutter,
            running,
        });
    }
    for watch in &mut watches {
        assert_eq!(
            next_number(&mut watch.running).await,
            Some(0),
            "{:?}",
            watch.client
        );
    }
    let mut end = String::new();
    for _ in 0..20 {
        end = fleet.send_of(BUSY, &mut random).await;
    }
    let end = position(&end).expect("a cursor");
    let mut cuts = JoinSet::new();
    for watch in watches {
        cuts.spawn(cut(watch, end));
    }
    let watches = cuts.join_all().await;
    fleet.send_of(QUIET, &mut random).await;
    for mut watch in watches {
        assert_eq!(
            next_number(&mut watch.running).await,
            Some(1),
            "{:?}",
            watch.client
        );
        assert_eq!(next_number(&mut watch.running).await, None, "{:?}", watch.client);
    }
}

/// Cuts a client once it stands at `end`, and sees it resume from there.
async fn cut(watch: Watch, end: Offset) -> Watch {
    let Watch { client, cutter, .. } = &watch;
    // What was written last may not be read any more when it is cut: one of several at the end is.
    let is_at_end = |visit: &Visit| {
        let cursors = visit.cursors(*client);
        let at_end = cursors.iter().filter(|id| position(id) >= Some(end));
        (at_end.count() >= AT_END).then_some(())
    };
    cutter
        .until(&format!("{client:?} has a keep-alive"), 0, is_at_end)
        .await;
    cutter.cut_all();
    let what = format!("{client:?} is back with a cursor");
    let asked = cutter.until(&what, 1, |visit| visit.asked(*client)).await;
    let given = cutter.visits()[0].cursors(*client);
    assert!(given.contains(&asked), "{client:?} asked from {asked}");
    assert!(position(&asked) >= Some(end), "{client:?} asked from {asked}");
    watch
}

/// The number of the next event that a client sees; `None` at its end.
async fn next_number(running: &mut Running) -> Option<u64> {
    while let Some(frame) = running.next().await {
        if frame.event == "message" {
            return frame.data["seq"].as_u64();
        }
    }
    None
}

/// The one position of a cursor here.
fn position(cursor: &str) -> Option<Offset> {
    let cursor: Cursor = cursor.parse().ok()?;
    cursor.positions.first().map(|(_, next)| *next)
}
