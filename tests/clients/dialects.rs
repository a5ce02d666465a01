//! The clients that the dialects' documents show, against a real node: pages in a browser with plain `WebSocket`
//! and `EventSource`, Python's websockets, and fetch-event-source where a header is needed. Each gets what its
//! document says; cut again and again, and through a crash of the node, it goes on exactly.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rand::RngExt as _;
use rand::rngs::SmallRng;
use serde_json::json;
use tempfile::TempDir;
use tests::api::Api;
use tests::ports;
use tests::program::Program;
use tests::seed::Seed;
use tests::ways::{DEVICE, Way, is_fault, numbered, placed};

use crate::client::{self, Client, Running, Seen};
use crate::cutter::{Cut, Cutter, Plan, Visit};

const TENANT: &str = "acme";
/// Messages that a client gets that asks for nothing more than its document says.
const PLAIN: usize = 5;
/// Numbers that lie in the log before a client comes that resumes, and such as come while it is there.
const BEFORE: u64 = 40;
const LIVE: u64 = 30;
/// Where the cuts of an answer fall, bytes.
const CUT_WITHIN: std::ops::Range<usize> = 1..1_500;
const TEXT_BYTES_MAX: usize = 300;
/// Kinds of events, such that each way shows one of each number.
const KINDS: [&str; 3] = ["command", "log", "telemetry"];

/// Who speaks a dialect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    Page,
    Python,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dialect {
    Realtime,
    Controller,
    Watch,
    Filter,
    Telemetry,
}

impl Dialect {
    /// How its programs are called.
    const fn word(self) -> &'static str {
        match self {
            Self::Realtime => "realtime",
            Self::Controller => "controller",
            Self::Watch => "watch",
            Self::Filter => "filter",
            Self::Telemetry => "telemetry",
        }
    }

    /// The streams that a client of it follows, all at once.
    fn ways(self, who: Who) -> Vec<Way> {
        let ways: &[Way] = match self {
            Self::Realtime => &[Way::Realtime],
            Self::Controller => &[Way::Commands, Way::Location, Way::Locations],
            Self::Watch => &[Way::Watch, Way::Logs],
            Self::Filter => &[Way::Filter],
            Self::Telemetry => &[Way::Telemetry, Way::TelemetryEvents, Way::Legacy],
        };
        let is_for = |way: &&Way| who == Who::Page || !way.is_event_stream();
        ways.iter().filter(is_for).copied().collect()
    }
}

macro_rules! clients {
    ($($name:ident: $who:ident, $dialect:ident;)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            works_and_resumes(Who::$who, Dialect::$dialect).await;
        }
    )*};
}

clients! {
    a_page_speaks_realtime: Page, Realtime;
    a_page_speaks_controller: Page, Controller;
    a_page_speaks_watch: Page, Watch;
    a_page_speaks_filter_behind_its_own_server: Page, Filter;
    a_page_speaks_telemetry: Page, Telemetry;
    python_websockets_speaks_realtime: Python, Realtime;
    python_websockets_speaks_controller: Python, Controller;
    python_websockets_speaks_watch: Python, Watch;
    python_websockets_speaks_filter: Python, Filter;
    python_websockets_speaks_telemetry: Python, Telemetry;
}

async fn works_and_resumes(who: Who, dialect: Dialect) {
    if !client::are_here() {
        return;
    }
    let mut random = Seed::of_test().part(0);
    let mut node = Node::start().await;
    let ways = dialect.ways(who);
    let name = format!("{who:?} {dialect:?}");

    let mut running = node.client(who, dialect, &node.admin.base, "");
    let mut seen = Numbers::default();
    let has_enough = AtomicBool::new(false);
    let sending = async {
        while !has_enough.load(Ordering::Relaxed) {
            node.send(&mut random).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let reading = async {
        while ways.iter().any(|way| seen.of(*way).len() < PLAIN) {
            seen.take(&name, next(&mut running).await);
        }
        has_enough.store(true, Ordering::Relaxed);
    };
    tokio::join!(sending, reading);
    seen.until_last(&name, &mut running, &ways, node.next - 1).await;
    drop(running);
    seen.is_what_came(&name, &ways, None);

    for _ in 0..BEFORE {
        node.send(&mut random).await;
    }
    let cutter = Cutter::start(node.address(), plan(2 * ways.len(), false, &mut random)).await;
    let mut running = node.client(who, dialect, &cutter.base(), "cursor=1&since=earliest");
    let mut seen = Numbers::default();
    seen.until_last(&name, &mut running, &ways, node.next - 1).await;
    node.crash().await;
    for number in 0..LIVE {
        node.send(&mut random).await;
        if number == LIVE / 2 {
            cutter.cut_all();
        }
    }
    seen.until_last(&name, &mut running, &ways, node.next - 1).await;
    drop(running);
    seen.is_what_came(&name, &ways, Some(0));
    for way in ways {
        has_resumed(way, &cutter.visits());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fetch_event_source_speaks_telemetry_with_a_header() {
    fetch_event_source_resumes(Way::TelemetryEvents).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fetch_event_source_reads_the_logs_of_watch_with_a_header() {
    fetch_event_source_resumes(Way::Logs).await;
}

async fn fetch_event_source_resumes(way: Way) {
    if !client::are_here() {
        return;
    }
    let client = Client::FetchEventSource;
    let mut random = Seed::of_test().part(0);
    let mut node = Node::start().await;
    for _ in 0..BEFORE {
        node.send(&mut random).await;
    }
    let plan = plan(2, client.takes_ids_early(), &mut random);
    let cutter = Cutter::start(node.address(), plan).await;
    let url = format!("{}{}?since=earliest", cutter.base(), way.resource());
    let mut running = Running::start(client, &url, &node.admin.token, (BEFORE + LIVE) as usize);
    let mut seen = Numbers::default();
    let mut take = |frame: Seen| {
        // What the dialect names is no data.
        assert!(!matches!(&*frame.event, "reset" | "fault"), "{way:?}: {frame:?}");
        if frame.event == "message" {
            seen.take(
                "fetch-event-source",
                Seen {
                    event: format!("{way:?}"),
                    ..frame
                },
            );
        }
        seen.of(way).len() as u64
    };
    while take(next(&mut running).await) < BEFORE {}
    node.crash().await;
    for _ in 0..LIVE {
        node.send(&mut random).await;
    }
    while let Some(frame) = running.next().await {
        take(frame);
    }
    seen.is_what_came("fetch-event-source", &[way], Some(0));
    has_resumed(way, &cutter.visits());
}

async fn next(running: &mut Running) -> Seen {
    running.next().await.expect("the client goes on")
}

/// So many cuts; later streams are whole.
fn plan(cuts: usize, spares_block_ends: bool, random: &mut SmallRng) -> Plan {
    let cuts: VecDeque<(usize, Cut)> = (0..cuts)
        .map(|number| {
            let how = if number.is_multiple_of(2) {
                Cut::Close
            } else {
                Cut::Reset
            };
            (random.random_range(CUT_WITHIN), how)
        })
        .collect();
    Plan {
        cuts,
        spares_block_ends,
    }
}

/// Panics unless somebody came back to `way` with a cursor.
fn has_resumed(way: Way, visits: &[Visit]) {
    let begins = format!("GET {}?", way.resource());
    let has_cursor = |head: &str| {
        let head = head.to_ascii_lowercase();
        let in_query = head.contains("since=") && !head.contains("since=earliest");
        in_query || head.contains("\nlast-event-id: ")
    };
    let mut of_way = visits.iter().filter(|visit| visit.head.starts_with(&begins));
    assert!(
        of_way.any(|visit| has_cursor(&visit.head)),
        "{way:?}: nobody resumed: {visits:?}"
    );
}

/// What a client saw, by way.
#[derive(Default)]
struct Numbers(BTreeMap<Way, Vec<u64>>);

impl Numbers {
    fn of(&self, way: Way) -> &[u64] {
        self.0.get(&way).map_or(&[], Vec::as_slice)
    }

    fn take(&mut self, who: &str, seen: Seen) {
        let way = Way::of_name(&seen.event).unwrap_or_else(|| panic!("{who}: {seen:?}"));
        // Nothing was lost, so nobody may be told so.
        assert!(!is_fault(&seen.data), "{who}: {seen:?}");
        if let Some((_, number)) = way.number(&seen.data) {
            self.0.entry(way).or_default().push(number);
        }
    }

    /// Reads until the last number came in every way.
    async fn until_last(&mut self, who: &str, running: &mut Running, ways: &[Way], last: u64) {
        while ways.iter().any(|way| self.of(*way).last() != Some(&last)) {
            self.take(who, next(running).await);
        }
    }

    /// Panics unless each number came once and in order, from `first` on or from wherever it began; only the last
    /// where no more is promised.
    fn is_what_came(&self, who: &str, ways: &[Way], first: Option<u64>) {
        for way in ways.iter().filter(|way| !way.is_conflated()) {
            let numbers = self.of(*way);
            let first = first.unwrap_or(numbers[0]);
            let whole: Vec<u64> = (first..first + numbers.len() as u64).collect();
            assert_eq!(numbers, whole, "{who}: {way:?}");
        }
    }
}

/// A node as a process, and one device that is sent numbers.
struct Node {
    data: TempDir,
    /// Where a page is served that may use the node.
    page: SocketAddr,
    program: Option<Program>,
    admin: Api,
    /// For the dialect of staff.
    superuser: String,
    next: u64,
}

impl Node {
    async fn start() -> Self {
        let data = tempfile::tempdir().expect("a directory");
        let page = ports::free();
        let (program, root) = Program::serve(data.path(), &Self::arguments(&format!("http://{page}"))).await;
        let admin = placed(std::slice::from_ref(&root), TENANT, &[DEVICE]).await;
        let superuser = root.token(&json!({"role": "admin", "superuser": true})).await;
        Self {
            data,
            page,
            program: Some(program),
            admin,
            superuser,
            next: 0,
        }
    }

    /// Pages of `origin` may use cookies.
    fn arguments(origin: &str) -> [&str; 6] {
        [
            "--allowed-origins",
            origin,
            "--partitions",
            "8",
            "--default-spread",
            "4",
        ]
    }

    fn address(&self) -> &str {
        self.admin.base.trim_start_matches("http://")
    }

    /// Ends it as a crash would, and starts it again.
    async fn crash(&mut self) {
        if let Some(program) = self.program.take() {
            program.kill().await;
        }
        let origin = format!("http://{}", self.page);
        let (program, _) =
            Program::serve_at(self.address(), self.data.path(), &Self::arguments(&origin)).await;
        self.program = Some(program);
    }

    async fn send(&mut self, random: &mut SmallRng) {
        let number = self.next;
        let mut event = |kind| {
            let text = "é".repeat(random.random_range(0..TEXT_BYTES_MAX / 2));
            numbered(DEVICE, kind, number, &text)
        };
        let events = KINDS.map(&mut event);
        self.admin.send_events(&events).await;
        self.next += 1;
    }

    /// A client of the dialect that goes to `base`.
    fn client(&self, who: Who, dialect: Dialect, base: &str, asks: &str) -> Running {
        let token = if dialect == Dialect::Controller {
            &self.superuser
        } else {
            &self.admin.token
        };
        match who {
            Who::Page => {
                let port = self.page.port().to_string();
                let arguments = [&*port, dialect.word(), &self.admin.base, base, asks];
                Running::program("chromium-page.cjs", &arguments, token)
            }
            Who::Python => Running::program("dialects.py", &[dialect.word(), base, asks], token),
        }
    }
}
