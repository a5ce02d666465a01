//! The first minute of a newcomer.

use tests::program::Program;
use tests::wait::within;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

#[tokio::test]
async fn demo_prints_one_curl_line_and_pasted_it_shows_the_bus_moving() {
    let arguments = [
        "demo",
        "--listen",
        "127.0.0.1:0",
        "--admin-listen",
        "127.0.0.1:0",
        "--speed",
        "600",
    ];
    let mut demo = Program::start(&arguments, &[]);
    let line = demo.line("curl -N").await;
    // As a shell would run it.
    let mut curl = Command::new("sh")
        .args(["-c", &format!("exec {}", line.trim())])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("a shell");
    let mut lines = BufReader::new(curl.stdout.take().expect("output")).lines();
    let mut positions = Vec::new();
    while positions.len() < 5 {
        let line = within("the bus to move", lines.next_line())
            .await
            .expect("output")
            .expect("the stream goes on");
        let Some(data) = line
            .strip_prefix("data: ")
            .filter(|data| data.contains("\"telemetry\""))
        else {
            continue;
        };
        let event: serde_json::Value = serde_json::from_str(data).expect("JSON");
        assert_eq!(
            (&event["tenant"], &event["kind"]),
            (&"demo".into(), &"telemetry".into())
        );
        positions.push((
            event["fields"]["lat"].to_string(),
            event["fields"]["lng"].to_string(),
        ));
    }
    positions.dedup();
    assert!(positions.len() > 2, "the bus stands still: {positions:?}");
    curl.kill().await.expect("killed");
    demo.terminate().await;
    let ended = demo.ended().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(
        !ended.output.contains("curl"),
        "exactly one line: {}",
        ended.output
    );
}

#[tokio::test]
async fn demo_replays_the_recording_once_and_ends_when_told_so() {
    let data = tempfile::tempdir().unwrap();
    let path = data.path().to_str().unwrap();
    let arguments = [
        "demo",
        "--once",
        "--speed",
        "1000000",
        "--data",
        path,
        "--listen",
        "127.0.0.1:0",
        "--admin-listen",
        "127.0.0.1:0",
    ];
    let ended = Program::run(&arguments, &[]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(
        ended
            .output
            .lines()
            .filter(|line| line.contains("curl -N"))
            .count(),
        1
    );
    // What it acknowledged is on disk.
    let (program, system) = Program::serve(data.path(), &[]).await;
    let query = "tenant=demo&kind=telemetry&since=earliest";
    let mut stream = tests::stream::Streaming::open(&system, tests::stream::Carrier::Sse, query, None)
        .await
        .unwrap();
    assert_eq!(stream.rest().await.len(), 1_533);
    drop(program);
}
