//! Documents: written, overwritten, deleted.

use schemas::Scalar;

use super::Harness;
use super::fixtures::{delete, document, get, key, put, put_document, version, write};

/// A device's document is what was written, whatever stands around it; an unknown one is none.
pub async fn what_was_written_is_read_in_the_order_asked(harness: &dyn Harness) {
    let store = harness.handle().await;
    write(
        &store,
        vec![
            put(0, "acme", "a", 1),
            put(1, "acme", "b/ü", 2),
            put(0, "other", "a", 3),
        ],
    )
    .await;

    let keys = [
        (1, key("acme", "b/ü")),
        (0, key("acme", "none")),
        (0, key("other", "a")),
        (0, key("acme", "a")),
    ];
    let found = harness
        .handle()
        .await
        .documents
        .get(&keys)
        .await
        .expect("the store answers");

    let found: Vec<_> = found
        .into_iter()
        .map(|stored| stored.map(|s| ((*s.document).clone(), s.source)))
        .collect();
    assert_eq!(
        found,
        [
            Some((document("acme", "b/ü", 2), 2)),
            None,
            Some((document("other", "a", 3), 3)),
            Some((document("acme", "a", 1), 1)),
        ]
    );
}

/// A zombie's write comes late and changes nothing.
pub async fn a_write_of_a_lower_source_loses(harness: &dyn Harness) {
    let store = harness.handle().await;
    write(&store, vec![put(0, "acme", "a", 10)]).await;
    write(&harness.handle().await, vec![put(0, "acme", "a", 9)]).await;
    let stored = get(&store, 0, "acme", "a").await.expect("the device is there");
    assert_eq!((stored.source, stored.document.version), (10, 10));
    write(&store, vec![put(0, "acme", "a", 11)]).await;
    assert_eq!(version(&store, 0, "acme", "a").await, Some(11));
}

/// What is deleted stays deleted for older writes.
pub async fn a_write_of_a_lower_source_loses_even_after_a_delete(harness: &dyn Harness) {
    let store = harness.handle().await;
    write(&store, vec![put(0, "acme", "a", 10)]).await;
    write(&store, vec![delete(0, "acme", "a", 12)]).await;
    write(&store, vec![put(0, "acme", "a", 11)]).await;
    assert_eq!(version(&store, 0, "acme", "a").await, None);
    assert_eq!(
        super::fixtures::all_of_partition(&store, 0, 10).await,
        Vec::<String>::new()
    );
}

/// A late delete does not remove what was made after it.
pub async fn a_delete_of_a_lower_source_loses(harness: &dyn Harness) {
    let store = harness.handle().await;
    write(&store, vec![put(0, "acme", "a", 10)]).await;
    write(&store, vec![delete(0, "acme", "a", 9)]).await;
    assert_eq!(version(&store, 0, "acme", "a").await, Some(10));
    assert_eq!(
        store.documents.tenants_of("a").await.expect("an answer"),
        ["acme".into()]
    );
}

/// A deleted device may come again.
pub async fn a_device_can_be_made_again(harness: &dyn Harness) {
    let store = harness.handle().await;
    write(&store, vec![put(0, "acme", "a", 1)]).await;
    write(&store, vec![delete(0, "acme", "a", 2)]).await;
    assert_eq!(version(&store, 0, "acme", "a").await, None);
    write(&store, vec![put(0, "acme", "a", 3)]).await;
    assert_eq!(version(&store, 0, "acme", "a").await, Some(3));
    assert_eq!(
        store.documents.tenants_of("a").await.expect("an answer"),
        ["acme".into()]
    );
}

/// The largest document that the fold lets pass is kept and listed.
pub async fn a_document_of_64_kib_is_kept(harness: &dyn Harness) {
    let store = harness.handle().await;
    let mut big = document("acme", "big", 1);
    big.fields
        .0
        .insert("text".into(), Scalar::String("ü".repeat(32 * 1024).into()));
    write(
        &store,
        vec![put_document(0, big.clone(), 1), put(0, "acme", "small", 2)],
    )
    .await;
    assert_eq!(
        *get(&store, 0, "acme", "big")
            .await
            .expect("the device is there")
            .document,
        big
    );
    let page = store
        .documents
        .page("acme", &[0], None, 10)
        .await
        .expect("a page");
    assert_eq!(page.documents.len(), 2);
}

/// Writes race; the highest source wins whatever the order.
pub async fn concurrent_writes_leave_the_highest_source(harness: &dyn Harness) {
    let devices: Vec<String> = (0..200).map(|number| format!("device-{number}")).collect();
    let rounds = [3, 1, 4, 2].map(|source| {
        devices
            .iter()
            .map(|device| put(source as u32 % 4, "acme", device, source))
            .collect::<Vec<_>>()
    });
    // All rounds write the same partition; only the source differs.
    let writers = rounds.map(|mut writes| async move {
        for write in &mut writes {
            write.partition = 1;
        }
        write(&harness.handle().await, writes).await;
    });
    futures::future::join_all(writers).await;

    let store = harness.handle().await;
    let keys: Vec<_> = devices.iter().map(|device| (1, key("acme", device))).collect();
    let found = store.documents.get(&keys).await.expect("the store answers");
    let versions: Vec<_> = found
        .into_iter()
        .map(|stored| stored.map(|s| (s.source, s.document.version)))
        .collect();
    assert_eq!(versions, vec![Some((4, 4)); devices.len()]);
}

/// What was acknowledged is there after everything was killed.
pub async fn documents_survive_a_restart(harness: &dyn Harness) {
    let store = harness.handle().await;
    write(
        &store,
        vec![
            put(0, "acme", "a", 1),
            put(2, "acme", "b", 2),
            put(0, "acme", "c", 3),
        ],
    )
    .await;
    write(&store, vec![delete(0, "acme", "c", 4)]).await;
    let store = harness.restarted().await;
    assert_eq!(version(&store, 0, "acme", "a").await, Some(1));
    assert_eq!(version(&store, 2, "acme", "b").await, Some(2));
    write(&store, vec![put(0, "acme", "c", 3), put(0, "acme", "a", 0)]).await;
    assert_eq!(version(&store, 0, "acme", "c").await, None);
    assert_eq!(version(&store, 0, "acme", "a").await, Some(1));
}

/// Offsets begin anew with a layout, and so do the tables.
pub async fn a_newer_layout_sees_nothing_of_the_old_one(harness: &dyn Harness) {
    let old = harness.handle().await;
    write(&old, vec![put(0, "acme", "a", 100)]).await;
    old.progress
        .set_applied(
            0,
            &crate::Applied {
                source: 101,
                ..Default::default()
            },
        )
        .await
        .expect("progress");
    let Some(new) = harness.of_next_layout().await else {
        return;
    };
    assert_eq!(version(&new, 0, "acme", "a").await, None);
    assert_eq!(
        new.documents.tenants_of("a").await.expect("an answer"),
        Vec::<Box<str>>::new()
    );
    assert_eq!(new.progress.applied(0).await.expect("an answer"), None);
    write(&new, vec![put(0, "acme", "a", 1)]).await;
    assert_eq!(version(&new, 0, "acme", "a").await, Some(1));
}
