//! What became of the events of one request: from the log's answers to the sender's.

use std::collections::BTreeMap;

use ::http::StatusCode;
use access::Rejection;
use access::events::{Accepted, Outcome, Reason};
use journal::{AppendError, Cursor, Epoch, Offset, Partition, Position, Topic};
use rustc_hash::FxHashSet;
use schemas::Micros;
use serde::Serialize;

/// An event that was handed to the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sent {
    /// Its place among the items of the request.
    pub(crate) index: usize,
    pub(crate) id: Box<str>,
    pub(crate) seq: Option<i64>,
    pub(crate) device: Box<str>,
}

/// The outcomes of events that were handed to the log in this order. After one of a device that was
/// not taken, every later one of it is to be sent again too, so that their order stays.
pub(crate) fn settle(
    sent: Vec<Sent>,
    answers: Vec<Result<Position, AppendError>>,
    received_at: Micros,
) -> Vec<(usize, Outcome)> {
    let mut stopped: FxHashSet<Box<str>> = FxHashSet::default();
    // A missing answer is no answer.
    let answers = answers
        .into_iter()
        .chain(std::iter::repeat(Err(AppendError::Unknown)));
    sent.into_iter()
        .zip(answers)
        .map(|(sent, answer)| {
            let Sent {
                index,
                id,
                seq,
                device,
            } = sent;
            let later = stopped.contains(&device);
            let outcome = match answer {
                Ok(position) if !later => Ok(Accepted {
                    id,
                    seq,
                    position,
                    received_at,
                }),
                Ok(_) => Err(again("an earlier event of the device was not confirmed", seq)),
                Err(error) => {
                    stopped.insert(device);
                    Err(match error {
                        AppendError::Refused { .. } if !later => Rejection {
                            error: error.to_string(),
                            reason: Reason::Refused,
                            seq,
                        },
                        AppendError::Refused { .. }
                        | AppendError::Full
                        | AppendError::Unknown
                        | AppendError::Unavailable { .. } => again(&error.to_string(), seq),
                    })
                }
            };
            (index, outcome)
        })
        .collect()
}

/// To be sent again.
pub(crate) fn again(why: &str, seq: Option<i64>) -> Rejection {
    Rejection {
        error: format!("{why}: send it again, with the same id"),
        reason: Reason::Retry,
        seq,
    }
}

/// The answer to a request, as JSON.
#[derive(Debug, Serialize)]
pub(crate) struct Answer<'a> {
    accepted: usize,
    rejected: Vec<RejectedItem<'a>>,
    cursor: String,
}

#[derive(Debug, Serialize)]
struct RejectedItem<'a> {
    index: usize,
    error: &'a str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    retry: bool,
}

impl<'a> Answer<'a> {
    pub(crate) fn new(outcomes: &'a [Outcome], epoch: Epoch, received_at: Micros) -> Self {
        let rejected: Vec<RejectedItem<'a>> = outcomes
            .iter()
            .enumerate()
            .filter_map(|(index, outcome)| {
                let rejection = outcome.as_ref().err()?;
                Some(RejectedItem {
                    index,
                    error: &rejection.error,
                    retry: rejection.retry(),
                })
            })
            .collect();
        Self {
            accepted: outcomes.len() - rejected.len(),
            rejected,
            cursor: cursor(outcomes, epoch, received_at).to_string(),
        }
    }
}

/// Behind the last event that was appended in each partition that took one, and in no other:
/// `min_cursor` then waits for what this request wrote and for nothing else, and a stream that begins
/// with it reads every other partition from the time of the request.
pub(crate) fn cursor(outcomes: &[Outcome], epoch: Epoch, received_at: Micros) -> Cursor {
    let mut next: BTreeMap<Partition, Offset> = BTreeMap::new();
    for accepted in outcomes.iter().flatten() {
        let Position { partition, offset } = accepted.position;
        let next = next.entry(partition).or_default();
        *next = (*next).max(offset + 1);
    }
    Cursor {
        epoch,
        time_ms: received_at.div_euclid(1_000),
        topic: Topic::Events,
        positions: next.into_iter().collect(),
        snapshot: None,
    }
}

/// The status of the answer, and whether it asks to try again.
pub(crate) fn status(outcomes: &[Outcome]) -> (StatusCode, bool) {
    let accepted = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    let any = |reason| {
        outcomes.iter().any(|outcome| {
            outcome
                .as_ref()
                .is_err_and(|rejection| rejection.reason == reason)
        })
    };
    let again = any(Reason::Retry) || any(Reason::RateLimited);
    let status = if accepted == outcomes.len() {
        StatusCode::OK
    } else if accepted > 0 {
        StatusCode::MULTI_STATUS
    } else if any(Reason::Retry) {
        StatusCode::SERVICE_UNAVAILABLE
    } else if any(Reason::RateLimited) {
        StatusCode::TOO_MANY_REQUESTS
    } else {
        StatusCode::BAD_REQUEST
    };
    (status, again)
}

#[cfg(test)]
mod tests;
