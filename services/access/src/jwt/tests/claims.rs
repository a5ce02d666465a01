use super::*;
use crate::Role;
use crate::principal::{RealmRole, Tenancy};

fn judged(settings: impl FnOnce(&mut Settings), claims: &Value) -> Result<Principal, Denied> {
    let issuer = Issuer::new(Algorithm::Hs256, "k1");
    with(&issuer, settings).prove(&issuer.token(claims), NOW)
}

fn proven(changes: Value) -> Principal {
    judged(|_| {}, &changed(changes)).unwrap()
}

fn outcome(changes: Value) -> Result<(), Denied> {
    judged(|_| {}, &changed(changes)).map(drop)
}

#[test]
fn a_token_is_good_until_its_end() {
    assert_eq!(outcome(json!({"exp": NOW_S + 1})), Ok(()));
    assert_eq!(outcome(json!({"exp": NOW_S})), Err(Denied::Expired));
    assert_eq!(outcome(json!({"exp": NOW_S as f64 + 0.5})), Ok(()));
    assert_eq!(outcome(json!({"exp": 1e300})), Ok(()));
    assert_eq!(
        proven(json!({"exp": NOW_S + 7})).expires_at,
        Some(NOW + 7_000_000)
    );
}

#[test]
fn a_token_whose_end_says_nothing_is_refused() {
    for exp in [
        Value::Null,
        json!("1800000060"),
        json!([1]),
        json!(true),
        json!({}),
    ] {
        assert_eq!(outcome(json!({"exp": exp})), Err(Denied::Unknown), "{exp}");
    }
}

#[test]
fn a_leeway_after_the_end_holds_for_streams_too() {
    let late = |settings: &mut Settings| settings.expiry_leeway = Duration::from_secs(10);
    let principal = judged(late, &changed(json!({"exp": NOW_S - 9}))).unwrap();
    assert_eq!(principal.expires_at, Some(NOW + 1_000_000));
    let over = judged(late, &changed(json!({"exp": NOW_S - 10})));
    assert_eq!(over, Err(Denied::Expired));
}

#[test]
fn a_token_from_the_future_is_refused_beyond_the_leeway() {
    for claim in ["nbf", "iat"] {
        assert_eq!(outcome(json!({claim: NOW_S + 30})), Ok(()), "{claim}");
        assert_eq!(
            outcome(json!({claim: NOW_S + 31})),
            Err(Denied::Unknown),
            "{claim}"
        );
        assert_eq!(outcome(json!({claim: "now"})), Err(Denied::Unknown), "{claim}");
    }
}

#[test]
fn the_issuer_must_be_the_one_that_is_set() {
    let set = |settings: &mut Settings| settings.issuer = Some("https://id.example.com".into());
    let judge = |changes| judged(set, &changed(changes)).map(drop);
    assert_eq!(judge(json!({"iss": "https://id.example.com"})), Ok(()));
    for iss in [
        json!("https://id.example.com/"),
        Value::Null,
        json!(["https://id.example.com"]),
    ] {
        assert_eq!(judge(json!({"iss": iss})), Err(Denied::Unknown), "{iss}");
    }
}

#[test]
fn the_audience_must_have_one_that_is_set() {
    let set = |settings: &mut Settings| settings.audience = vec!["wakeline".into(), "fleet".into()];
    let judge = |aud: &Value| judged(set, &changed(json!({"aud": aud}))).map(drop);
    for aud in [json!("wakeline"), json!(["x", "fleet"])] {
        assert_eq!(judge(&aud), Ok(()), "{aud}");
    }
    for aud in [Value::Null, json!("wake"), json!([]), json!(["x"]), json!(1)] {
        assert_eq!(judge(&aud), Err(Denied::Unknown), "{aud}");
    }
    assert_eq!(outcome(json!({"aud": "somebody-else"})), Ok(()), "none is set");
}

#[test]
fn the_tenant_is_the_organization_or_else_tenant_id() {
    let several = json!({"zeta": {}, "acme": {}});
    for (organization, tenant_id, tenant) in [
        (Value::Null, json!("acme"), Ok("acme")),
        (Value::Null, Value::Null, Err(Tenancy::Missing)),
        (Value::Null, json!(7), Err(Tenancy::Missing)),
        (json!("acme"), json!("other"), Ok("acme")),
        (json!("acme"), Value::Null, Ok("acme")),
        (json!(["acme"]), Value::Null, Ok("acme")),
        (json!(["acme", "acme"]), Value::Null, Ok("acme")),
        (json!({"acme": {"id": 1}}), json!("other"), Ok("acme")),
        (json!([]), json!("acme"), Ok("acme")),
        (json!({}), json!("acme"), Ok("acme")),
        (several.clone(), json!("zeta"), Ok("zeta")),
        (several.clone(), json!("acme"), Ok("acme")),
        (several.clone(), json!("other"), Err(Tenancy::Ambiguous)),
        (several, Value::Null, Err(Tenancy::Ambiguous)),
        (json!(["a", "b"]), Value::Null, Err(Tenancy::Ambiguous)),
        (json!("not a tenant"), json!("acme"), Err(Tenancy::Missing)),
        (json!("../acme"), Value::Null, Err(Tenancy::Missing)),
    ] {
        let principal = proven(json!({"organization": organization, "tenant_id": tenant_id}));
        let tenancy = principal.realm().unwrap().tenancy;
        let found = principal.tenant.as_deref().ok_or(tenancy);
        assert_eq!(found, tenant, "{organization} {tenant_id}");
        assert_eq!(tenant.is_ok(), tenancy == Tenancy::Known);
    }
}

#[test]
fn roles_are_native_roles_within_the_tenant() {
    for (roles, role, commands) in [
        (json!(["customer"]), Role::User, false),
        (json!(["operator", "offline_access"]), Role::User, true),
        (json!(["tenant-admin"]), Role::Admin, true),
        (json!(["customer", "operator-admin"]), Role::Admin, true),
    ] {
        let principal = proven(json!({"realm_access": {"roles": roles}}));
        assert_eq!(principal.role, role, "{roles}");
        assert!(principal.may_read("acme", "any"), "{roles}");
        assert_eq!(principal.may_command("acme", "any"), commands, "{roles}");
        assert!(!principal.may_read("other", "any"), "{roles}");
        assert!(!principal.is_superuser() && !principal.staff, "{roles}");
    }
}

#[test]
fn without_a_role_that_we_know_a_token_may_nothing() {
    for access in [
        Value::Null,
        json!({}),
        json!({"roles": []}),
        json!({"roles": ["admin", "system", 7]}),
        json!({"roles": "customer"}),
        json!(["customer"]),
    ] {
        let principal = proven(json!({"realm_access": access}));
        assert!(principal.realm().unwrap().roles.is_empty(), "{access}");
        assert!(!principal.reads(), "{access}");
        assert!(!principal.may_read("acme", "any") && !principal.may_command("acme", "any"));
        assert!(!principal.may_administer("acme"));
    }
}

#[test]
fn without_a_tenant_there_is_nothing_within_reach() {
    let principal = proven(json!({"tenant_id": null, "realm_access": {"roles": ["operator-admin"]}}));
    assert!(
        principal
            .realm()
            .unwrap()
            .roles
            .contains(RealmRole::OperatorAdmin)
    );
    assert!(!principal.may_read("acme", "any") && !principal.may_administer("acme"));
    assert_eq!(principal.resolve_tenant(None), Err(crate::TenantError::Missing));
    assert_eq!(
        principal.resolve_tenant(Some("acme")),
        Err(crate::TenantError::Foreign)
    );
}

#[test]
fn a_token_without_a_subject_has_a_name_of_its_own() {
    let first = proven(json!({"sub": null}));
    let second = proven(json!({"sub": null, "jti": "2"}));
    assert!(first.id.starts_with("jwt:") && first.id.len() > 10);
    assert_ne!(first.id, second.id);
    assert_eq!(outcome(json!({"sub": 7})), Err(Denied::Unknown));
}

#[test]
fn a_token_without_a_time_of_issue_is_older_than_any_revocation() {
    assert_eq!(proven(json!({"iat": null})).issued_at, Some(Micros::MIN));
    assert_eq!(proven(json!({})).issued_at, Some(NOW));
}
