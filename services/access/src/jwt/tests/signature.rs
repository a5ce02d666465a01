use super::issuer::{encoded, jwks};
use super::*;

#[test]
fn each_algorithm_proves_with_its_own_key() {
    for algorithm in Algorithm::ALL {
        let issuer = Issuer::new(algorithm, "k1");
        let token = issuer.token(&customer());
        let principal = trusting(&issuer).prove(&token, NOW).unwrap();
        assert_eq!(&*principal.id, "jwt:somebody");
        let set = KeySet::read(Form::Key, Some(algorithm), issuer.public.as_bytes(), 1).unwrap();
        let from_file = keys(Settings::default(), set);
        assert!(from_file.prove(&token, NOW).is_ok(), "{algorithm:?} from a file");
        let stranger = Issuer::new(algorithm, "k1");
        let forged = stranger.token(&customer());
        assert_eq!(trusting(&issuer).prove(&forged, NOW), Err(Denied::Unknown));
    }
}

#[test]
fn a_public_key_is_never_taken_for_a_secret() {
    let issuer = Issuer::new(Algorithm::Rs256, "k1");
    let key = jsonwebtoken::EncodingKey::from_secret(issuer.public.as_bytes());
    let mut header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::HS256);
    header.kid = Some("k1".to_owned());
    let forged = jsonwebtoken::encode(&header, &customer(), &key).unwrap();
    assert!(trusting(&issuer).prove(&forged, NOW).is_err());
    let set = KeySet::read(Form::Key, None, issuer.public.as_bytes(), 1).unwrap();
    assert!(keys(Settings::default(), set).prove(&forged, NOW).is_err());
}

#[test]
fn the_header_chooses_no_algorithm() {
    let issuer = Issuer::new(Algorithm::Es256, "k1");
    for alg in ["none", "None", "", "HS256", "RS256", "ES384", "PS256"] {
        let header = json!({"alg": alg, "kid": "k1"});
        let token = issuer.sign_header(&header, &customer());
        assert!(trusting(&issuer).prove(&token, NOW).is_err(), "{alg}");
        let unsigned = format!("{}.{}.", encoded(&header), encoded(&customer()));
        assert!(trusting(&issuer).prove(&unsigned, NOW).is_err(), "{alg}");
    }
}

#[test]
fn an_extension_that_must_be_understood_is_refused() {
    let issuer = Issuer::new(Algorithm::Hs256, "k1");
    let good = issuer.sign_header(&json!({"alg": "HS256", "typ": "JWT", "x": 1}), &customer());
    assert!(trusting(&issuer).prove(&good, NOW).is_ok());
    let header = json!({"alg": "HS256", "crit": ["b64"], "b64": false});
    let token = issuer.sign_header(&header, &customer());
    assert_eq!(trusting(&issuer).prove(&token, NOW), Err(Denied::Unknown));
}

#[test]
fn claims_that_were_not_signed_are_refused() {
    let issuer = Issuer::new(Algorithm::Hs256, "k1");
    let token = issuer.token(&customer());
    let parts: Vec<&str> = token.split('.').collect();
    let other = encoded(&changed(json!({"tenant_id": "other"})));
    let forged = format!("{}.{other}.{}", parts[0], parts[2]);
    assert_eq!(trusting(&issuer).prove(&forged, NOW), Err(Denied::Unknown));
}

#[test]
fn of_several_keys_the_named_one_proves() {
    let issuers = [
        Issuer::new(Algorithm::Es256, "old"),
        Issuer::new(Algorithm::Es256, "new"),
        Issuer::new(Algorithm::Hs256, "other"),
    ];
    let set = jwks(&[&issuers[0], &issuers[1], &issuers[2]]).to_string();
    let keys = keys(
        Settings::default(),
        KeySet::read(Form::Set, None, set.as_bytes(), 10).unwrap(),
    );
    for issuer in &issuers {
        assert!(
            keys.prove(&issuer.token(&customer()), NOW).is_ok(),
            "{}",
            issuer.kid
        );
        let unnamed = issuer.sign(None, &customer());
        assert!(keys.prove(&unnamed, NOW).is_ok(), "{} unnamed", issuer.kid);
    }
    let wrong = issuers[0].sign(Some("new"), &customer());
    assert_eq!(keys.prove(&wrong, NOW), Err(Denied::Unknown));
}

#[test]
fn a_key_that_is_not_known_is_told_apart() {
    let issuer = Issuer::new(Algorithm::Hs256, "k1");
    let newer = Issuer::new(Algorithm::Hs256, "k2");
    let named = newer.token(&customer());
    assert_eq!(trusting(&issuer).prove(&named, NOW), Err(Denied::UnknownKeyId));
    let unnamed = newer.sign(None, &customer());
    assert_eq!(trusting(&issuer).prove(&unnamed, NOW), Err(Denied::UnknownKey));
}

#[test]
fn without_keys_nobody_can_be_told_from_a_stranger() {
    let issuer = Issuer::new(Algorithm::Hs256, "k1");
    let token = issuer.token(&customer());
    let none = Keys::new(Settings::default());
    assert_eq!(none.prove(&token, NOW), Err(Denied::Unready));
}

#[test]
fn what_only_looks_like_a_token_is_refused() {
    let issuer = Issuer::new(Algorithm::Hs256, "k1");
    let keys = trusting(&issuer);
    let list = issuer.sign_header(&json!({"alg": "HS256"}), &json!([1]));
    for text in ["ey..", "eyJ.eyJ.x", "ey!.a.b", "", "a", ".", &list] {
        assert!(keys.prove(text, NOW).is_err(), "{text}");
    }
}
