//! Who may make, change and take back what.

use std::sync::Arc;

use access::administration::{RuleRefused, SessionRefused, Settings, TenantRefused, TokenRefused};
use access::{Administration, Denied, Principal, Role};
use schemas::control::Rule;

use crate::support::{World, members, system};

const ADMIN: &str = r#"{"role":"admin","tenant":"acme"}"#;

#[tokio::test]
async fn an_admin_manages_its_own_tenant_only() {
    let world = World::new().await;
    let admin = world.principal(ADMIN).await;
    let foreign = r#"{"role":"user","tenant":"other"}"#;
    let refused = world.administration.create_token(&admin, members(foreign)).await;
    assert!(matches!(refused, Err(TokenRefused::Forbidden(_))));
    let (foreign, _) = world.token(&system(), foreign).await;
    let change = world
        .administration
        .change_token(&admin, &foreign, members("{}"))
        .await;
    assert_eq!(change, Err(TokenRefused::NotFound));
    let revoke = world.administration.revoke_token(&admin, &foreign).await;
    assert_eq!(revoke, Err(TokenRefused::NotFound));
    let revoke = world.administration.revoke_token(&admin, "device:other/d").await;
    assert_eq!(revoke, Err(TokenRefused::NotFound));
    assert!(
        world
            .administration
            .tokens(&admin, Some("other"), None, 10)
            .is_err()
    );
    assert!(world.administration.tokens(&admin, None, None, 10).is_err());
    world.close().await;
}

#[tokio::test]
async fn an_admin_gives_nothing_above_its_own_grants() {
    let world = World::new().await;
    let admin = world
        .principal(r#"{"role":"admin","tenant":"acme","devices":["a","b"],"expires":"1h"}"#)
        .await;
    let above = [
        r#"{"role":"system"}"#,
        r#"{"role":"system","tenant":null}"#,
        r#"{"role":"admin","superuser":true,"tenant":null}"#,
        r#"{"role":"user"}"#,
        r#"{"role":"user","devices":null}"#,
        r#"{"role":"user","devices":["c"]}"#,
        r#"{"role":"user","devices":["a"],"staff":true}"#,
        r#"{"role":"user","devices":["a"],"organizations":["other"]}"#,
        r#"{"role":"user","devices":["a"],"expires":"2h"}"#,
        r#"{"role":"user","devices":["a"],"expires":null}"#,
        r#"{"role":"device","devices":["c"]}"#,
    ];
    for json in above {
        let refused = world.administration.create_token(&admin, members(json)).await;
        assert!(refused.is_err(), "{json}");
    }
    let (id, _) = world.token(&admin, r#"{"role":"user","devices":["a"]}"#).await;
    let made = world.administration.token(&admin, &id).unwrap();
    assert_eq!(made.0.expires_at, admin.expires_at);
    for json in [
        r#"{"devices":["c"]}"#,
        r#"{"devices":null}"#,
        r#"{"expires":null}"#,
        r#"{"staff":true}"#,
    ] {
        let refused = world
            .administration
            .change_token(&admin, &id, members(json))
            .await;
        assert!(matches!(refused, Err(TokenRefused::Forbidden(_))), "{json}");
    }
    world.close().await;
}

#[tokio::test]
async fn only_admin_and_system_manage_tokens() {
    let world = World::new().await;
    for role in ["user", "ingest"] {
        let json = format!(r#"{{"role":"{role}","tenant":"acme"}}"#);
        let actor = world.principal(&json).await;
        let made = world.administration.create_token(&actor, members(&json)).await;
        assert!(matches!(made, Err(TokenRefused::Forbidden(_))));
        let own = world.administration.token(&actor, &actor.id);
        assert_eq!(own, Err(TokenRefused::NotFound));
    }
    world.close().await;
}

#[tokio::test]
async fn a_changed_token_has_its_new_grants_under_the_old_secret() {
    let world = World::new().await;
    let (id, credential) = world
        .token(&system(), r#"{"role":"user","tenant":"acme","devices":["a"]}"#)
        .await;
    let before = world.directory.authenticate(&credential, world.now()).unwrap();
    let change = members(r#"{"devices":["b"],"permissions":["command"],"expires":"1h"}"#);
    world
        .administration
        .change_token(&system(), &id, change)
        .await
        .unwrap();
    let after = world.directory.authenticate(&credential, world.now()).unwrap();
    assert!(!after.may_read("acme", "a"));
    assert!(after.may_command("acme", "b"));
    assert_eq!(world.directory.recheck(&before, world.now()), Ok(after));
    world.advance(3_600);
    let expired = world.directory.authenticate(&credential, world.now());
    assert_eq!(expired.unwrap_err(), Denied::Expired);
    world.close().await;
}

#[tokio::test]
async fn of_two_changes_of_a_token_at_once_neither_takes_back_the_other() {
    let world = World::new().await;
    let full = r#"{"role":"user","tenant":"acme","devices":["a","b"],"permissions":["command"]}"#;
    for _ in 0..20 {
        let (id, credential) = world.token(&system(), full).await;
        let system = system();
        let change = |json: &'static str| world.administration.change_token(&system, &id, members(json));
        let (fewer, none) = tokio::join!(change(r#"{"devices":["a"]}"#), change(r#"{"permissions":[]}"#));
        assert!(fewer.is_ok() && none.is_ok());
        let after = world.directory.authenticate(&credential, world.now()).unwrap();
        assert!(!after.may_read("acme", "b") && !after.may_command("acme", "a"));
    }
    world.close().await;
}

#[tokio::test]
async fn members_that_contradict_each_other_are_refused() {
    let world = World::new().await;
    let wrong = [
        "{}",
        r#"{"role":"king","tenant":"acme"}"#,
        r#"{"role":"user"}"#,
        r#"{"role":"user","tenant":"a/b"}"#,
        r#"{"role":"system","tenant":"acme"}"#,
        r#"{"role":"system","devices":["a"]}"#,
        r#"{"role":"user","tenant":"acme","superuser":true}"#,
        r#"{"role":"user","tenant":"acme","devices":["a,b"]}"#,
        r#"{"role":"user","tenant":"acme","permissions":["a b"]}"#,
        r#"{"role":"user","tenant":"acme","expires":"soon"}"#,
        r#"{"role":"device","tenant":"acme"}"#,
        r#"{"role":"device","tenant":"acme","devices":["a","b"]}"#,
        r#"{"role":"device","tenant":"acme","devices":["a"],"permissions":["command"]}"#,
    ];
    for json in wrong {
        let refused = world.administration.create_token(&system(), members(json)).await;
        assert!(matches!(refused, Err(TokenRefused::Invalid(_))), "{json}");
    }
    world.close().await;
}

#[tokio::test]
async fn a_tenant_keeps_the_spread_that_it_was_made_with() {
    let world = World::new().await;
    let administration = &world.administration;
    let (tenant, new) = administration
        .create_tenant(&system(), "acme", Some(3))
        .await
        .unwrap();
    assert_eq!((tenant.spread, new), (3, true));
    let (_, new) = administration
        .create_tenant(&system(), "acme", Some(3))
        .await
        .unwrap();
    assert!(!new);
    assert_eq!(
        administration.create_tenant(&system(), "acme", Some(4)).await,
        Err(TenantRefused::Exists { spread: 3 })
    );
    assert_eq!(administration.ensure_tenant("acme").await.unwrap().spread, 3);
    assert_eq!(administration.ensure_tenant("other").await.unwrap().spread, 8);
    for spread in [0, 17] {
        let refused = administration
            .create_tenant(&system(), "third", Some(spread))
            .await;
        assert!(matches!(refused, Err(TenantRefused::Spread { .. })));
    }
    assert!(world.directory.tenant("third").is_none());
    world.close().await;
}

#[tokio::test]
async fn only_system_makes_tenants() {
    let world = World::new().await;
    let admin = world.principal(ADMIN).await;
    assert_eq!(admin.role, Role::Admin);
    let refused = world.administration.create_tenant(&admin, "acme", None).await;
    assert_eq!(refused, Err(TenantRefused::Forbidden));
    world.close().await;
}

#[tokio::test]
async fn jwts_and_sessions_are_revoked_by_system_only() {
    let world = World::new().await;
    let admin = world.principal(ADMIN).await;
    for id in ["jwt:somebody", "session:0-1"] {
        let refused = world.administration.revoke_token(&admin, id).await;
        assert_eq!(refused, Err(TokenRefused::NotFound));
        world.administration.revoke_token(&system(), id).await.unwrap();
    }
    world.close().await;
}

#[tokio::test]
async fn a_superuser_belongs_to_no_tenant_and_is_made_by_system_only() {
    let world = World::new().await;
    let superuser = world
        .principal(r#"{"role":"admin","superuser":true,"permissions":["geo.view_location"]}"#)
        .await;
    assert_eq!(superuser.tenant, None);
    assert!(superuser.manages("any") && superuser.covers_tenant("any"));
    for json in [
        r#"{"role":"user","superuser":true,"tenant":null}"#,
        r#"{"role":"system","tenant":null}"#,
    ] {
        let refused = world.administration.create_token(&superuser, members(json)).await;
        assert!(matches!(refused, Err(TokenRefused::Forbidden(_))), "{json}");
    }
    let admin = world.principal(ADMIN).await;
    let (id, _) = world.token(&admin, r#"{"role":"user"}"#).await;
    for json in [
        r#"{"superuser":true}"#,
        r#"{"superuser":true,"tenant":null}"#,
        r#"{"role":"system","tenant":null}"#,
        r#"{"tenant":"other"}"#,
    ] {
        let refused = world
            .administration
            .change_token(&admin, &id, members(json))
            .await;
        assert!(refused.is_err(), "{json}");
    }
    world.close().await;
}

#[tokio::test]
async fn staff_manages_the_organizations_that_it_was_given() {
    let world = World::new().await;
    let staff = r#"{"role":"admin","tenant":"acme","staff":true,"organizations":["acme","other"],"permissions":["config.view_device"]}"#;
    let staff = world.principal(staff).await;
    assert!(staff.manages("acme") && staff.manages("other") && !staff.manages("third"));
    assert!(staff.has_any_permission(&["geo.view_location", "config.view_device"]));
    assert!(!staff.has_any_permission(&["geo.view_location"]));
    assert!(!staff.covers_tenant("other"), "walls stand on native routes");
    let given = r#"{"role":"user","staff":true,"organizations":["other"]}"#;
    let (id, _) = world.token(&staff, given).await;
    let made = world.administration.token(&staff, &id).unwrap().0;
    assert!(made.staff && made.organizations == ["other".into()]);
    let more = world
        .administration
        .change_token(&staff, &id, members(r#"{"organizations":["third"]}"#))
        .await;
    assert!(matches!(more, Err(TokenRefused::Forbidden(_))));
    let plain = world.principal(r#"{"role":"user","tenant":"acme"}"#).await;
    assert!(!plain.manages("acme"));
    world.close().await;
}

#[tokio::test]
async fn staff_gives_in_other_organizations_no_permission_that_it_lacks() {
    let world = World::new().await;
    let staff = r#"{"role":"admin","tenant":"acme","staff":true,"organizations":["acme","other"],"permissions":["geo.view_location"]}"#;
    let staff = world.principal(staff).await;
    let above =
        r#"{"role":"user","staff":true,"organizations":["other"],"permissions":["config.change_device"]}"#;
    let refused = world.administration.create_token(&staff, members(above)).await;
    assert!(matches!(refused, Err(TokenRefused::Forbidden(_))));
    let change = |id: &str, json: &str| {
        let (id, json) = (id.to_owned(), members(json));
        let (administration, staff) = (&world.administration, &staff);
        async move { administration.change_token(staff, &id, json).await }
    };
    // Not to itself either.
    let refused = change(&staff.id, r#"{"permissions":["config.change_device"]}"#).await;
    assert!(matches!(refused, Err(TokenRefused::Forbidden(_))));
    let within =
        r#"{"role":"user","staff":true,"organizations":["other"],"permissions":["geo.view_location"]}"#;
    world.token(&staff, within).await;
    // One after the other comes to the same.
    let own = r#"{"role":"user","staff":true,"organizations":["acme"],"permissions":["config.change_device","command"]}"#;
    let (id, _) = world.token(&staff, own).await;
    let refused = change(&id, r#"{"organizations":["other"]}"#).await;
    assert!(matches!(refused, Err(TokenRefused::Forbidden(_))));
    // What another gave above its grants it does not change.
    let given = r#"{"role":"user","tenant":"acme","staff":true,"organizations":["other"],"permissions":["config.change_device"]}"#;
    let (id, _) = world.token(&system(), given).await;
    let refused = change(&id, r#"{"expires":"30d"}"#).await;
    assert!(matches!(refused, Err(TokenRefused::Forbidden(_))));
    world.close().await;
}

#[tokio::test]
async fn a_device_token_of_a_node_whose_clock_is_ahead_is_revoked_with_the_others() {
    let world = World::new().await;
    let clock = Arc::clone(&world.clock);
    let ahead = Administration::new(
        Settings::default(),
        &world.journal,
        Arc::clone(&world.directory),
        Arc::new(move || clock() + 3_000_000),
    );
    let device = r#"{"role":"device","tenant":"acme","devices":["bus"]}"#;
    let issued = ahead.create_token(&system(), members(device)).await.unwrap();
    world
        .administration
        .revoke_token(&system(), "device:acme/bus")
        .await
        .unwrap();
    let revoked = world.directory.authenticate(&issued.credential, world.now());
    assert_eq!(revoked.unwrap_err(), Denied::Revoked);
    // The next one is good at once, whoever issues it.
    for administration in [&ahead, &world.administration] {
        let issued = administration
            .create_token(&system(), members(device))
            .await
            .unwrap();
        assert!(
            world
                .directory
                .authenticate(&issued.credential, world.now())
                .is_ok()
        );
    }
    world.close().await;
}

#[tokio::test]
async fn an_admin_that_is_limited_to_devices_sees_and_takes_back_tokens_of_these_only() {
    let world = World::new().await;
    let limited = world
        .principal(r#"{"role":"admin","tenant":"acme","devices":["a","b"]}"#)
        .await;
    let (within, _) = world
        .token(&system(), r#"{"role":"user","tenant":"acme","devices":["a"]}"#)
        .await;
    let administration = &world.administration;
    for above in [ADMIN, r#"{"role":"user","tenant":"acme","devices":["a","c"]}"#] {
        let (above, _) = world.token(&system(), above).await;
        let refused = administration.revoke_token(&limited, &above).await;
        assert_eq!(refused, Err(TokenRefused::NotFound));
        assert_eq!(
            administration.token(&limited, &above),
            Err(TokenRefused::NotFound)
        );
        assert!(administration.token(&system(), &above).is_ok());
    }
    let page = administration.tokens(&limited, Some("acme"), None, 10).unwrap();
    let mut seen: Vec<&str> = page.tokens.iter().map(|token| &*token.0.id).collect();
    seen.sort_unstable();
    let mut expected = [&*within, &*limited.id];
    expected.sort_unstable();
    assert_eq!(seen, expected);
    // A page is as long as it may be, whatever lies between.
    let page = administration.tokens(&limited, Some("acme"), None, 1).unwrap();
    let next = page.next.unwrap();
    let after = Some((next.0, &*next.1));
    let page = administration.tokens(&limited, Some("acme"), after, 1).unwrap();
    assert_eq!((page.tokens.len(), page.next), (1, None));
    administration.revoke_token(&limited, &within).await.unwrap();
    world.close().await;
}

#[tokio::test]
async fn an_admin_that_is_limited_to_devices_has_no_rules_which_are_for_all() {
    let world = World::new().await;
    let limited = world
        .principal(r#"{"role":"admin","tenant":"acme","devices":["a"]}"#)
        .await;
    let rule = Rule {
        tenant: "acme".into(),
        id: "r".into(),
        when: "x".into(),
        close_when: None,
        alert_type: "A".into(),
        severity: 1,
        summary: "".into(),
    };
    let administration = &world.administration;
    let refused = administration.put_rule(&limited, rule.clone()).await;
    assert_eq!(refused, Err(RuleRefused::Forbidden));
    let admin = world.principal(ADMIN).await;
    assert_eq!(administration.put_rule(&admin, rule).await, Ok(true));
    let refused = administration.delete_rule(&limited, "acme", "r").await;
    assert_eq!(refused, Err(RuleRefused::Forbidden));
    assert!(world.directory.rule("acme", "r").is_some());
    world.close().await;
}

fn limited(world: &World, settings: Settings) -> Arc<Administration> {
    let (directory, clock) = (Arc::clone(&world.directory), Arc::clone(&world.clock));
    Administration::new(settings, &world.journal, directory, clock)
}

#[tokio::test]
async fn a_tenant_has_so_many_tokens_which_name_so_many_devices() {
    let world = World::new().await;
    let administration = limited(
        &world,
        Settings {
            tokens_per_tenant_max: 2,
            token_devices_per_tenant_max: 3,
            ..Settings::default()
        },
    );
    let make = |json: &str| {
        let json = members(json);
        let administration = Arc::clone(&administration);
        async move {
            administration
                .create_token(&system(), json)
                .await
                .map(|issued| issued.token.0.id)
        }
    };
    let first = make(r#"{"role":"user","tenant":"acme","devices":["a","b"]}"#)
        .await
        .unwrap();
    let too_many = make(r#"{"role":"user","tenant":"acme","devices":["a","b"]}"#).await;
    assert!(matches!(too_many, Err(TokenRefused::TooMany(_))));
    make(r#"{"role":"user","tenant":"acme","devices":["a"]}"#)
        .await
        .unwrap();
    let too_many = make(r#"{"role":"user","tenant":"acme"}"#).await;
    assert!(matches!(too_many, Err(TokenRefused::TooMany(_))));
    make(r#"{"role":"user","tenant":"other"}"#).await.unwrap();
    let actor = system();
    let change = |json: &str| administration.change_token(&actor, &first, members(json));
    assert!(change(r#"{"devices":["c","d"]}"#).await.is_ok());
    let too_many = change(r#"{"devices":["c","d","e"]}"#).await;
    assert!(matches!(too_many, Err(TokenRefused::TooMany(_))));
    administration.revoke_token(&system(), &first).await.unwrap();
    make(r#"{"role":"user","tenant":"acme","devices":["a","b"]}"#)
        .await
        .unwrap();
    world.close().await;
}

#[tokio::test]
async fn what_can_be_no_device_is_not_revoked_and_so_many_devices_are() {
    let world = World::new().await;
    let administration = limited(
        &world,
        Settings {
            devices_revoked_per_tenant_max: 2,
            ..Settings::default()
        },
    );
    let admin = world.principal(ADMIN).await;
    let revoke = |id: String| {
        let (administration, admin) = (Arc::clone(&administration), Arc::clone(&admin));
        async move { administration.revoke_token(&admin, &id).await }
    };
    for name in ["", "a,b", &"x".repeat(201)] {
        let refused = revoke(format!("device:acme/{name}")).await;
        assert_eq!(refused, Err(TokenRefused::NotFound), "{name}");
    }
    for name in ["a", "b", "a"] {
        assert_eq!(revoke(format!("device:acme/{name}")).await, Ok(()));
    }
    let too_many = revoke("device:acme/c".to_owned()).await;
    assert!(matches!(too_many, Err(TokenRefused::TooMany(_))));
    world.close().await;
}

#[tokio::test]
async fn a_credential_makes_so_many_sessions_in_a_minute() {
    let world = World::new().await;
    let administration = limited(
        &world,
        Settings {
            sessions_per_minute: 2,
            sessions_per_tenant_minute: 3,
            ..Settings::default()
        },
    );
    let (one, other) = (world.principal(ADMIN).await, world.principal(ADMIN).await);
    let is_made = |actor: &Principal| match administration.create_session(actor) {
        Ok(_) => true,
        Err(SessionRefused::TooMany {
            retry_after_s: 1..=60,
        }) => false,
        Err(refused) => panic!("{refused}"),
    };
    assert!(is_made(&one) && is_made(&one) && !is_made(&one));
    assert!(is_made(&other) && !is_made(&other), "the tenant has made enough");
    world.advance(60);
    assert!(is_made(&one) && is_made(&other));
    world.close().await;
}
