use proptest::prelude::*;

use super::*;

fn key(byte: u8) -> NodeKey {
    NodeKey::new([byte; 32])
}

fn token() -> DeviceToken {
    DeviceToken {
        tenant: "acme".into(),
        device: "fleet/bus-14".into(),
        issued_at: 1_700_000_000_000_000,
        expires_at: Some(1_800_000_000_000_000),
    }
}

fn sealed(credential: &str) -> &str {
    credential.strip_prefix(DEVICE_PREFIX).unwrap()
}

#[test]
fn a_device_token_says_what_was_signed() {
    let signer = DeviceKey::new(&key(1));
    for expires_at in [None, token().expires_at] {
        let token = DeviceToken {
            expires_at,
            ..token()
        };
        let credential = token.seal(&signer);
        assert_eq!(DeviceToken::open(sealed(&credential), &signer), Some(token));
    }
}

#[test]
fn a_device_token_of_another_deployment_is_refused() {
    let credential = token().seal(&DeviceKey::new(&key(1)));
    assert_eq!(
        DeviceToken::open(sealed(&credential), &DeviceKey::new(&key(2))),
        None
    );
}

#[test]
fn a_device_token_with_any_byte_changed_is_refused() {
    let signer = DeviceKey::new(&key(1));
    let credential = token().seal(&signer);
    let sealed = sealed(&credential);
    for index in 0..sealed.len() {
        let mut bytes = sealed.as_bytes().to_vec();
        bytes[index] = if bytes[index] == b'A' { b'B' } else { b'A' };
        let forged = String::from_utf8(bytes).unwrap();
        assert_eq!(DeviceToken::open(&forged, &signer), None, "byte {index}");
    }
}

fn session(basis: Basis) -> Session {
    Session::new(1_800_000_000_000_000, basis, [7; 8])
}

#[test]
fn a_session_says_what_was_signed() {
    let signer = SessionKey::new(&key(1));
    let bases = [
        Basis::Token("0123456789ab".into()),
        Basis::Device {
            tenant: "acme".into(),
            device: "bus/14".into(),
            issued_at: 5,
            expires_at: None,
        },
        Basis::Admin([0xFF; 8]),
        Basis::Jwt {
            id: "jwt:somebody".into(),
            tenant: Some("acme".into()),
            roles: 3,
            ambiguous: false,
            key: [7; 8],
            issued_at: Some(5),
            expires_at: Some(9),
        },
    ];
    for basis in bases {
        let session = session(basis);
        let text = session.seal(&signer).unwrap();
        let Credential::Session { sealed } = Credential::parse(&text) else {
            panic!("{text}")
        };
        assert_eq!(Session::open(sealed, &signer), Some(session));
        assert_eq!(Session::open(sealed, &SessionKey::new(&key(2))), None);
    }
}

#[test]
fn a_session_with_any_byte_changed_is_refused() {
    let signer = SessionKey::new(&key(1));
    let text = session(Basis::Token("t".into())).seal(&signer).unwrap();
    let sealed = text.strip_prefix(SESSION_PREFIX).unwrap();
    for index in 0..sealed.len() {
        let mut bytes = sealed.as_bytes().to_vec();
        bytes[index] = if bytes[index] == b'A' { b'B' } else { b'A' };
        let forged = String::from_utf8(bytes).unwrap();
        assert_eq!(Session::open(&forged, &signer), None, "byte {index}");
    }
}

#[test]
fn a_device_token_is_no_session_and_a_session_no_device_token() {
    let text = session(Basis::Token("t".into()))
        .seal(&SessionKey::new(&key(1)))
        .unwrap();
    let sealed_session = text.strip_prefix(SESSION_PREFIX).unwrap();
    assert_eq!(DeviceToken::open(sealed_session, &DeviceKey::new(&key(1))), None);
    let credential = token().seal(&DeviceKey::new(&key(1)));
    assert_eq!(
        Session::open(sealed(&credential), &SessionKey::new(&key(1))),
        None
    );
}

#[test]
fn a_session_that_no_cookie_holds_is_not_made() {
    let basis = Basis::Jwt {
        id: "x".repeat(4_000).into(),
        tenant: None,
        roles: 0,
        ambiguous: false,
        key: [7; 8],
        issued_at: None,
        expires_at: None,
    };
    assert_eq!(
        session(basis).seal(&SessionKey::new(&key(1))),
        Err(SessionTooLong)
    );
}

#[test]
fn the_subject_of_a_session_says_when_it_ends() {
    let session = session(Basis::Token("t".into()));
    assert_eq!(
        session_end(&session_subject(&session.id)),
        Some(session.expires_at)
    );
    for other in ["device:acme/bus", "jwt:somebody", "session:", "session:x-1"] {
        assert_eq!(session_end(other), None, "{other}");
    }
}

#[test]
fn a_jwt_is_known_by_its_form() {
    for (text, is) in [("eyJh.eyJz.c2ln", true), ("eyJh.eyJz", false), ("a.b.c", false)] {
        assert_eq!(matches!(Credential::parse(text), Credential::Jwt), is, "{text}");
    }
    let long = format!("eyJh.{}.c2ln", "a".repeat(20_000));
    assert!(matches!(Credential::parse(&long), Credential::Opaque));
}

#[test]
fn an_api_token_shows_its_id() {
    let token = NewApiToken::new(&[0xA5; 40]);
    assert_eq!(token.id.len(), 12);
    assert_eq!(token.text.len(), "wlt_".len() + 12 + 1 + 52);
    assert!(matches!(Credential::parse(&token.text), Credential::Api { id } if id == token.id));
}

#[test]
fn base_32_keeps_every_bit() {
    assert_eq!(base32(&[0, 0, 0, 0, 0]), "00000000");
    assert_eq!(base32(&[0xff; 5]), "zzzzzzzz");
    assert_eq!(base32(&[0x08]), "10");
}

#[test]
fn an_admin_token_needs_32_characters() {
    assert_eq!(AdminToken::new(&"x".repeat(31)).unwrap_err().chars, 31);
    let text = "x".repeat(32);
    assert!(AdminToken::new(&text).unwrap().matches(&digest(&text)));
    assert!(!AdminToken::new(&text).unwrap().matches(&digest(&"y".repeat(32))));
}

#[test]
fn no_secret_shows_in_debug_output() {
    let shown = format!("{:?} {:?}", key(7), AdminToken::new(&"s".repeat(40)).unwrap());
    assert_eq!(shown, "NodeKey(…) AdminToken(…)");
}

#[test]
fn the_last_four_are_characters() {
    assert_eq!(last_four("abcdef"), "cdef");
    assert_eq!(last_four("ab"), "ab");
    assert_eq!(last_four("aäöüß"), "äöüß");
}

#[test]
fn a_sealed_secret_opens_for_its_device_only() {
    let sealer = Sealer::new(key(1));
    let sealed = sealer.seal("acme", "bus-14", "hunter2").unwrap();
    assert!(!sealed.contains("hunter2"));
    assert_eq!(sealer.open("acme", "bus-14", &sealed).unwrap(), "hunter2");
    assert_eq!(sealer.open("acme", "bus-15", &sealed), Err(UnsealError));
    assert_eq!(sealer.open("other", "bus-14", &sealed), Err(UnsealError));
    assert_eq!(
        Sealer::new(key(2)).open("acme", "bus-14", &sealed),
        Err(UnsealError)
    );
}

#[test]
fn equal_secrets_are_sealed_differently() {
    let sealer = Sealer::new(key(1));
    let seal = || sealer.seal("acme", "bus-14", "hunter2").unwrap();
    assert_ne!(seal(), seal());
}

proptest! {
    #[test]
    fn garbage_is_no_device_token(text in ".{0,200}") {
        prop_assert_eq!(DeviceToken::open(&text, &DeviceKey::new(&key(1))), None);
    }

    #[test]
    fn garbage_opens_no_secret(text in "[A-Za-z0-9_-]{0,100}") {
        prop_assert!(Sealer::new(key(1)).open("acme", "bus-14", &text).is_err());
    }
}
