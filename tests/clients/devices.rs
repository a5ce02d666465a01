//! View `devices`: a snapshot that is cut twice in its middle, then changes, cut as well. Each client sees every
//! version of every document, and ends on the documents as they are. Every change comes once; of a snapshot, whose
//! cursor is a page, a cut repeats that page at most.

use std::collections::{BTreeMap, VecDeque};

use journal::Cursor;
use rand::RngExt as _;
use serde_json::Value;
use tests::seed::Seed;

use crate::client::{self, Client, Running, Seen};
use crate::cutter::{Cut, Cutter, Plan};
use crate::fleet::Fleet;

/// Devices: many pages of a snapshot.
const DEVICES: usize = 60;
/// Changes of each device after the snapshot.
const ROUNDS: usize = 2;
/// Documents of a page.
const PAGE: &str = "4";
/// The cuts before the first change: two, and the node's end.
const CUTS_OF_SNAPSHOT: usize = 3;
/// Nobody falls silent.
const ARGUMENTS: &[&str] = &[
    "--allowed-origins",
    "*",
    "--gateway-page-documents",
    PAGE,
    "--stale-after",
    "1h",
    "--offline-after",
    "2h",
];
/// Before it, the first document of a snapshot may not have passed.
const FIRST_BYTES: usize = 8_000;
/// Where the cut of changes falls, bytes.
const CUT_OF_CHANGES_WITHIN: std::ops::Range<usize> = 1..60_000;
/// More frames than come: a client goes on until it is ended.
const ENDLESS: usize = 1_000_000;

macro_rules! ends_on_the_documents {
    ($($name:ident: $client:ident;)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            ends_on_the_documents(Client::$client).await;
        }
    )*};
}

ends_on_the_documents! {
    httpx_sse_ends_on_the_documents: HttpxSse;
    python_websockets_ends_on_the_documents: PythonWebsockets;
    eventsource_ends_on_the_documents: EventSource;
    ws_ends_on_the_documents: Ws;
    a_page_in_chromium_ends_on_the_documents: Chromium;
    a_page_with_a_web_socket_in_chromium_ends_on_the_documents: ChromiumWebSocket;
}

async fn ends_on_the_documents(client: Client) {
    if !client::are_here() {
        return;
    }
    let mut random = Seed::of_test().part(0);
    let mut fleet = Fleet::start(ARGUMENTS).await;
    let names: Vec<String> = (0..DEVICES).map(|number| format!("bus/{number}")).collect();
    for name in &names {
        fleet.events.send_of(name, &mut random).await;
    }
    let before = fleet.events.documents().await;
    // Two thirds are not all, wherever these cuts fall.
    let third = before.values().map(|it| it.to_string().len()).sum::<usize>() / 3;
    let mut cuts: VecDeque<_> = [Cut::Close, Cut::Reset]
        .map(|how| (random.random_range(FIRST_BYTES..third), how))
        .into();
    // The third is the node's end.
    cuts.push_back((usize::MAX, Cut::Close));
    cuts.push_back((random.random_range(CUT_OF_CHANGES_WITHIN), Cut::Close));
    let plan = Plan {
        cuts,
        spares_block_ends: client.takes_ids_early(),
    };
    let cutter = Cutter::start(fleet.address(), plan).await;

    let url = format!("{}/v1/stream?view=devices&snapshot=true", cutter.base());
    let mut screen = Screen::new(Running::start(client, &url, &fleet.events.reader, ENDLESS));
    screen.until_it_shows(&before).await;
    fleet.crash().await;
    for _ in 0..ROUNDS {
        for name in &names {
            fleet.events.send_of(name, &mut random).await;
        }
    }
    let after = fleet.events.documents().await;
    screen.until_it_shows(&after).await;

    for (device, document) in &before {
        let (first, last) = (version(document), version(&after[device]));
        assert_eq!(last, first + ROUNDS as u64, "{device}");
        let shown: Vec<u64> = (first..=last).collect();
        assert_eq!(screen.versions[device], shown, "{client:?}: {device}");
    }
    let repeated_max = CUTS_OF_SNAPSHOT * PAGE.parse::<usize>().expect("a number");
    assert!(
        screen.repeated <= repeated_max,
        "{client:?}: {} documents came twice",
        screen.repeated
    );
    assert_eq!(cutter.cuts_left(), 0, "{client:?}: not every cut was made");
    let within_the_snapshot = cutter.visits().iter().any(|visit| {
        let asked = visit
            .asked(client)
            .and_then(|cursor| cursor.parse::<Cursor>().ok());
        asked.is_some_and(|cursor| cursor.snapshot.is_some())
    });
    assert!(within_the_snapshot, "{client:?} never resumed within a snapshot");
}

/// What a product's page shows of devices.
struct Screen {
    client: Running,
    documents: BTreeMap<String, Value>,
    /// Of each document, in the order in which they came.
    versions: BTreeMap<String, Vec<u64>>,
    /// Documents of the snapshot that came again, unchanged.
    repeated: usize,
}

impl Screen {
    fn new(client: Running) -> Self {
        Self {
            client,
            documents: BTreeMap::new(),
            versions: BTreeMap::new(),
            repeated: 0,
        }
    }

    /// Reads on until it shows exactly these.
    async fn until_it_shows(&mut self, documents: &BTreeMap<String, Value>) {
        while self.documents != *documents {
            let frame = self.client.next().await.expect("the client goes on");
            self.take(&frame);
        }
    }

    fn take(&mut self, frame: &Seen) {
        // Nothing was lost, so nobody may be told so.
        let is_bad = ["reset", "fault", "gave up"].contains(&frame.event.as_str());
        assert!(!is_bad, "{frame:?}");
        if frame.event != "message" {
            return;
        }
        let document = &frame.data["device"];
        let device = document["id"].as_str().expect("a document").to_owned();
        let versions = self.versions.entry(device.clone()).or_default();
        let is_change = frame.data["changed"].is_array();
        if is_change || versions.is_empty() {
            // Only who sees a document for the first time sees it as a whole, without what changed.
            assert_eq!(is_change, !versions.is_empty(), "{frame:?}");
            versions.push(version(document));
            self.documents.insert(device, document.clone());
        } else {
            assert_eq!(self.documents.get(&device), Some(document), "{frame:?}");
            self.repeated += 1;
        }
    }
}

fn version(document: &Value) -> u64 {
    document["version"].as_u64().expect("a version")
}
