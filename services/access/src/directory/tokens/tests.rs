use proptest::prelude::*;
use std::collections::BTreeMap;

use super::*;

fn token(id: &str, tenant: &str) -> Token {
    Token {
        id: id.into(),
        hash: [7; 32],
        last_four: "wxyz".into(),
        role: Role::User,
        tenant: Some(tenant.into()),
        devices: None,
        permissions: vec!["command".into()],
        staff: false,
        superuser: false,
        organizations: Vec::new(),
        created_at: 5,
        expires_at: None,
    }
}

#[test]
fn a_record_comes_back_as_it_was_put() {
    let mut tokens = Tokens::default();
    let token = Token {
        devices: Some(vec!["a".into(), "b".into()]),
        organizations: vec!["x".into()],
        staff: true,
        expires_at: Some(99),
        ..token("abc", "acme")
    };
    assert!(tokens.put(&token));
    assert_eq!(tokens.record("abc"), Some(token));
}

#[test]
fn devices_that_tokens_name_are_counted_while_they_are_there() {
    let mut tokens = Tokens::default();
    let naming = |id: &str, devices: &[&str]| Token {
        devices: Some(devices.iter().map(|device| (*device).into()).collect()),
        ..token(id, "acme")
    };
    tokens.put(&naming("a", &["x", "y"]));
    tokens.put(&naming("b", &["x"]));
    tokens.put(&token("c", "acme"));
    let load = |tokens, devices| Load { tokens, devices };
    assert_eq!(tokens.load("acme"), load(3, 3));
    tokens.put(&naming("a", &["z"]));
    assert_eq!(tokens.load("acme"), load(3, 2));
    for id in ["a", "b", "c"] {
        tokens.remove(id);
    }
    assert_eq!(tokens.load("acme"), Load::default());
}

#[test]
fn an_id_that_is_none_is_refused() {
    let mut tokens = Tokens::default();
    for id in ["", "admin-token", "device:a/b", "sixteencharacter", "a\0"] {
        assert!(!tokens.put(&token(id, "acme")), "{id:?}");
        assert!(tokens.get(id).is_none());
        assert!(!tokens.remove(id));
    }
}

#[test]
fn equal_grants_are_kept_once_and_let_go_with_the_last_token() {
    let mut tokens = Tokens::default();
    tokens.put(&token("a", "acme"));
    tokens.put(&token("b", "acme"));
    tokens.put(&token("c", "other"));
    assert_eq!(tokens.grants(), 2);
    tokens.put(&token("c", "acme"));
    assert_eq!(tokens.grants(), 1);
    for id in ["a", "b", "c"] {
        assert!(tokens.remove(id));
    }
    assert_eq!((tokens.grants(), tokens.len()), (0, 0));
}

#[test]
fn a_token_takes_at_most_100_bytes() {
    let mut tokens = Tokens::default();
    for count in 1..=200_000_u32 {
        tokens.put(&token(&format!("{count:012x}"), "acme"));
        // The worst is just after a table grew; a few hundred tokens do not matter.
        if count >= 10_000 && count % 501 == 0 {
            let each = tokens.bytes() / count as usize;
            assert!(each <= 100, "{each} bytes each at {count}");
        }
    }
}

#[test]
fn pages_are_newest_first_and_meet_without_gap() {
    let mut tokens = Tokens::default();
    for (id, created_at) in [("a", 1), ("b", 2), ("c", 2), ("d", 3)] {
        tokens.put(&Token {
            created_at,
            ..token(id, "acme")
        });
    }
    tokens.put(&token("z", "other"));
    let page = |after| -> Vec<String> {
        let records = tokens.records(Some("acme"), &Scope::All, after, 2);
        records.into_iter().map(|token| token.id.into()).collect()
    };
    assert_eq!(page(None), ["d", "c"]);
    assert_eq!(page(Some((2, "c"))), ["b", "a"]);
    assert_eq!(tokens.records(None, &Scope::All, None, 9).len(), 5);
}

proptest! {
    #[test]
    fn puts_and_removals_agree_with_a_map(
        steps in proptest::collection::vec((any::<bool>(), 0_u16..2_500, 0_i64..5), 0..4_000),
    ) {
        let mut tokens = Tokens::default();
        let mut model = BTreeMap::new();
        for (put, number, created_at) in steps {
            let id = format!("{number:x}");
            if put {
                let token = Token { created_at, ..token(&id, &format!("t{}", number % 3)) };
                tokens.put(&token);
                model.insert(id, token);
            } else {
                prop_assert_eq!(tokens.remove(&id), model.remove(&id).is_some());
            }
        }
        prop_assert_eq!(tokens.len(), model.len());
        for tenant in ["t0", "t1", "t2"] {
            let of_tenant = model.values().filter(|token| token.tenant.as_deref() == Some(tenant)).count();
            prop_assert_eq!(tokens.load(tenant).tokens, of_tenant);
        }
        for (id, token) in model {
            prop_assert_eq!(tokens.record(&id), Some(token));
        }
    }
}
