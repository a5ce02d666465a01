//! What a session is worth, and when it ends.

use access::administration::SessionRefused;
use access::{Denied, Role};

use crate::support::{ADMIN_TOKEN, World, members, system};

#[tokio::test]
async fn a_session_is_as_good_as_what_it_was_made_with() {
    let world = World::new().await;
    let user = r#"{"role":"user","tenant":"acme","devices":["a"],"permissions":["command"]}"#;
    let device = r#"{"role":"device","tenant":"acme","devices":["a/b"],"expires":"1h"}"#;
    let (_, user) = world.token(&system(), user).await;
    let (_, device) = world.token(&system(), device).await;
    for credential in [ADMIN_TOKEN, &user, &device] {
        let principal = world.directory.authenticate(credential, world.now()).unwrap();
        let session = world.administration.create_session(&principal).unwrap();
        let again = world
            .directory
            .authenticate(&session.credential, world.now())
            .unwrap();
        assert!(again.session.is_some());
        assert_eq!(again.expires_at, Some(session.expires_at));
        assert_eq!((&again.id, again.role), (&principal.id, principal.role));
        assert_eq!(
            (&again.tenant, &again.devices, &again.permissions),
            (&principal.tenant, &principal.devices, &principal.permissions)
        );
        assert_eq!(world.directory.recheck(&again, world.now()).unwrap(), again);
    }
    world.close().await;
}

#[tokio::test]
async fn a_session_lasts_as_long_as_set_and_never_longer_than_its_credential() {
    let world = World::new().await;
    for (expires, lasts_s) in [("1h", 3_600), ("30d", 12 * 3_600)] {
        let json = format!(r#"{{"role":"user","tenant":"acme","expires":"{expires}"}}"#);
        let principal = world.principal(&json).await;
        let session = world.administration.create_session(&principal).unwrap();
        assert_eq!(session.expires_at, world.now() + lasts_s * 1_000_000);
    }
    let session = world.session();
    let principal = world.directory.authenticate(&session, world.now()).unwrap();
    world.advance(12 * 3_600);
    let now = world.now();
    assert_eq!(
        world.directory.authenticate(&session, now).unwrap_err(),
        Denied::Expired
    );
    assert_eq!(world.directory.recheck(&principal, now), Err(Denied::Expired));
    world.close().await;
}

#[tokio::test]
async fn a_session_ends_with_its_token_and_changes_with_it() {
    let world = World::new().await;
    let (id, credential) = world
        .token(&system(), r#"{"role":"user","tenant":"acme","devices":["a"]}"#)
        .await;
    let principal = world.directory.authenticate(&credential, world.now()).unwrap();
    let session = world
        .administration
        .create_session(&principal)
        .unwrap()
        .credential;
    let before = world.directory.authenticate(&session, world.now()).unwrap();
    world
        .administration
        .change_token(&system(), &id, members(r#"{"devices":["b"]}"#))
        .await
        .unwrap();
    let now = world.directory.recheck(&before, world.now()).unwrap();
    assert!(now.may_read("acme", "b") && !now.may_read("acme", "a"));
    assert_eq!(now.session, before.session);
    world.administration.revoke_token(&system(), &id).await.unwrap();
    assert_eq!(
        world.directory.authenticate(&session, world.now()).unwrap_err(),
        Denied::Revoked
    );
    assert_eq!(
        world.directory.recheck(&before, world.now()),
        Err(Denied::Revoked)
    );
    world.close().await;
}

#[tokio::test]
async fn an_ended_session_is_over_on_every_node_and_its_credential_is_not() {
    let mut world = World::new().await;
    let other = world.another_directory();
    crate::support::within(other.ready()).await;
    let (first, second) = (world.session(), world.session());
    let principal = world.directory.authenticate(&first, world.now()).unwrap();
    let mut changes = other.changes();
    changes.mark_unchanged();
    world.administration.end_session(&principal).await.unwrap();
    crate::support::within(changes.changed()).await.unwrap();
    for directory in [&world.directory, &other] {
        assert_eq!(
            directory.authenticate(&first, world.now()).unwrap_err(),
            Denied::Revoked
        );
        assert_eq!(directory.recheck(&principal, world.now()), Err(Denied::Revoked));
        assert!(directory.authenticate(&second, world.now()).is_ok());
        assert!(directory.authenticate(ADMIN_TOKEN, world.now()).is_ok());
    }
    world.close().await;
}

#[tokio::test]
async fn a_session_makes_no_session() {
    let world = World::new().await;
    let session = world.session();
    let principal = world.directory.authenticate(&session, world.now()).unwrap();
    let refused = world.administration.create_session(&principal).err();
    assert_eq!(refused, Some(SessionRefused::FromSession));
    let admin = world.directory.authenticate(ADMIN_TOKEN, world.now()).unwrap();
    let refused = world.administration.end_session(&admin).await;
    assert_eq!(refused, Err(SessionRefused::NoSession));
    world.close().await;
}

#[tokio::test]
async fn a_token_that_a_session_makes_may_outlive_the_session_and_not_its_credential() {
    let world = World::new().await;
    let admin = world
        .principal(r#"{"role":"admin","tenant":"acme","expires":"30d"}"#)
        .await;
    let session = world.administration.create_session(&admin).unwrap().credential;
    let actor = world.directory.authenticate(&session, world.now()).unwrap();
    assert_eq!(actor.role, Role::Admin);
    let make = async |expires: &str| {
        let json = format!(r#"{{"role":"user","expires":"{expires}"}}"#);
        world.administration.create_token(&actor, members(&json)).await
    };
    assert!(make("29d").await.is_ok());
    assert!(make("31d").await.is_err());
    world.close().await;
}

/// Otherwise every logout would stay in memory, and in the topic, for ever.
#[tokio::test]
async fn revocations_of_sessions_that_are_over_go_away() {
    let world = World::new().await;
    for _ in 0..3 {
        let session = world.session();
        let principal = world.directory.authenticate(&session, world.now()).unwrap();
        world.administration.end_session(&principal).await.unwrap();
    }
    assert_eq!(world.kept_revocations().await, 3);
    world.advance(14 * 3_600);
    let session = world.session();
    let principal = world.directory.authenticate(&session, world.now()).unwrap();
    world.administration.end_session(&principal).await.unwrap();
    assert_eq!(world.kept_revocations().await, 1);
    world.close().await;
}
