//! Keeps the rulebook of a process at the end of `wakeline.control`.

use std::convert::Infallible;
use std::sync::Arc;

use journal::{Journal, Offset, Partition, ReadError, TailError, Topic};
use tokio::sync::watch;

use super::Rulebook;
use crate::settings::Settings;

/// The one partition of the topic.
pub(crate) const PARTITION: Partition = 0;
/// Bytes of control records read at once.
const BLOCK_BYTES: usize = 1 << 20;

/// What the tasks of a process see; `None` until the topic was folded to its end once.
pub(crate) type Known = Option<Followed>;

/// The rulebook, and how far it goes.
#[derive(Debug, Clone)]
pub(crate) struct Followed {
    pub(crate) book: Arc<Rulebook>,
    /// Offset after the last record read, whatever it was about: most are about no rule, and a book stays
    /// the same book through them.
    pub(crate) next: Offset,
}

/// Follows the topic for ever; to be dropped.
pub(crate) async fn follow(
    journal: &Journal,
    settings: &Settings,
    known: &watch::Sender<Known>,
) -> Infallible {
    loop {
        let mut book = fold_to_end(journal, settings).await;
        known.send_replace(Some(followed(&book)));
        tail(journal, settings, known, &mut book).await;
    }
}

fn followed(book: &Rulebook) -> Followed {
    Followed {
        book: Arc::new(book.clone()),
        next: book.next(),
    }
}

async fn fold_to_end(journal: &Journal, settings: &Settings) -> Rulebook {
    loop {
        match try_fold_to_end(journal).await {
            Ok(book) => return book,
            Err(error) => {
                tracing::warn!(%error, "the alert rules cannot be read; trying again");
                tokio::time::sleep(settings.retry_min).await;
            }
        }
    }
}

async fn try_fold_to_end(journal: &Journal) -> Result<Rulebook, ReadError> {
    let reader = &journal.reader;
    let bounds = reader.bounds(Topic::Control, &[PARTITION]).await.pop();
    let bounds = bounds.unwrap_or_else(|| {
        Err(ReadError::Unavailable {
            reason: "the log gave no answer".to_owned(),
        })
    })?;
    let mut book = Rulebook::default();
    let mut next = bounds.start;
    while next < bounds.end {
        let block = reader.read(Topic::Control, PARTITION, next, BLOCK_BYTES).await?;
        for record in &block.records {
            book.apply(record);
        }
        if block.next <= next {
            return Err(ReadError::Unavailable {
                reason: format!("reading does not move past {next}"),
            });
        }
        next = block.next;
    }
    book.folded_to(next);
    Ok(book)
}

/// Returns when what is known must be learnt anew.
async fn tail(journal: &Journal, settings: &Settings, known: &watch::Sender<Known>, book: &mut Rulebook) {
    let mut tail = journal.tails.open(Topic::Control, PARTITION, book.next()).await;
    loop {
        match tail.next().await {
            Ok(batch) => {
                let changed = book.changed();
                for record in &batch.records {
                    book.apply(record);
                }
                book.folded_to(batch.next);
                if book.changed() > changed {
                    known.send_replace(Some(followed(book)));
                    continue;
                }
                // Who waits for a position waits for it, not for a rule.
                known.send_modify(|known| {
                    if let Some(known) = known {
                        known.next = book.next();
                    }
                });
            }
            Err(TailError::Unavailable { reason }) => {
                tracing::debug!(reason, "the alert rules cannot be followed at present");
                tokio::time::sleep(settings.retry_min).await;
            }
            // Compaction went past it: what was removed meanwhile is not known.
            Err(error @ TailError::OutOfRange { .. }) => {
                tracing::warn!(%error, "the alert rules are read anew");
                return;
            }
            // The process ends.
            Err(TailError::Closed) => std::future::pending().await,
        }
    }
}
