//! What the directory answers, and how it follows the log.

use std::sync::Arc;
use std::time::Duration;

use access::{Denied, Role};
use journal::{Headers, NewRecord, Topic};
use schemas::Control;
use schemas::control::Tenant;

use crate::support::{ADMIN_TOKEN, World, system, within};

#[tokio::test]
async fn the_admin_token_is_a_system_principal() {
    let world = World::new().await;
    let principal = world.directory.authenticate(ADMIN_TOKEN, world.now()).unwrap();
    assert_eq!(principal.role, Role::System);
    assert_eq!(
        world.directory.recheck(&principal, world.now()).unwrap(),
        principal
    );
    let wrong = world
        .directory
        .authenticate("an-admin-token-of-32-characters?", world.now());
    assert_eq!(wrong.unwrap_err(), Denied::Unknown);
    world.close().await;
}

#[tokio::test]
async fn a_token_is_good_until_it_expires() {
    let world = World::new().await;
    let json = r#"{"role":"user","tenant":"acme","devices":["a"],"expires":"1s"}"#;
    let (_, credential) = world.token(&system(), json).await;
    let principal = world.directory.authenticate(&credential, world.now()).unwrap();
    assert!(principal.may_read("acme", "a"));
    world.advance(1);
    let expired = world.directory.authenticate(&credential, world.now());
    assert_eq!(expired.unwrap_err(), Denied::Expired);
    assert_eq!(
        world.directory.recheck(&principal, world.now()),
        Err(Denied::Expired)
    );
    world.close().await;
}

#[tokio::test]
async fn a_token_with_the_right_id_and_another_secret_is_unknown() {
    let world = World::new().await;
    let (_, credential) = world.token(&system(), r#"{"role":"user","tenant":"acme"}"#).await;
    let forged = format!("{}0000", &credential[..credential.len() - 4]);
    assert_eq!(
        world.directory.authenticate(&forged, world.now()).unwrap_err(),
        Denied::Unknown
    );
    world.close().await;
}

#[tokio::test]
async fn a_device_token_is_good_until_its_device_is_revoked_and_a_later_one_after() {
    let world = World::new().await;
    let json = r#"{"role":"device","tenant":"acme","devices":["fleet/bus-14"]}"#;
    let (id, first) = world.token(&system(), json).await;
    let other = r#"{"role":"device","tenant":"acme","devices":["fleet/bus-15"]}"#;
    let (_, other) = world.token(&system(), other).await;
    assert_eq!(id, "device:acme/fleet/bus-14");
    let principal = world.directory.authenticate(&first, world.now()).unwrap();
    world.administration.revoke_token(&system(), &id).await.unwrap();
    let now = world.now();
    assert_eq!(
        world.directory.authenticate(&first, now).unwrap_err(),
        Denied::Revoked
    );
    assert_eq!(world.directory.recheck(&principal, now), Err(Denied::Revoked));
    assert!(world.directory.authenticate(&other, now).is_ok());
    // Made in the same microsecond as the revocation.
    let (_, second) = world.token(&system(), json).await;
    assert!(world.directory.authenticate(&second, now).is_ok());
    world.close().await;
}

#[tokio::test]
async fn every_node_learns_of_a_revocation() {
    let mut world = World::new().await;
    let (id, credential) = world.token(&system(), r#"{"role":"user","tenant":"acme"}"#).await;
    let other = world.another_directory();
    within(other.ready()).await;
    let principal = other.authenticate(&credential, world.now()).unwrap();
    let mut changes = other.changes();
    changes.mark_unchanged();
    world.administration.revoke_token(&system(), &id).await.unwrap();
    within(changes.changed()).await.unwrap();
    assert_eq!(other.recheck(&principal, world.now()), Err(Denied::Revoked));
    world.close().await;
}

#[tokio::test]
async fn a_directory_that_starts_later_knows_the_same() {
    let mut world = World::new().await;
    let (_, kept) = world.token(&system(), r#"{"role":"user","tenant":"acme"}"#).await;
    let (id, revoked) = world.token(&system(), r#"{"role":"user","tenant":"acme"}"#).await;
    world.administration.revoke_token(&system(), &id).await.unwrap();
    let later = world.another_directory();
    assert!(!later.is_ready());
    within(later.ready()).await;
    assert!(later.authenticate(&kept, world.now()).is_ok());
    assert!(later.authenticate(&revoked, world.now()).is_err());
    assert_eq!(later.tenant("acme"), world.directory.tenant("acme"));
    world.close().await;
}

/// Two nodes make a tenant at once: one appends behind the other's back.
#[tokio::test]
async fn a_contested_tenant_is_put_right_in_the_log() {
    let world = World::new().await;
    world.administration.ensure_tenant("acme").await.unwrap();
    let late = Control::Tenant(Tenant {
        id: "acme".into(),
        spread: 2,
        created_at: world.now(),
    });
    append(&world, &late).await;
    let newest = within(async {
        loop {
            let newest = newest_tenant(&world).await;
            if newest.spread != 2 {
                return newest;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    assert_eq!(newest.spread, 8);
    assert_eq!(world.directory.tenant("acme").unwrap().spread, 8);
    world.close().await;
}

#[tokio::test]
async fn placement_is_that_of_the_tenants_spread() {
    let world = World::new().await;
    assert!(world.directory.placement("acme").is_none());
    world
        .administration
        .create_tenant(&system(), "acme", Some(3))
        .await
        .unwrap();
    let placement = world.directory.placement("acme").unwrap();
    assert_eq!(*placement, journal::Placement::new("acme", 3, 16));
    world.close().await;
}

async fn append(world: &World, control: &Control) {
    let record = NewRecord {
        topic: Topic::Control,
        partition: 0,
        key: control.key().into(),
        value: Some(control.encode()),
        timestamp_ms: world.now() / 1_000,
        headers: Headers {
            kind: control.kind().into(),
            generation: 1,
            ..Headers::default()
        },
    };
    let appender = Arc::clone(&world.journal.appender);
    let outcomes = appender.append(vec![record], Duration::from_secs(5)).await;
    assert!(outcomes.iter().all(Result::is_ok));
}

async fn newest_tenant(world: &World) -> Tenant {
    let block = world
        .journal
        .reader
        .read(Topic::Control, 0, 0, 1 << 20)
        .await
        .unwrap();
    let newest = block
        .records
        .into_iter()
        .rfind(|record| &*record.key == "tenant/acme");
    let control = Control::decode(&newest.unwrap().value.unwrap()).unwrap();
    let Control::Tenant(tenant) = control else {
        panic!("{control:?}");
    };
    tenant
}
