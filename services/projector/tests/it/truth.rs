//! What must be so, worked out from the log alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use journal::{Offset, Partition, Topic};
use schemas::{Change, Document, Event};
use state::{DeviceKey, Limits, Outcome, Store, counts, fold};

use crate::world::{PARTITIONS, World};

type Documents = BTreeMap<DeviceKey, Document>;

/// The fold of every event in the log, by partition, with the source of each document.
pub(crate) async fn fold_of_log(world: &World) -> BTreeMap<Partition, Documents> {
    let limits = Limits::of(&world.journal.layout);
    let mut all: BTreeMap<Partition, Documents> =
        (0..PARTITIONS).map(|number| (number, Documents::new())).collect();
    for (partition, record) in world.read_all(Topic::Events).await {
        let event = Event::decode(record.value.as_ref().unwrap()).unwrap();
        let key = DeviceKey {
            tenant: event.tenant.clone(),
            device: event.device.clone(),
        };
        let documents = all.entry(partition).or_default();
        match fold(documents.get(&key), &event, &limits) {
            Outcome::Nothing => {}
            Outcome::Times(document) => drop(documents.insert(key, document)),
            Outcome::Changed(change) => drop(documents.insert(key, change.document)),
            Outcome::Deleted => drop(documents.remove(&key)),
            Outcome::Refused { document, .. } => {
                documents.extend(document.map(|document| (key, document)));
            }
        }
    }
    all
}

/// The documents of `store`.
pub(crate) async fn stored(store: &Store, partition: Partition) -> Documents {
    let mut documents = Documents::new();
    let mut after: Option<Box<str>> = None;
    loop {
        let page = store
            .documents
            .page_of_partition(partition, after.as_deref(), 3)
            .await
            .unwrap();
        for stored in page.documents {
            let document = Arc::unwrap_or_clone(stored.document);
            documents.insert(
                DeviceKey {
                    tenant: document.tenant.clone(),
                    device: document.id.clone(),
                },
                document,
            );
        }
        after = page.next;
        if after.is_none() {
            return documents;
        }
    }
}

/// The newest record of each device in `wakeline.state`.
pub(crate) async fn latest_state(world: &World) -> BTreeMap<Partition, Documents> {
    let mut all: BTreeMap<Partition, Documents> =
        (0..PARTITIONS).map(|number| (number, Documents::new())).collect();
    for (partition, record) in world.read_all(Topic::State).await {
        let (tenant, device) = record.key.split_once('/').unwrap();
        let key = DeviceKey {
            tenant: tenant.into(),
            device: device.into(),
        };
        let documents = all.entry(partition).or_default();
        match &record.value {
            Some(value) => drop(documents.insert(key, Change::decode(value).unwrap().document)),
            None => drop(documents.remove(&key)),
        }
    }
    all
}

/// Documents, counts and the state topic of `store` are the fold of the log.
pub(crate) async fn assert_true(world: &World, store: &Store) {
    let folded = fold_of_log(world).await;
    let latest = latest_state(world).await;
    for (partition, expected) in &folded {
        assert_eq!(
            &stored(store, *partition).await,
            expected,
            "documents of partition {partition}"
        );
        let applied = store.progress.applied(*partition).await.unwrap();
        let counted = counts::count(expected.values());
        assert_eq!(
            applied.map(|applied| applied.counts).unwrap_or_default(),
            counted,
            "counts"
        );
        let timeless = |documents: &Documents| -> Documents {
            documents
                .iter()
                .map(|(key, document)| (key.clone(), without_times(document)))
                .collect()
        };
        assert_eq!(
            timeless(&latest[partition]),
            timeless(expected),
            "state topic of partition {partition}"
        );
    }
    assert_one_record_each(world).await;
}

/// No event has two state records.
async fn assert_one_record_each(world: &World) {
    let mut sources: Vec<(Partition, Offset)> = Vec::new();
    for (partition, record) in world.read_all(Topic::State).await {
        sources.push((partition, record.headers.source_offset.unwrap()));
    }
    let records = sources.len();
    assert!(
        sources.is_sorted(),
        "state records come in the order of their sources"
    );
    sources.dedup();
    assert_eq!(sources.len(), records, "an event with two state records");
}

/// What an event can move without a state record: times, and what the fold remembers.
fn without_times(document: &Document) -> Document {
    let mut document = document.clone();
    document.last_seen_at = None;
    document.fold = schemas::document::FoldState::default();
    if let Some(lock) = &mut document.lock {
        lock.at = 0;
    }
    for command in &mut document.commands {
        command.modified = 0;
    }
    document
}
