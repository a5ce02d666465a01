//! Commands that were there before a stream of their updates began: the next event of one of them is an
//! update, while the first event of any other makes a command, whatever it says.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use schemas::document::DeviceCommand;
use schemas::{Body, Document, Kind};
use state::HistoryPage;

use super::command::Updates;
use super::opening::unavailable;
use crate::commands::take_step;
use crate::dialect::older::Older;
use crate::dialect::{Answer, Ask, Opening, Standing};
use crate::open::parameters::From;

/// Rows read of the history at a time.
const PAGE: usize = 500;
/// Older steps that are remembered; of commands that have not ended the document knows too.
const STEPS_MAX: usize = 1_000;

/// A search for them.
pub(super) struct Earlier {
    device: Box<str>,
    /// Tenants whose device is still to be looked at.
    tenants: Vec<Box<str>>,
    /// Rows that may still be looked through.
    rows_left: usize,
    updates: Updates,
}

/// The same within one tenant.
struct Within {
    tenant: Box<str>,
    older: Older,
    /// The device as it stands now.
    document: Option<Arc<Document>>,
    known: HashMap<Box<str>, DeviceCommand>,
    steps: usize,
    /// Commands of which a later step was seen: whether they were there before, the history says.
    later: HashSet<Box<str>>,
}

impl Earlier {
    /// Of the device of that id in each of these tenants.
    pub(super) fn new(device: Box<str>, tenants: Vec<Box<str>>, rows_max: usize) -> Self {
        Self {
            device,
            tenants,
            rows_left: rows_max,
            updates: Updates::default(),
        }
    }

    /// Asks what must be known next; in the end the stream can begin.
    pub(super) fn go_on(mut self, opening: &mut Opening) {
        let next = (opening.from != From::Earliest)
            .then(|| self.tenants.pop())
            .flatten();
        let Some(tenant) = next else {
            opening.conversation = Box::new(self.updates);
            return;
        };
        opening.question = Some((
            within(&tenant, Ask::Device(self.device.clone())),
            Box::new(move |opening, answer| {
                let Answer::Device(standing) = answer else {
                    return Err(unavailable());
                };
                self.stand(opening, tenant, standing);
                Ok(())
            }),
        ));
    }

    fn stand(self, opening: &mut Opening, tenant: Box<str>, standing: Standing) {
        let Standing {
            partition,
            applied,
            stored,
        } = standing;
        if opening.from == From::Live && opening.selection.tenant.name().is_some() {
            // What is not known of the device yet follows.
            opening.from = From::Position(partition, applied);
        }
        let older = if opening.from == From::Live {
            // One of several: the stream begins after this.
            Older::than(&From::Unreadable, partition, applied)
        } else {
            Older::than(&opening.from, partition, applied)
        };
        let within = Within {
            tenant,
            older,
            document: stored.map(|stored| stored.document),
            known: HashMap::new(),
            steps: 0,
            later: HashSet::new(),
        };
        self.look(opening, within, None);
    }

    fn look(mut self, opening: &mut Opening, mut found: Within, page: Option<Box<str>>) {
        let ask = Ask::History {
            device: Some(self.device.clone()),
            kinds: vec![Kind::Command],
            from: 0,
            page,
            limit: PAGE,
        };
        opening.question = Some((
            within(&found.tenant, ask),
            Box::new(move |opening, answer| {
                let Answer::History(page) = answer else {
                    return Err(unavailable());
                };
                self.rows_left = self.rows_left.saturating_sub(page.rows.len());
                found.take(&page);
                match page.next {
                    Some(next) if self.rows_left > 0 && found.steps < STEPS_MAX => {
                        self.look(opening, found, Some(next));
                    }
                    Some(_) | None => {
                        found.finish(&mut self.updates);
                        self.go_on(opening);
                    }
                }
                Ok(())
            }),
        ));
    }
}

impl Within {
    /// Takes rows, newest first.
    fn take(&mut self, page: &HistoryPage) {
        for row in &page.rows {
            let Body::Command(step) = &row.event.body else {
                continue;
            };
            if self.older.has(row) {
                self.steps += 1;
                take_step(&mut self.known, &row.event);
            } else {
                self.later.insert(step.command_id.clone());
            }
        }
    }

    /// Remembers what was found, and what is open and older than all that was looked through.
    fn finish(self, updates: &mut Updates) {
        for command in self.known.values() {
            updates.know(&self.tenant, command);
        }
        let open = self.document.iter().flat_map(|document| &document.commands);
        for command in open {
            let id = &command.command_id;
            if !self.known.contains_key(id) && !self.later.contains(id) {
                updates.know(&self.tenant, command);
            }
        }
    }
}

fn within(tenant: &str, ask: Ask) -> Ask {
    Ask::Within {
        tenant: tenant.into(),
        ask: Box::new(ask),
    }
}

#[cfg(test)]
mod tests {
    use schemas::Event;
    use schemas::event::{Command, CommandStatus};
    use state::HistoryRow;

    use super::*;

    fn row(offset: u64, id: &str, status: CommandStatus) -> HistoryRow {
        HistoryRow {
            partition: 0,
            offset,
            late: false,
            event: Arc::new(Event {
                id: "e".into(),
                tenant: "t".into(),
                device: "d".into(),
                occurred_at: 0,
                received_at: 0,
                claimed_at: None,
                seq: None,
                body: Body::Command(Command {
                    command_id: id.into(),
                    command_type: "reboot".into(),
                    input: None,
                    connection: None,
                    status,
                    output: None,
                    created: 0,
                    by: None,
                    expires_at: None,
                }),
            }),
        }
    }

    fn open(id: &str) -> DeviceCommand {
        DeviceCommand {
            command_id: id.into(),
            command_type: "reboot".into(),
            input: None,
            connection: None,
            status: CommandStatus::Queued,
            output: None,
            created: 0,
            modified: 0,
            by: None,
            expires_at: None,
        }
    }

    #[test]
    fn what_was_there_before_is_known_and_what_was_made_since_is_not() {
        use CommandStatus::{InProgress, Queued, Success};
        let mut found = Within {
            tenant: "t".into(),
            older: Older::Than(0, 10),
            document: Some(Arc::new(Document {
                commands: ["forgotten", "open", "since"].map(open).into(),
                ..Document::default()
            })),
            known: HashMap::new(),
            steps: 0,
            later: HashSet::new(),
        };
        found.take(&HistoryPage {
            rows: vec![
                row(12, "since", InProgress),
                row(11, "open", InProgress),
                row(10, "since", Queued),
                row(9, "ended", Success),
                row(8, "open", Queued),
                row(7, "ended", Queued),
            ],
            left_out: 0,
            next: None,
        });
        let mut updates = Updates::default();
        found.finish(&mut updates);
        for (id, status) in [
            ("ended", Some(Success)),
            ("open", Some(Queued)),
            ("forgotten", Some(Queued)),
            ("since", None),
        ] {
            assert_eq!(updates.status_of("t", id), status, "{id}");
        }
    }
}
