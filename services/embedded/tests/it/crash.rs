//! A process that is killed at any moment: all it acknowledged is there, once, and transactions are
//! whole or not at all.

use std::collections::{HashMap, HashSet};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use journal::{Claim, ClaimEvent, Journal, Offset, Partition, Topic};

use crate::support::{EPOCH_US, PARTITIONS, PATIENCE, append, create, journal, open, read_all, record_at};

/// Names the directory for the child, which is this very test binary.
const CHILD_DIR: &str = "WAKELINE_TEST_CRASH_DIR";
const ROUNDS: usize = 10;

/// What the child said before it was killed.
#[derive(Default)]
struct Said {
    /// Key of each acknowledged record by its place.
    appended: HashMap<(Partition, Offset), String>,
    /// Highest committed source offset by partition.
    committed: HashMap<Partition, Offset>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_moment_it_is_killed_nothing_acknowledged_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path());
    create(&engine, 1).await;
    engine.close().await.unwrap();
    let mut said = Said::default();
    let mut ends: HashMap<Partition, Offset> = HashMap::new();
    for round in 0..ROUNDS {
        run_and_kill(dir.path(), 40 + round * 37, &mut said);
        let engine = open(dir.path());
        verify(&journal(&engine).await, &said, &mut ends).await;
        engine.close().await.unwrap();
    }
    assert!(said.appended.len() > ROUNDS * 20, "the child did its work");
    assert!(!said.committed.is_empty(), "the child committed");
}

fn run_and_kill(dir: &Path, lines: usize, said: &mut Said) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "crash::child",
            "--ignored",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(CHILD_DIR, dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut heard = 0;
    while heard < lines {
        let line = output
            .next()
            .expect("the child goes on until it is killed")
            .unwrap();
        heard += usize::from(note(&line, said));
    }
    kill(&mut child);
    // What it said before it died counts, too; its last line may be cut off.
    let rest: Vec<String> = output.map_while(Result::ok).collect();
    for line in rest {
        note(&line, said);
    }
}

fn kill(child: &mut Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Notes a line of the child; false if it is something else.
fn note(line: &str, said: &mut Said) -> bool {
    let words: Vec<&str> = line.split(' ').collect();
    match words[..] {
        ["appended", partition, offset, key, "."] => {
            let place = (partition.parse().unwrap(), offset.parse().unwrap());
            let before = said.appended.insert(place, key.to_owned());
            assert!(
                before.is_none_or(|before| before == key),
                "one offset was given twice"
            );
            true
        }
        ["committed", partition, next, "."] => {
            let committed = said.committed.entry(partition.parse().unwrap()).or_default();
            *committed = next.parse().unwrap();
            true
        }
        _ => false,
    }
}

async fn verify(journal: &Journal, said: &Said, ends: &mut HashMap<Partition, Offset>) {
    for partition in 0..PARTITIONS {
        let events = read_all(journal, Topic::Events, partition).await;
        let end = events.last().map_or(0, |record| record.offset + 1);
        assert_eq!(events.len() as u64, end, "no hole in partition {partition}");
        assert!(
            end >= ends.insert(partition, end).unwrap_or(0),
            "the end went back"
        );
        let mut keys = HashSet::new();
        for record in &events {
            assert!(keys.insert(record.key.clone()), "{} is there twice", record.key);
        }
        for ((number, offset), key) in &said.appended {
            if *number == partition {
                assert_eq!(&*events[usize::try_from(*offset).unwrap()].key, key);
            }
        }
    }
    verify_transactions(journal, said).await;
}

/// Each source record below the committed offset was folded once, and none beyond it.
async fn verify_transactions(journal: &Journal, said: &Said) {
    let mut member = journal.groups.join("projector", Topic::Events).await.unwrap();
    let mut claims = Vec::new();
    for _ in 0..PARTITIONS {
        claims.push(claim(&mut *member).await);
    }
    for claim in claims {
        let partition = claim.partition();
        let committed = claim.committed().unwrap_or(0);
        assert!(committed >= said.committed.get(&partition).copied().unwrap_or(0));
        let folded = read_all(journal, Topic::State, partition).await;
        let sources: Vec<_> = folded
            .iter()
            .map(|record| record.headers.source_offset.unwrap())
            .collect();
        assert_eq!(
            sources,
            (0..committed).collect::<Vec<_>>(),
            "partition {partition}"
        );
    }
}

async fn claim(member: &mut dyn journal::Membership) -> Box<dyn Claim> {
    match tokio::time::timeout(PATIENCE, member.next()).await.unwrap() {
        ClaimEvent::Claimed(claim) => claim,
        ClaimEvent::Closed { reason } => panic!("closed: {reason:?}"),
    }
}

/// The process that is killed. Appends from several tasks and folds every partition, and says what
/// was acknowledged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "run by the test above, which kills it"]
async fn child() {
    let Some(dir) = std::env::var_os(CHILD_DIR) else {
        return;
    };
    let engine = open(Path::new(&dir));
    let journal = journal(&engine).await;
    let mut member = journal.groups.join("projector", Topic::Events).await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..3 {
        tasks.spawn(append_for_ever(journal.clone(), task));
    }
    for _ in 0..PARTITIONS {
        tasks.spawn(fold_for_ever(claim(&mut *member).await));
    }
    tasks.spawn(async move {
        engine
            .run_maintenance(tokio_util::sync::CancellationToken::new())
            .await
    });
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
}

fn say(line: &str) {
    let mut output = std::io::stdout().lock();
    output.write_all(format!("\n{line} .\n").as_bytes()).unwrap();
    output.flush().unwrap();
}

async fn append_for_ever(journal: Journal, task: u32) {
    let begun = journal
        .reader
        .bounds(Topic::Events, &[task])
        .await
        .remove(0)
        .unwrap()
        .end;
    for number in 0_u64.. {
        let partition = Partition::try_from(number % u64::from(PARTITIONS)).unwrap();
        let keys: Vec<String> = (0..=number % 3)
            .map(|part| format!("{task}/{begun}/{}/{number}/{part}", std::process::id()))
            .collect();
        let value = "x".repeat(usize::try_from(number % 50 * 40).unwrap());
        let records = keys
            .iter()
            .map(|key| record_at(Topic::Events, partition, key, Some(&value), EPOCH_US / 1_000));
        let offsets = append(&journal, records.collect()).await;
        for (offset, key) in offsets.iter().zip(&keys) {
            say(&format!("appended {partition} {offset} {key}"));
        }
    }
}

async fn fold_for_ever(mut claim: Box<dyn Claim>) {
    let partition = claim.partition();
    claim.start(claim.committed().unwrap_or(0)).await.unwrap();
    loop {
        let batch = claim.next(5, Duration::from_millis(10)).await.unwrap();
        if batch.records.is_empty() {
            continue;
        }
        let records = batch.records.iter().map(|source| {
            let mut record = record_at(
                Topic::State,
                partition,
                &source.key,
                Some("folded"),
                EPOCH_US / 1_000,
            );
            record.headers.source_offset = Some(source.offset);
            record
        });
        claim.commit(records.collect(), batch.next).await.unwrap();
        say(&format!("committed {partition} {}", batch.next));
    }
}
