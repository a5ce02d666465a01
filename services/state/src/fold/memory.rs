//! What the fold remembers so that an event is folded once, and what ended stays ended.

use schemas::{Document, Event};
use xxhash_rust::xxh3::xxh3_64;

/// Ids of so many events are remembered, and so many alerts and commands that ended.
const REMEMBERED: usize = 64;

/// Whether `event` is among the last that were folded.
pub(super) fn knows(document: &Document, event: &Event) -> bool {
    document.fold.recent.contains(&xxh3_64(event.id.as_bytes()))
}

pub(super) fn remember(document: &mut Document, event: &Event) {
    push(&mut document.fold.recent, xxh3_64(event.id.as_bytes()));
}

/// What can end within a device.
#[derive(Clone, Copy)]
pub(super) enum Ending<'a> {
    Alert(&'a str),
    Command(&'a str),
}

impl Ending<'_> {
    fn hash(self) -> u64 {
        xxh3_64(
            match self {
                Self::Alert(id) => format!("alert/{id}"),
                Self::Command(id) => format!("command/{id}"),
            }
            .as_bytes(),
        )
    }
}

pub(super) fn has_ended(document: &Document, what: Ending<'_>) -> bool {
    document.fold.ended.contains(&what.hash())
}

pub(super) fn end(document: &mut Document, what: Ending<'_>) {
    let hash = what.hash();
    if !document.fold.ended.contains(&hash) {
        push(&mut document.fold.ended, hash);
    }
}

fn push(ring: &mut Vec<u64>, hash: u64) {
    if ring.len() >= REMEMBERED {
        ring.drain(..=ring.len() - REMEMBERED);
    }
    ring.push(hash);
}
