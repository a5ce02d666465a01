//! Finding devices by their id alone, and by their location.

use super::Harness;
use super::fixtures::{delete, key, put, put_at, write};
use crate::{DeviceKey, Store};

async fn tenants(store: &Store, device: &str) -> Vec<String> {
    let mut found: Vec<_> = store
        .documents
        .tenants_of(device)
        .await
        .expect("an answer")
        .iter()
        .map(ToString::to_string)
        .collect();
    found.sort();
    found
}

async fn devices(store: &Store, location: &str) -> Vec<DeviceKey> {
    devices_of(store, None, location, 100).await
}

async fn devices_of(store: &Store, tenant: Option<&str>, location: &str, limit: usize) -> Vec<DeviceKey> {
    let found = store.documents.devices_at(tenant, location, limit).await;
    let mut found = found.expect("an answer");
    found.sort();
    found
}

/// Tenants that name a location alike do not see each other there, nor pay for each other.
pub async fn devices_at_a_location_are_found_by_tenant(harness: &dyn Harness) {
    let store = harness.handle().await;
    let mut writes = vec![
        put_at(0, "beta", "b", "depot", 1),
        put_at(1, "bet", "a", "depot", 2),
    ];
    let many = (0..50).map(|number| put_at(2, "acme", &format!("d{number}"), "depot", 3 + number));
    writes.extend(many);
    write(&store, writes).await;
    assert_eq!(
        devices_of(&store, Some("beta"), "depot", 1).await,
        [key("beta", "b")]
    );
    assert_eq!(
        devices_of(&store, Some("bet"), "depot", 9).await,
        [key("bet", "a")]
    );
    assert_eq!(devices_of(&store, Some("acme"), "depot", 7).await.len(), 7);
    assert_eq!(devices_of(&store, Some("other"), "depot", 9).await, []);
    assert_eq!(devices_of(&store, None, "depot", 9).await.len(), 9);
}

/// Which tenants have a device of that name.
pub async fn tenants_of_a_device_follow_writes_and_deletes(harness: &dyn Harness) {
    let store = harness.handle().await;
    assert_eq!(tenants(&store, "bus").await, Vec::<String>::new());
    write(
        &store,
        vec![
            put(0, "acme", "bus", 1),
            put(3, "beta", "bus", 2),
            put(0, "acme", "bus-2", 3),
        ],
    )
    .await;
    assert_eq!(tenants(&store, "bus").await, ["acme", "beta"]);
    write(&store, vec![delete(0, "acme", "bus", 4)]).await;
    assert_eq!(tenants(&store, "bus").await, ["beta"]);
    // A write that loses does not bring it back.
    write(&harness.handle().await, vec![put(0, "acme", "bus", 2)]).await;
    assert_eq!(tenants(&store, "bus").await, ["beta"]);
    write(&harness.handle().await, vec![put(0, "acme", "bus", 5)]).await;
    assert_eq!(tenants(&store, "bus").await, ["acme", "beta"]);
}

/// Which devices are at a location.
pub async fn devices_at_a_location_follow_moves_and_deletes(harness: &dyn Harness) {
    let store = harness.handle().await;
    let writes = vec![
        put_at(0, "acme", "a", "depot", 1),
        put_at(1, "acme", "b", "depot", 2),
        put_at(2, "beta", "a", "depot", 3),
    ];
    write(&store, writes).await;
    assert_eq!(
        devices(&store, "depot").await,
        [key("acme", "a"), key("acme", "b"), key("beta", "a")]
    );

    write(
        &store,
        vec![
            put_at(0, "acme", "a", "yard", 4),
            delete(1, "acme", "b", 5),
            put(2, "beta", "a", 6),
        ],
    )
    .await;
    assert_eq!(devices(&store, "depot").await, []);
    assert_eq!(devices(&store, "yard").await, [key("acme", "a")]);

    // By another process, and back; and a write that loses moves nothing.
    write(&harness.handle().await, vec![put_at(0, "acme", "a", "depot", 7)]).await;
    write(
        &store,
        vec![
            put_at(0, "acme", "a", "yard", 6),
            put_at(1, "acme", "b", "depot", 4),
        ],
    )
    .await;
    assert_eq!(devices(&store, "depot").await, [key("acme", "a")]);
    assert_eq!(devices(&store, "yard").await, []);
}
