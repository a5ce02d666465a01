//! How a watch begins: with the device's status, older logs if asked for, and what follows them.

use std::sync::Arc;

use access::http::Problem;
use journal::{Cursor, Epoch, Offset, Topic};
use schemas::Kind;
use schemas::event::Level;
use state::HistoryPage;

use super::conversation::Watching;
use super::frames::{self, Frames};
use super::link::Link;
use super::logs::{self, Newest};
use super::path::Path;
use super::{Target, no_device, no_project, unavailable};
use crate::dialect::older::Older;
use crate::dialect::{Action, Answer, Ask, Asked, Opening, Refusal, Standing};
use crate::open::parameters::{BadParameter, From, from};
use crate::subscription::{DeviceSet, KindSet, Selection, TenantScope, Told, Transport, View};

/// Older logs that a client may ask for.
const BACKFILL_MAX: u8 = 100;

/// What is known of a watch before it begins.
struct Plan {
    transport: Transport,
    device: Box<str>,
    /// For cursors, where they are wanted: the log, and the time in milliseconds.
    cursors: Option<(Epoch, i64)>,
    /// Older logs that are wanted.
    backfill: Option<Newest>,
    /// Rows of the history that may still be looked through for them.
    rows_left: usize,
    /// What is older.
    older: Older,
    /// The last event of the device that is in its document.
    source: Option<Offset>,
    link: Link,
}

/// A watch over that transport.
pub(super) fn open(asked: &Asked<'_>, transport: Transport) -> Result<Opening, Refusal> {
    let (path, _) = Path::read(asked.parts.uri.path()).ok_or_else(no_device)?;
    let target = Target::of(&path, asked.principal, asked.query)?;
    let last_event_id = asked.parts.headers.get("last-event-id");
    let from = from(asked.query, last_event_id)
        .map_err(|bad: BadParameter| Problem::bad_request(bad.to_string()))?;
    let kinds = match transport {
        Transport::WebSocket => KindSet::NONE.with(Kind::Log).with(Kind::Entity),
        Transport::Sse => KindSet::NONE.with(Kind::Log),
    };
    let cursors = transport == Transport::Sse || asked.query.get("cursor")? == Some("1");
    let backfill = match transport {
        Transport::WebSocket => backfill(asked)?,
        Transport::Sse => None,
    };
    let missing = target.missing();
    let selection = Selection {
        tenant: TenantScope::One(target.tenant),
        devices: DeviceSet::Set(Arc::new(target.device.iter().cloned().collect())),
        kinds,
        metrics: None,
        filters: None,
        told: Told {
            kinds: KindSet::NONE.with(Kind::Presence).with(Kind::Deleted),
            of_all: KindSet::NONE,
        },
    };
    let mut opening = Opening {
        from,
        cursors,
        bound: true,
        ..Opening::of(View::Events, selection, Arc::new(Frames))
    };
    let Some(device) = target.device else {
        is_missing(&mut opening, missing)?;
        return Ok(opening);
    };
    let plan = Plan {
        transport,
        device: device.clone(),
        cursors: cursors.then(|| (asked.epoch, asked.now.div_euclid(1_000))),
        backfill,
        rows_left: asked.settings.watch.backfill_rows_max,
        older: Older::ThanTime(asked.now),
        source: None,
        link: Link::default(),
    };
    opening.question = Some((
        Ask::Device(device),
        Box::new(move |opening, answer| {
            let Answer::Device(standing) = answer else {
                return Err(unavailable());
            };
            plan.stand(opening, standing, missing)
        }),
    ));
    Ok(opening)
}

/// There is no such device: asks whether there is such a project.
fn is_missing(opening: &mut Opening, missing: Option<Ask>) -> Result<(), Refusal> {
    let question = missing.ok_or_else(no_device)?;
    opening.question = Some((
        question,
        Box::new(|_, answer| {
            let Answer::HasAny(has_devices) = answer else {
                return Err(unavailable());
            };
            Err(if has_devices { no_device() } else { no_project() })
        }),
    ));
    Ok(())
}

impl Plan {
    /// The device stands like this.
    fn stand(
        mut self,
        opening: &mut Opening,
        standing: Standing,
        missing: Option<Ask>,
    ) -> Result<(), Refusal> {
        let Standing {
            partition,
            applied,
            stored,
        } = standing;
        let Some(stored) = stored else {
            return is_missing(opening, missing);
        };
        self.source = Some(stored.source);
        self.link = Link::of(&stored.document);
        self.older = Older::than(&opening.from, partition, applied);
        if opening.from == From::Live {
            // What the document does not have yet follows it.
            opening.from = From::Position(partition, applied);
        }
        self.look_for_logs(opening, None);
        Ok(())
    }

    fn look_for_logs(self, opening: &mut Opening, page: Option<Box<str>>) {
        if self.backfill.is_none() {
            return self.begin(opening);
        }
        opening.question = Some((
            logs::ask(&self.device, page, self.rows_left),
            Box::new(move |opening, answer| {
                let Answer::History(page) = answer else {
                    return Err(unavailable());
                };
                self.take_logs(opening, page);
                Ok(())
            }),
        ));
    }

    fn take_logs(mut self, opening: &mut Opening, page: HistoryPage) {
        self.rows_left = self.rows_left.saturating_sub(page.rows.len());
        let mut is_complete = page.next.is_none() || self.rows_left == 0;
        if let Some(newest) = &mut self.backfill {
            for row in &page.rows {
                if self.older.has(row) {
                    newest.take(&row.event);
                }
            }
            let last = page.rows.last();
            is_complete |= last.is_some_and(|row| newest.is_complete(row.event.received_at));
        }
        if is_complete {
            self.begin(opening);
        } else {
            self.look_for_logs(opening, page.next);
        }
    }

    fn begin(self, opening: &mut Opening) {
        let cursor = self.cursor(&opening.from);
        let status = frames::status(self.transport, self.link.connected(), cursor.as_deref());
        opening.first.push(Action::Send(status));
        if let Some(newest) = self.backfill {
            let replays = newest.into_found().into_iter();
            let replays = replays.map(|(_, log)| Action::send(frames::replay(&log, cursor.as_deref())));
            opening.first.extend(replays);
            opening.first.push(Action::send(frames::HISTORY_COMPLETE));
        }
        opening.conversation = Box::new(Watching::new(self.transport, self.device, self.source, self.link));
    }
}

impl Plan {
    /// Where the stream begins: a client that is cut off before anything happens goes on from there.
    fn cursor(&self, from: &From) -> Option<String> {
        let (epoch, time_ms) = self.cursors?;
        match from {
            From::Cursor(cursor) => Some(cursor.to_string()),
            From::Position(partition, offset) => {
                let cursor = Cursor {
                    epoch,
                    time_ms,
                    topic: Topic::Events,
                    positions: vec![(*partition, *offset)],
                    snapshot: None,
                };
                Some(cursor.to_string())
            }
            From::Live | From::Earliest | From::Time(_) | From::Unreadable => None,
        }
    }
}

/// Older logs that are asked for. A number that is none asks for nothing.
fn backfill(asked: &Asked<'_>) -> Result<Option<Newest>, Refusal> {
    let limit = asked.query.get("backfillLimit")?;
    let limit = limit.and_then(|limit| limit.trim().parse::<f64>().ok());
    let Some(limit) = limit.filter(|limit| !limit.is_nan()) else {
        return Ok(None);
    };
    let level = asked.query.get("backfillLevel")?.and_then(Level::from_word);
    let most = (1..=BACKFILL_MAX).rev().find(|most| f64::from(*most) <= limit);
    Ok(Some(Newest::new(usize::from(most.unwrap_or(1)), level, None)))
}
