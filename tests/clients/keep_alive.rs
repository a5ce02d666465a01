//! A client that has heard nothing but keep-alives for a while resumes from where those were.

use journal::{Cursor, Offset};
use tests::seed::Seed;
use tokio::task::JoinSet;

use crate::client::{self, Client, Running};
use crate::cutter::{Cutter, Plan, Visit};
use crate::fleet::Fleet;
use crate::nginx::{Nginx, Way};

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
/// The same with keep-alives so far apart that what nginx may hold back (4 KiB) has room for all that come in a test.
const SLOW: &[&str] = &[
    "--default-spread",
    "1",
    "--gateway-keep-alive",
    "3s",
    "--gateway-keep-alive-jitter",
    "10ms",
];
/// How long nginx here waits for a gateway to say something; it is 75 s in the file.
const READ_TIMEOUT: (&str, &str) = ("proxy_read_timeout 75s;", "proxy_read_timeout 5s;");
/// Keep-alives that take longer than that.
const IDLE: usize = 4;
const QUIET: &str = "bus-1";
const BUSY: &str = "bus-2";
/// Keep-alives at the end that are waited for before a client is cut.
const AT_END: usize = 3;

/// A client that watches the quiet device, and what it comes through.
struct Watch {
    client: Client,
    cutter: Cutter,
    running: Running,
}

impl Watch {
    /// Starts a client that ends after two events of the quiet device.
    async fn start(client: Client, upstream: &str, reader: &str) -> Self {
        let cutter = Cutter::start(upstream, Plan::default()).await;
        let query = format!("kind=telemetry&device={QUIET}&since=earliest");
        let url = format!("{}/v1/stream?{query}", cutter.base());
        let running = Running::start(client, &url, reader, 2);
        Self {
            client,
            cutter,
            running,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_client_resumes_from_what_a_keep_alive_told_it() {
    every_client_resumes_from_a_keep_alive(Way::Direct).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_client_resumes_from_what_a_keep_alive_told_it_through_nginx() {
    every_client_resumes_from_a_keep_alive(Way::ThroughNginx).await;
}

/// Over SSE and over WebSocket. One that nginx holds back would come with the next ones, or after its timeout.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nginx_passes_each_keep_alive_on_as_it_comes_and_so_keeps_an_idle_stream_open() {
    if !client::are_here() {
        return;
    }
    let mut random = Seed::of_test().part(0);
    let mut fleet = Fleet::start(SLOW).await;
    fleet.events.send_of(QUIET, &mut random).await;
    let mut idle = JoinSet::new();
    for client in [Client::Curl, Client::PythonWebsockets] {
        let before_the_node = Cutter::start(fleet.address(), Plan::default()).await;
        let nginx = Nginx::start_with(&[before_the_node.host()], &[READ_TIMEOUT]).await;
        let watch = Watch::start(client, nginx.address(), &fleet.events.reader).await;
        idle.spawn(async move { (stays_idle(watch, &before_the_node).await, nginx, before_the_node) });
    }
    let idle = idle.join_all().await;
    fleet.events.send_of(QUIET, &mut random).await;
    for (mut watch, _nginx, _before_the_node) in idle {
        assert_eq!(
            next_number(&mut watch.running).await,
            Some(1),
            "{:?}",
            watch.client
        );
        assert_eq!(watch.cutter.visits().len(), 1, "{:?} was cut", watch.client);
    }
}

/// Nothing but keep-alives comes for longer than nginx waits, each before the next but one is sent.
async fn stays_idle(mut watch: Watch, before_the_node: &Cutter) -> Watch {
    let client = watch.client;
    assert_eq!(next_number(&mut watch.running).await, Some(0), "{client:?}");
    let keep_alives = |visit: &Visit| {
        let given = String::from_utf8_lossy(&visit.given);
        let mark = if client.is_web_socket() {
            "\"keepalive\""
        } else {
            "event: keepalive"
        };
        given.matches(mark).count()
    };
    let mut come = 0;
    while come < IDLE {
        let frame = watch.running.next().await.expect("the client goes on");
        if frame.event == "keepalive" {
            come += 1;
            let sent = before_the_node.visits().first().map(keep_alives);
            assert!(
                sent <= Some(come + 1),
                "{client:?} has {come} of {sent:?} keep-alives"
            );
        }
    }
    watch
}

async fn every_client_resumes_from_a_keep_alive(way: Way) {
    if !client::are_here() {
        return;
    }
    let mut random = Seed::of_test().part(0);
    let mut fleet = Fleet::start(ARGUMENTS).await;
    let nginx = way.before(fleet.address()).await;
    let upstream = nginx.as_ref().map_or(fleet.address(), Nginx::address).to_owned();
    fleet.events.send_of(QUIET, &mut random).await;
    let mut watches = Vec::new();
    for client in Client::ALL {
        watches.push(Watch::start(client, &upstream, &fleet.events.reader).await);
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
        end = fleet.events.send_of(BUSY, &mut random).await;
    }
    let end = position(&end).expect("a cursor");
    let mut cuts = JoinSet::new();
    for watch in watches {
        cuts.spawn(cut(watch, end));
    }
    let watches = cuts.join_all().await;
    fleet.events.send_of(QUIET, &mut random).await;
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
