//! Each client, cut again and again, ends with every event once and each device's in order, by the means
//! that it has itself.

use std::collections::VecDeque;

use rand::RngExt as _;
use rand::rngs::SmallRng;
use tests::seed::Seed;

use crate::client::{self, Client, Running, Seen};
use crate::cutter::{Cut, Cutter, Plan};
use crate::fleet::Fleet;
use crate::nginx::{Nginx, Way};

/// Events that lie in the log before a client comes.
const BEFORE: usize = 120;
/// Events that are sent while it is there.
const LIVE: usize = 60;
/// Where the cuts of an answer fall, bytes.
const CUT_WITHIN: std::ops::Range<usize> = 1..40_000;
/// Most of the product's own pages' origins are not known beforehand.
const ARGUMENTS: &[&str] = &[
    "--allowed-origins",
    "*",
    "--partitions",
    "8",
    "--default-spread",
    "4",
    // As infra/nginx asks for.
    "--trusted-proxies",
    "127.0.0.1/32",
];

macro_rules! resumes {
    ($($name:ident: $client:ident, $way:ident;)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            resumes_exactly(Client::$client, Way::$way).await;
        }
    )*};
}

resumes! {
    httpx_sse_resumes_exactly: HttpxSse, Direct;
    sseclient_py_resumes_exactly: SseclientPy, Direct;
    python_websockets_resumes_exactly: PythonWebsockets, Direct;
    eventsource_resumes_exactly: EventSource, Direct;
    fetch_event_source_resumes_exactly: FetchEventSource, Direct;
    ws_resumes_exactly: Ws, Direct;
    curl_resumes_exactly: Curl, Direct;
    a_page_in_chromium_resumes_exactly: Chromium, Direct;
    a_page_with_a_web_socket_in_chromium_resumes_exactly: ChromiumWebSocket, Direct;
    httpx_sse_resumes_exactly_through_nginx: HttpxSse, ThroughNginx;
    sseclient_py_resumes_exactly_through_nginx: SseclientPy, ThroughNginx;
    python_websockets_resumes_exactly_through_nginx: PythonWebsockets, ThroughNginx;
    eventsource_resumes_exactly_through_nginx: EventSource, ThroughNginx;
    fetch_event_source_resumes_exactly_through_nginx: FetchEventSource, ThroughNginx;
    ws_resumes_exactly_through_nginx: Ws, ThroughNginx;
    curl_resumes_exactly_through_nginx: Curl, ThroughNginx;
    a_page_in_chromium_resumes_exactly_through_nginx: Chromium, ThroughNginx;
    a_page_with_a_web_socket_in_chromium_resumes_exactly_through_nginx: ChromiumWebSocket, ThroughNginx;
}

async fn resumes_exactly(client: Client, way: Way) {
    if !client::are_here() {
        return;
    }
    let seed = Seed::of_test();
    let mut random = seed.part(0);
    let mut fleet = Fleet::start(ARGUMENTS).await;
    let nginx = way.before(fleet.address()).await;
    let upstream = nginx.as_ref().map_or(fleet.address(), Nginx::address);
    let cutter = Cutter::start(upstream, plan(client, &mut random)).await;

    fleet.events.send(BEFORE, &mut random).await;
    let url = format!("{}/v1/stream?kind=telemetry&since=earliest", cutter.base());
    let mut running = Running::start(client, &url, &fleet.events.reader, BEFORE + LIVE);
    let mut seen = Vec::new();
    // Two cuts within what lay there, then the node's own end, which is a cut too.
    messages(&mut running, &mut seen, BEFORE).await;
    fleet.crash().await;
    // One more cut while events come in.
    fleet.events.send(LIVE, &mut random).await;
    while let Some(frame) = running.next().await {
        seen.push(frame);
    }

    let who = format!("{client:?} {way:?}");
    fleet.events.assert_seen(&who, &seen);
    for frame in &seen {
        // Nothing was lost, so nobody may be told so. While the node is away, nginx says that.
        let is_fault = frame.event == "fault" && way == Way::Direct;
        assert!(
            !is_fault && frame.event != "reset" && frame.event != "gave up",
            "{who}: {frame:?}"
        );
    }
    let visits = cutter.visits();
    assert_eq!(cutter.cuts_left(), 0, "{who}: not every cut was made");
    for visit in &visits {
        if let Some((bytes, _)) = visit.cut
            && bytes != usize::MAX
        {
            let given = visit.given.len();
            assert!(given >= bytes, "{who}: {given} bytes given, cut after {bytes}");
        }
    }
    // What passed the cutter may not have reached the client: a reset throws away what was not read yet. But who has
    // asked from a position never loses it again, and the last visit, after the node's end, has one.
    let mut has_position = false;
    for visit in &visits {
        let asks = visit.asked(client).is_some();
        assert!(asks || !has_position, "{who}: {}", visit.head);
        has_position |= asks;
    }
    assert!(
        has_position,
        "{who}: {} visits, none from a position",
        visits.len()
    );
}

fn plan(client: Client, random: &mut SmallRng) -> Plan {
    let mut cuts = VecDeque::new();
    for how in [Cut::Close, Cut::Reset] {
        cuts.push_back((random.random_range(CUT_WITHIN), how));
    }
    // The third is the node's end.
    cuts.push_back((usize::MAX, Cut::Close));
    cuts.push_back((random.random_range(CUT_WITHIN), Cut::Close));
    Plan {
        cuts,
        spares_block_ends: client.takes_ids_early(),
    }
}

/// Reads on until the client has seen `count` events.
async fn messages(running: &mut Running, seen: &mut Vec<Seen>, count: usize) {
    while seen.iter().filter(|frame| frame.event == "message").count() < count {
        seen.push(running.next().await.expect("the client goes on"));
    }
}
