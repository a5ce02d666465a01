//! Fresh answers about the log's bounds, where callers at the same time share one question.
//!
//! Every answer was asked for after its caller came: a question that is under way is never joined, the
//! next one is.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use journal::{Bounds, Partition, ReadError, Reader, Topic};
use rustc_hash::FxHashMap;
use tokio::sync::{mpsc, oneshot};

type Answer = Result<Bounds, ReadError>;

struct Question {
    topic: Topic,
    partitions: Vec<Partition>,
    reply: oneshot::Sender<Vec<Answer>>,
}

/// Asks.
#[derive(Clone)]
pub(crate) struct Ends {
    questions: mpsc::Sender<Question>,
    timeout: Duration,
}

/// Questions on their way to the log at the same time: one a topic would let a slow answer hold up all.
const ROUNDS_MAX: usize = 8;

impl Ends {
    /// The asking side, and the task that answers.
    pub(crate) fn new(
        reader: Arc<dyn Reader>,
        queue_max: usize,
        timeout: Duration,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (questions, inbox) = mpsc::channel(queue_max.max(1));
        (Self { questions, timeout }, answer(reader, inbox))
    }

    pub(crate) async fn bounds(&self, topic: Topic, partitions: &[Partition]) -> Vec<Answer> {
        let (reply, answer) = oneshot::channel();
        let question = Question {
            topic,
            partitions: partitions.to_vec(),
            reply,
        };
        let asked = async {
            self.questions.send(question).await.ok()?;
            answer.await.ok()
        };
        let reason = match tokio::time::timeout(self.timeout, asked).await {
            Ok(Some(answers)) => return answers,
            Ok(None) => "the engine is being shut down".to_owned(),
            Err(_) => format!("no answer within {:?}", self.timeout),
        };
        let unavailable = ReadError::Unavailable { reason };
        partitions.iter().map(|_| Err(unavailable.clone())).collect()
    }
}

async fn answer(reader: Arc<dyn Reader>, mut inbox: mpsc::Receiver<Question>) {
    let mut rounds = FuturesUnordered::new();
    let mut questions = Vec::new();
    loop {
        let free = rounds.len() < ROUNDS_MAX;
        tokio::select! {
            received = inbox.recv_many(&mut questions, usize::MAX), if free => {
                if received == 0 {
                    return;
                }
                for topic in Topic::ALL {
                    let of_topic: Vec<Question> = questions.extract_if(.., |question| question.topic == topic).collect();
                    if !of_topic.is_empty() {
                        rounds.push(ask(Arc::clone(&reader), topic, of_topic));
                    }
                }
            }
            Some(()) = rounds.next(), if !rounds.is_empty() => {}
        }
    }
}

async fn ask(reader: Arc<dyn Reader>, topic: Topic, questions: Vec<Question>) {
    let partitions: BTreeSet<Partition> = questions
        .iter()
        .flat_map(|question| question.partitions.iter().copied())
        .collect();
    let partitions: Vec<Partition> = partitions.into_iter().collect();
    let answers = reader.bounds(topic, &partitions).await;
    let answers: FxHashMap<Partition, Answer> = partitions.into_iter().zip(answers).collect();
    for question in questions {
        let missing = || {
            Err(ReadError::Unavailable {
                reason: "the log gave no answer".to_owned(),
            })
        };
        let own = question
            .partitions
            .iter()
            .map(|partition| answers.get(partition).cloned().unwrap_or_else(missing))
            .collect();
        if question.reply.send(own).is_err() {
            tracing::trace!("whoever asked for bounds is gone");
        }
    }
}
