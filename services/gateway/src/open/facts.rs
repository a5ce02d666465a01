//! The asynchronous part of opening: fetches what [`resolve`](super::resolve) asks for.

use std::collections::BTreeMap;
use std::time::Duration;

use journal::{Bounds, Offset, Partition, ReadError, Topic};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::Streams;
use super::parameters::From;
use super::resolve::{Asked, Facts, NoStart, Pending, Question, resolve};
use crate::subscription::{Start, View};

/// More questions than any row of the table needs, without those that are asked again.
const QUESTIONS_MAX: usize = 16;

/// Resolves one stream. Partitions that do not answer in time keep nobody waiting for longer than the
/// engine's `ends_timeout` for each question.
pub(super) async fn start(
    streams: &Streams,
    view: View,
    from: &From,
    snapshot: bool,
    partitions: &[Partition],
) -> Result<Start, NoStart> {
    let engine = streams.engine.settings();
    let asked = Asked {
        view,
        from,
        snapshot,
        partitions,
        epoch: streams.journal.epoch,
        now_ms: (streams.clock)().div_euclid(1_000),
        slack_ms: millis(engine.reset_slack),
        compaction_lag_ms: millis(streams.settings.compaction_lag),
    };
    let patience = Instant::now() + engine.ahead_max;
    let mut facts = Facts::default();
    let mut questions = 0;
    loop {
        let question = match resolve(&asked, &facts) {
            Ok(start) => return Ok(start),
            Err(Pending::Never(reason)) => return Err(reason),
            Err(Pending::Needs(question)) => question,
        };
        if question == Question::Again && Instant::now() < patience {
            tokio::time::sleep(streams.settings.ahead_poll).await;
        } else if question == Question::Again {
            facts.ahead_for_good = true;
        } else {
            questions += 1;
        }
        if questions > QUESTIONS_MAX {
            tracing::error!(?question, "opening a stream asks the same again and again");
            return Err(NoStart::Unavailable {
                partition: partitions.first().copied().unwrap_or(0),
            });
        }
        answer(streams, &asked, question, &mut facts).await;
    }
}

async fn answer(streams: &Streams, asked: &Asked<'_>, question: Question, facts: &mut Facts) {
    let topic = asked.view.topic();
    match question {
        Question::Bounds => facts.bounds = Some(bounds(streams, topic, asked.partitions).await),
        Question::SourceBounds => {
            facts.source_bounds = Some(bounds(streams, Topic::Events, asked.partitions).await);
        }
        Question::Again => {
            if facts.bounds.is_some() {
                facts.bounds = Some(bounds(streams, topic, asked.partitions).await);
            }
            if facts.source_bounds.is_some() {
                facts.source_bounds = Some(bounds(streams, Topic::Events, asked.partitions).await);
            }
        }
        Question::OffsetsAt(time_ms) => {
            let offsets = offsets_at(streams, topic, asked.partitions, time_ms).await;
            facts.offsets_at.insert(time_ms, offsets);
        }
        Question::FirstTimes(partitions) => {
            facts.first_times = Some(first_times(streams, topic, &partitions).await);
        }
    }
}

async fn bounds(streams: &Streams, topic: Topic, partitions: &[Partition]) -> Vec<Option<Bounds>> {
    let answers = streams.engine.bounds(topic, partitions).await;
    align(partitions, answers, "its bounds")
}

async fn offsets_at(
    streams: &Streams,
    topic: Topic,
    partitions: &[Partition],
    time_ms: i64,
) -> Vec<Option<Offset>> {
    // Before the first record of any log.
    let time_ms = time_ms.max(0);
    let lookup = async {
        let _turn = turn(&streams.time_lookups).await;
        streams.journal.reader.offset_at(topic, partitions, time_ms).await
    };
    let answers = tokio::time::timeout(streams.engine.settings().ends_timeout, lookup).await;
    align(partitions, answers.unwrap_or_default(), "its time index")
}

async fn first_times(streams: &Streams, topic: Topic, partitions: &[Partition]) -> BTreeMap<Partition, i64> {
    let mut times = BTreeMap::new();
    let lookup = async {
        let _turn = turn(&streams.time_lookups).await;
        for (partition, bounds) in partitions.iter().zip(bounds(streams, topic, partitions).await) {
            let Some(bounds) = bounds else { continue };
            let read = streams
                .journal
                .reader
                .read(topic, *partition, bounds.start, 1)
                .await;
            // Only for people to see; the stream itself needs no time.
            if let Some(record) = read.ok().and_then(|block| block.records.into_iter().next()) {
                times.insert(*partition, record.timestamp_ms);
            }
        }
    };
    // What did not come in time is not told.
    drop(tokio::time::timeout(streams.engine.settings().ends_timeout, lookup).await);
    times
}

async fn turn(semaphore: &Semaphore) -> Option<tokio::sync::SemaphorePermit<'_>> {
    semaphore.acquire().await.ok()
}

/// One answer for each partition; `None` where there is none.
fn align<T>(partitions: &[Partition], answers: Vec<Result<T, ReadError>>, what: &str) -> Vec<Option<T>> {
    let mut answers = answers.into_iter();
    let answer = |partition: &Partition| match answers.next() {
        Some(Ok(answer)) => Some(answer),
        Some(Err(error)) => {
            tracing::debug!(partition, %error, what, "a partition does not answer when a stream opens");
            None
        }
        None => None,
    };
    partitions.iter().map(answer).collect()
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
