use super::issuer::pem;
use super::*;

fn file(algorithm: Option<Algorithm>, text: &str) -> Result<Algorithm, KeyError> {
    let set = KeySet::read(Form::Key, algorithm, text.as_bytes(), 1)?;
    Ok(set.keys[0].algorithm)
}

fn set(algorithm: Option<Algorithm>, keys: &Value) -> Result<usize, KeyError> {
    KeySet::read(
        Form::Set,
        algorithm,
        json!({"keys": keys}).to_string().as_bytes(),
        4,
    )
    .map(|set| set.len())
}

#[test]
fn a_public_key_says_its_algorithm_and_a_secret_must_be_said() {
    for algorithm in [Algorithm::Rs256, Algorithm::Es256] {
        let issuer = Issuer::new(algorithm, "k");
        assert_eq!(file(None, &issuer.public), Ok(algorithm));
        assert_eq!(file(Some(algorithm), &issuer.public), Ok(algorithm));
    }
    let secret = Issuer::new(Algorithm::Hs256, "k").public;
    assert_eq!(file(Some(Algorithm::Hs256), &secret), Ok(Algorithm::Hs256));
    assert_eq!(file(None, &secret), Err(KeyError::NotPem));
    assert_eq!(file(Some(Algorithm::Rs256), &secret), Err(KeyError::NotPem));
}

#[test]
fn a_secret_may_end_with_a_line_end() {
    let issuer = Issuer::new(Algorithm::Hs256, "k");
    for end in ["", "\n", "\r\n"] {
        let text = format!("{}{end}", issuer.public);
        let set = KeySet::read(Form::Key, Some(Algorithm::Hs256), text.as_bytes(), 1).unwrap();
        let keys = keys(Settings::default(), set);
        assert!(keys.prove(&issuer.token(&customer()), NOW).is_ok(), "{end:?}");
    }
}

#[test]
fn keys_that_cannot_be_right_are_refused_with_the_reason() {
    let (rsa, ec) = (
        Issuer::new(Algorithm::Rs256, "k"),
        Issuer::new(Algorithm::Es256, "k"),
    );
    let hs256 = Some(Algorithm::Hs256);
    assert_eq!(file(hs256, "too short"), Err(KeyError::ShortSecret { bytes: 9 }));
    assert_eq!(file(hs256, &rsa.public), Err(KeyError::NoSecret));
    assert_eq!(file(None, &rsa.private), Err(KeyError::Private));
    assert_eq!(file(None, &ec.private), Err(KeyError::Private));
    let other = KeyError::Other {
        is: Algorithm::Es256,
        wanted: Algorithm::Rs256,
    };
    assert_eq!(file(Some(Algorithm::Rs256), &ec.public), Err(other));
    assert_eq!(file(None, &pem("CERTIFICATE", b"x")), Err(KeyError::NoPublicKey));
    assert_eq!(file(None, &pem("PUBLIC KEY", b"x")), Err(KeyError::Unfit));
    assert_eq!(
        file(None, "-----BEGIN PUBLIC KEY-----"),
        Err(KeyError::NoPublicKey)
    );
}

#[test]
fn what_a_set_holds_beside_good_keys_is_left_out() {
    let ec = Issuer::new(Algorithm::Es256, "k");
    let with = |member: &str, value: Value| {
        let mut jwk = ec.jwk();
        jwk[member] = value;
        jwk
    };
    for odd in [
        json!({"kty": "OKP", "crv": "Ed25519", "x": "AAAA"}),
        json!({"kty": "AKP", "alg": "ML-DSA-44"}),
        json!({"kty": "RSA", "n": "AQAB", "e": "AQAB"}),
        json!({"kty": "oct", "k": "c2hvcnQ"}),
        json!({"kty": 7}),
        json!("key"),
        json!(null),
        with("use", json!("enc")),
        with("alg", json!("ES384")),
        with("crv", json!("P-384")),
        with("x", json!("AAAA")),
        with("key_ops", json!(["sign"])),
    ] {
        assert_eq!(set(None, &json!([odd, ec.jwk()])), Ok(1), "{odd}");
        assert_eq!(
            set(None, &json!([odd])),
            Err(KeyError::NoKey { wanted: None }),
            "{odd}"
        );
    }
    assert_eq!(set(None, &json!([with("key_ops", json!(["verify"]))])), Ok(1));
}

#[test]
fn a_set_is_limited_to_the_algorithm_that_is_set_and_to_so_many_keys() {
    let (ec, hs) = (
        Issuer::new(Algorithm::Es256, "a"),
        Issuer::new(Algorithm::Hs256, "b"),
    );
    let both = json!([ec.jwk(), hs.jwk()]);
    assert_eq!(set(None, &both), Ok(2));
    assert_eq!(set(Some(Algorithm::Es256), &both), Ok(1));
    let wanted = Some(Algorithm::Rs256);
    assert_eq!(set(wanted, &both), Err(KeyError::NoKey { wanted }));
    let many: Vec<Value> = (0..9).map(|_| ec.jwk()).collect();
    assert_eq!(set(None, &json!(many)), Ok(4));
}

#[test]
fn what_is_no_set_is_refused() {
    for text in ["", "{", "[]", "{}", r#"{"keys":{}}"#] {
        let read = KeySet::read(Form::Set, None, text.as_bytes(), 4);
        assert!(matches!(read, Err(KeyError::NotASet { .. })), "{text}");
    }
}

#[test]
fn no_key_shows_in_debug_output() {
    let issuer = Issuer::new(Algorithm::Hs256, "k");
    let set = KeySet::read(Form::Key, Some(Algorithm::Hs256), issuer.public.as_bytes(), 1).unwrap();
    assert_eq!(format!("{set:?}"), "[(None, Hs256)]");
}
