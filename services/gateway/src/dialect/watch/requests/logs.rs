//! `GET …/logs`: newest first, a page at a time.

use std::sync::Arc;

use access::Principal;
use access::http::{Problem, Query};
use schemas::event::Level;

use super::{find, refuse, success, unavailable};
use crate::dialect::requests::{Do, Step};
use crate::dialect::text::quoted;
use crate::dialect::watch::logs::{Newest, Place, ask};
use crate::dialect::watch::path::Path;
use crate::dialect::{Answer, Refusal};

/// Logs of a page, where the request does not say, and at most.
const LIMIT: u64 = 50;
const LIMIT_MAX: u64 = 100;

pub(super) fn begin(
    principal: Arc<Principal>,
    path: &Path,
    query: &Query,
    rows_max: usize,
) -> Result<Step, Refusal> {
    let limit = query.number("limit", 1, LIMIT_MAX)?.unwrap_or(LIMIT);
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let level = match query.get("level")?.filter(|level| !level.is_empty()) {
        None => None,
        Some(word) => Some(Level::from_word(word).ok_or_else(|| {
            Problem::bad_request(format!("level must be one of {}", Level::WORDS.join(", ")))
        })?),
    };
    let before = match query.get("cursor")?.filter(|cursor| !cursor.is_empty()) {
        None => None,
        Some(cursor) => Some(place(cursor).ok_or_else(|| Problem::bad_request("Invalid cursor"))?),
    };
    find(principal, path, query, move |found| {
        let search = Search {
            principal: found.principal,
            tenant: found.tenant,
            device: found.stored.document.id.clone(),
            limit,
            rows_left: rows_max,
            // One more tells whether there are more.
            newest: Newest::new(limit + 1, level, before),
        };
        search.read(None)
    })
}

fn beyond() -> Refusal {
    let detail =
        "the device has more logs than one answer is looked for in: ask for fewer, or without a level";
    Problem::bad_request(detail).into()
}

/// `<created_at>:<id>`
fn place(cursor: &str) -> Option<Place> {
    let (at, id) = cursor.split_once(':')?;
    Some((at.parse().ok()?, id.into())).filter(|_| !id.is_empty())
}

/// A search for logs, and what it has found.
struct Search {
    principal: Arc<Principal>,
    tenant: Box<str>,
    device: Box<str>,
    limit: usize,
    /// Rows that may still be looked through: logs come late, so those of a time stand anywhere behind it.
    rows_left: usize,
    newest: Newest,
}

impl Search {
    fn read(mut self, page: Option<Box<str>>) -> Step {
        let ask = Do::ask(
            &self.tenant,
            &self.principal,
            ask(&self.device, page, self.rows_left),
        );
        Step::then(ask, move |done| {
            let Answer::History(page) = done.answer() else {
                return Step::Answer(refuse(&unavailable()));
            };
            for row in &page.rows {
                self.newest.take(&row.event);
            }
            self.rows_left = self.rows_left.saturating_sub(page.rows.len());
            let last = page.rows.last();
            let is_complete = last.is_some_and(|row| self.newest.is_complete(row.event.received_at));
            match page.next {
                Some(_) if is_complete => self.finish(),
                Some(next) if self.rows_left > 0 => self.read(Some(next)),
                // What was found is not all there is, and a client cannot tell.
                Some(_) => Step::Answer(refuse(&beyond())),
                None => self.finish(),
            }
        })
    }

    fn finish(self) -> Step {
        let mut found = self.newest.into_found();
        found.reverse();
        let has_more = found.len() > self.limit;
        found.truncate(self.limit);
        let next = found.last().filter(|_| has_more);
        let next = next.map_or_else(
            || "null".to_owned(),
            |((at, id), _)| quoted(&format!("{at}:{id}")),
        );
        let logs: Vec<String> = found.into_iter().map(|(_, log)| log).collect();
        success(&format!(
            "{{\"logs\":[{}],\"next_cursor\":{next}}}",
            logs.join(",")
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_a_time_and_an_id() {
        assert_eq!(
            place("1712345678902:a:b"),
            Some((1_712_345_678_902, "a:b".into()))
        );
        for bad in ["", "x", "1712345678902", ":a", "1.5:a", "12:"] {
            assert_eq!(place(bad), None, "{bad}");
        }
    }
}
