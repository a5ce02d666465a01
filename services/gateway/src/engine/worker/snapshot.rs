//! The snapshot of a stream of devices: pages of documents, then the changes since the pin.
//!
//! The pin is how far the documents were materialised when the snapshot began; documents that are read
//! later may be newer, and changes that they showed already are skipped. While the client does not read,
//! a stream keeps the paging key and the names of what it was sent of the page, not the page.

use journal::{Offset, Partition, Placement};
use state::Stored;

use super::behind::Behind;
use super::connection::{Connection, Mode};
use super::hub::Hub;
use super::output::Wire;
use crate::dialect::Item;
use crate::engine::lookups::{Lookup, Pinned, SnapshotPage};
use crate::engine::ring::Place;
use crate::subscription::SnapshotStart;

/// Where a stream stands in its snapshot.
pub(crate) struct Snapshot {
    /// Where changes follow; `None` until it is known.
    pub(crate) pinned: Option<Box<[Option<Place>]>>,
    /// Sources as of the pin, where this connection made it.
    sources: Vec<(Partition, Offset)>,
    /// Paging key of the page that is being sent.
    after: Option<Box<str>>,
    /// The devices of it that are out. Documents come and go between two reads of one page, so a count
    /// or a last one would not do.
    sent: Vec<Box<str>>,
    placement: Option<(Box<str>, Placement)>,
    /// It was pinned elsewhere, and nothing was read for it here yet.
    is_foreign: bool,
}

impl Snapshot {
    pub(crate) fn new(start: SnapshotStart, places: Vec<Option<Place>>) -> Self {
        let is_foreign = matches!(start, SnapshotStart::Resumed(_));
        let (pinned, after) = match start {
            SnapshotStart::New => (None, None),
            SnapshotStart::Resumed(key) => (
                Some(places.into_boxed_slice()),
                Some(key).filter(|key| !key.is_empty()),
            ),
        };
        Self {
            pinned,
            sources: Vec::new(),
            after,
            sent: Vec::new(),
            placement: None,
            is_foreign,
        }
    }

    /// What must be materialised before the first page is read here, for a snapshot that was pinned
    /// elsewhere.
    fn to_be_reached(&self, partitions: &[Partition]) -> Vec<(Partition, Offset)> {
        let places = self.pinned.as_deref().filter(|_| self.is_foreign);
        let places = partitions.iter().zip(places.unwrap_or_default());
        places
            .filter_map(|(partition, place)| Some((*partition, place.as_ref()?.next)))
            .collect()
    }

    /// The paging key for cursors; empty at the beginning.
    pub(crate) fn key(&self) -> &str {
        self.after.as_deref().unwrap_or_default()
    }
}

impl<W: Wire> Connection<W> {
    /// Sends a page, or asks for what is missing.
    pub(crate) fn advance_snapshot(&mut self, hub: &mut Hub, page: Option<SnapshotPage>) {
        // It may have ended while it waited for the page.
        if !matches!(self.mode, Mode::Snapshot(_)) {
            return;
        }
        self.flush(hub);
        self.emit_owed(hub);
        if self.out.blocked || self.out.gone {
            return;
        }
        let Mode::Snapshot(mut snapshot) = std::mem::replace(&mut self.mode, Mode::Live) else {
            return;
        };
        let Some(page) = page else {
            self.ask_snapshot(hub, &snapshot);
            self.mode = Mode::Snapshot(snapshot);
            return;
        };
        snapshot.is_foreign = false;
        let is_out = self.send_page(hub, &mut snapshot, &page.documents);
        if is_out {
            snapshot.after = page.next;
            // What was sent of an earlier reading of this page may come with a later one.
            snapshot
                .sent
                .retain(|sent| page.documents.iter().all(|stored| *sent != key(stored)));
            if snapshot.after.is_none() {
                let places = snapshot.pinned.map(Vec::from).unwrap_or_default();
                self.mode = Mode::Behind(Box::new(Behind::new(places)));
                return self.advance(hub, None);
            }
            self.ask_snapshot(hub, &snapshot);
        }
        self.mode = Mode::Snapshot(snapshot);
    }

    fn ask_snapshot(&mut self, hub: &mut Hub, snapshot: &Snapshot) {
        if self.is_asking || self.times.retry > hub.now_ms {
            return;
        }
        if snapshot.pinned.is_some() && self.talk.held_until(hub.now_ms).is_some() {
            return;
        }
        let lookup = match snapshot.pinned {
            None => Lookup::Pin {
                partitions: self.subscription.partitions.clone(),
            },
            Some(_) => Lookup::Page {
                tenant: self.subscription.selection.tenant.clone(),
                partitions: self.subscription.partitions.clone(),
                devices: match &self.subscription.selection.filters {
                    Some(filters) => filters.narrow(&self.devices),
                    None => self.devices.clone(),
                },
                after: snapshot.after.clone(),
                at_least: snapshot.to_be_reached(&self.subscription.partitions),
            },
        };
        self.is_asking = self.ask(hub, lookup);
    }

    /// Sends the documents of a page that are not out yet; false when the client takes no more.
    fn send_page(&mut self, hub: &mut Hub, snapshot: &mut Snapshot, documents: &[Stored]) -> bool {
        let is_sent = |stored: &&Stored| snapshot.sent.iter().any(|sent| *sent == key(stored));
        let left: Vec<&Stored> = documents.iter().filter(|stored| !is_sent(stored)).collect();
        let mut sent = 0;
        while sent < left.len() {
            let from = sent;
            while sent < left.len() && self.out.bytes() <= hub.settings().turn_bytes_max {
                self.send_document(hub, snapshot, left[sent], sent);
                sent += 1;
            }
            if let Some(mark) = self.flush(hub) {
                sent = mark as usize;
            }
            snapshot
                .sent
                .extend(left[from..sent].iter().map(|stored| key(stored)));
            if self.out.blocked || self.out.gone {
                return sent == left.len() && !self.out.gone;
            }
        }
        true
    }

    fn send_document(&mut self, hub: &Hub, snapshot: &mut Snapshot, stored: &Stored, mark: usize) {
        let document = &*stored.document;
        // A page that was asked for before organizations were lost may come after.
        let is_covered = self.subscription.selection.tenant.contains(&document.tenant);
        if !is_covered || !self.devices.contains(&document.id) || !self.conversation.shows(document) {
            return;
        }
        let partition = snapshot.partition(hub, &document.tenant, &document.id);
        let pinned = snapshot.sources.iter().find(|(other, _)| *other == partition);
        if pinned.is_some_and(|(_, source)| stored.source >= *source) {
            let shown_max = hub.settings().snapshot_changed_max;
            self.skip
                .get_or_insert_default()
                .show(partition, &key(stored), stored.source, shown_max);
        }
        // A device that does not pass is remembered too: the client lacks it as of its document.
        if self
            .filters
            .as_ref()
            .is_some_and(|ids| !hub.filters.passes(ids, document))
        {
            return;
        }
        let start_ms = self.subscription.start.time_ms;
        let places = snapshot.pinned.as_deref().unwrap_or_default();
        let cursor = hub.cursor(self.set, places, start_ms, Some(snapshot.key()));
        let form = &hub.forms[self.form];
        if let Some(frame) = form.data(Item::Document(document), &cursor) {
            hub.env.metrics.frames.inc();
            self.out.push(frame, u32::try_from(mark).unwrap_or(u32::MAX - 1));
        }
    }

    /// The pin that was asked for.
    pub(crate) fn pinned(&mut self, hub: &mut Hub, pinned: &[Pinned]) {
        let start_ms = self.subscription.start.time_ms;
        let partitions = &self.subscription.partitions;
        if let Mode::Snapshot(snapshot) = &mut self.mode {
            let place = |partition: &Partition| {
                let pin = pinned.iter().find(|pin| pin.partition == *partition)?;
                Some(Place {
                    next: pin.state,
                    time_ms: start_ms,
                })
            };
            snapshot.pinned = Some(partitions.iter().map(place).collect());
            snapshot.sources = pinned.iter().map(|pin| (pin.partition, pin.source)).collect();
            // A floor belongs to the position that the snapshot replaces.
            self.skip = None;
        }
        self.advance_snapshot(hub, None);
    }
}

impl Snapshot {
    fn partition(&mut self, hub: &Hub, tenant: &str, device: &str) -> Partition {
        if let Some((of, placement)) = &self.placement
            && **of == *tenant
        {
            return placement.of(device);
        }
        let layout = &hub.env.layout;
        let spread = hub.env.access.spread(tenant).unwrap_or(layout.default_spread);
        let placement = Placement::new(tenant, spread, layout.partitions);
        let partition = placement.of(device);
        self.placement = Some((tenant.into(), placement));
        partition
    }
}

fn key(stored: &Stored) -> Box<str> {
    format!("{}/{}", stored.document.tenant, stored.document.id).into()
}
