//! The process is killed while events come in: what it acknowledged is there, and streams go on.

use std::path::Path;
use std::time::Duration;

use rand::RngExt as _;
use serde_json::{Value, json};
use tests::api::Api;
use tests::program::Program;
use tests::seed::{Seed, scale};
use tests::stream::{Carrier, Streaming};
use tests::wait::within;

const WRITERS: usize = 4;

/// Sends events one by one until the node is gone; how many were acknowledged, and whether one more may be there.
async fn write(api: Api, writer: usize, from: u64) -> u64 {
    let http = reqwest::Client::new();
    let mut n = from;
    loop {
        let event =
            json!({"device": format!("bus-{writer}"), "kind": "telemetry", "seq": n, "fields": {"n": n}});
        let request = http
            .post(format!("{}/v1/events?tenant=acme", api.base))
            .bearer_auth(&api.token)
            .json(&event);
        match request.send().await {
            Ok(answer) if answer.status() == 200 => n += 1,
            _ => return n,
        }
    }
}

/// The numbers of a bus, as the log has them.
async fn kept(api: &Api, writer: usize) -> Vec<u64> {
    let query = format!("tenant=acme&device=bus-{writer}&kind=telemetry&since=earliest");
    let mut stream = within("a stream", Streaming::open(api, Carrier::Sse, &query, None))
        .await
        .expect("a stream");
    stream
        .rest()
        .await
        .iter()
        .map(|event| event["seq"].as_u64().expect("a number"))
        .collect()
}

async fn serve(data: &Path) -> (Program, Api) {
    // Small write buffers, so that some are on their way when it ends.
    Program::serve(
        data,
        &[
            "--embedded-memtable-bytes",
            "64KiB",
            "--partitions",
            "4",
            "--default-spread",
            "4",
        ],
    )
    .await
}

/// What one life of the node after another has acknowledged and shown.
struct Seen {
    acknowledged: [u64; WRITERS],
    streamed: Vec<Vec<u64>>,
    cursor: Option<String>,
}

impl Seen {
    /// What was acknowledged is there, and at most one event a writer more: the one on its way at the end.
    async fn is_kept(&mut self, api: &Api) {
        for (writer, acknowledged) in self.acknowledged.iter_mut().enumerate() {
            let kept = kept(api, writer).await;
            let length = kept.len() as u64;
            assert!(
                (*acknowledged..=*acknowledged + 1).contains(&length),
                "bus-{writer}: {acknowledged} were acknowledged: {kept:?}"
            );
            assert_eq!(kept, (0..length).collect::<Vec<_>>(), "bus-{writer}");
            // Writers go on behind it.
            *acknowledged = length;
        }
    }

    /// Writes and streams until it is time to kill the node.
    async fn live(&mut self, program: Program, api: &Api, life: Duration) {
        let start = |(writer, from): (usize, &u64)| tokio::spawn(write(api.clone(), writer, *from));
        let writers: Vec<_> = self.acknowledged.iter().enumerate().map(start).collect();
        let mut stream = Streaming::open(api, Carrier::WebSocket, QUERY, self.cursor.as_deref())
            .await
            .expect("a stream");
        let until = tokio::time::Instant::now() + life;
        while let Ok(frame) = tokio::time::timeout_at(until, stream.next()).await {
            let frame = frame.expect("the stream goes on");
            assert_ne!(frame.kind, "reset", "{frame:?}");
            if frame.kind == "event" {
                self.take(&frame.data);
            }
            self.cursor = frame.cursor.or(self.cursor.take());
        }
        program.kill().await;
        for (writer, task) in writers.into_iter().enumerate() {
            self.acknowledged[writer] = task.await.expect("a writer");
        }
    }

    fn take(&mut self, event: &Value) {
        let writer = event["device"].as_str().and_then(|bus| bus.strip_prefix("bus-"));
        let writer: usize = writer.expect("a bus").parse().expect("a number");
        self.streamed[writer].push(event["seq"].as_u64().expect("a number"));
    }
}

const QUERY: &str = "tenant=acme&kind=telemetry&since=earliest";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_is_there_after_kill_9_and_streams_resume_behind_their_last_event() {
    let mut random = Seed::of_test().part(0);
    let data = tempfile::tempdir().unwrap();
    let mut seen = Seen {
        acknowledged: [0; WRITERS],
        streamed: vec![Vec::new(); WRITERS],
        cursor: None,
    };
    for _ in 0..4 * scale() {
        let (program, api) = serve(data.path()).await;
        seen.is_kept(&api).await;
        let life = Duration::from_millis(random.random_range(300..1_500));
        seen.live(program, &api, life).await;
    }
    let (program, api) = serve(data.path()).await;
    seen.is_kept(&api).await;
    let mut stream = Streaming::open(&api, Carrier::Sse, QUERY, seen.cursor.as_deref())
        .await
        .expect("a stream");
    stream.rest().await.iter().for_each(|event| seen.take(event));
    for (writer, kept) in seen.acknowledged.iter().enumerate() {
        assert!(*kept > 0, "bus-{writer} wrote nothing");
        let all: Vec<u64> = (0..*kept).collect();
        assert_eq!(
            seen.streamed[writer], all,
            "bus-{writer}: each once, in order, over all those connections"
        );
        is_the_state(&api, writer, kept - 1).await;
    }
    program.terminate().await;
    assert_eq!(program.ended().await.code, Some(0));
}

async fn is_the_state(api: &Api, writer: usize, last: u64) {
    tests::wait::until("the state is that of the last event", || async {
        let document = api.get(&format!("/v1/devices/bus-{writer}?tenant=acme")).await;
        (document.json["fields"]["n"] == last).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_sigterm_it_drains_and_ends_with_0() {
    let data = tempfile::tempdir().unwrap();
    let (program, api) = serve(data.path()).await;
    let writer = tokio::spawn(write(api.clone(), 0, 0));
    let mut sse = Streaming::open(&api, Carrier::Sse, "tenant=acme&kind=telemetry", None)
        .await
        .expect("a stream");
    let mut socket = Streaming::open(&api, Carrier::WebSocket, "tenant=acme&kind=telemetry", None)
        .await
        .expect("a stream");
    sse.data().await;
    program.terminate().await;
    let closed = loop {
        if let Err(ended) = within("the close", socket.next()).await {
            break ended;
        }
    };
    assert_eq!(closed, tests::stream::Ended::Closed(1_012));
    let mut last = String::new();
    while let Ok(frame) = within("the end", sse.next()).await {
        if frame.kind != "keepalive" {
            last = frame.kind;
        }
    }
    assert!(last == "fault" || last == "event", "{last}");
    let ended = program.ended().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(!ended.errors.contains("\"ERROR\""), "{}", ended.errors);
    let acknowledged = writer.await.expect("a writer");
    let (program, api) = serve(data.path()).await;
    let kept = kept(&api, 0).await.len() as u64;
    assert!(
        (acknowledged..=acknowledged + 1).contains(&kept),
        "{acknowledged} {kept}"
    );
    drop(program);
}
