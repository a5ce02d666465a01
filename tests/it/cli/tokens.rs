//! `wakeline token`, directly on the data and over HTTP.

use serde_json::Value;
use tests::api::Api;
use tests::program::Program;

#[tokio::test]
async fn a_token_made_directly_works_once_the_node_serves() {
    let data = tempfile::tempdir().unwrap();
    let path = data.path().to_str().unwrap();
    let make = |role: &'static str| {
        let arguments = [
            "token",
            "create",
            "--role",
            role,
            "--tenant",
            "acme",
            "--data",
            path,
            "--expires",
            "30d",
        ];
        async move { Program::run(&arguments, &[]).await }
    };
    let (admin, ingest) = (make("admin").await, make("ingest").await);
    assert_eq!(
        (admin.code, ingest.code),
        (Some(0), Some(0)),
        "{admin:?} {ingest:?}"
    );
    assert_eq!(
        admin.output.lines().count(),
        1,
        "the secret alone: {}",
        admin.output
    );
    let (program, system) = Program::serve(data.path(), &[]).await;
    let (admin, ingest) = (
        Api::new(&system.base, admin.output.trim()),
        Api::new(&system.base, ingest.output.trim()),
    );
    ingest.send_events(&[tests::api::reading("bus", 1)]).await;
    assert_eq!(ingest.get("/v1/devices").await.status, 403);
    assert_eq!(admin.get("/v1/devices").await.status, 200);
    program.terminate().await;
    assert_eq!(program.ended().await.code, Some(0));
}

#[tokio::test]
async fn tokens_are_made_listed_and_revoked_over_http() {
    let data = tempfile::tempdir().unwrap();
    let (program, system) = Program::serve(data.path(), &[]).await;
    let variables = [
        ("WAKELINE_TOKEN", system.token.as_str()),
        ("WAKELINE_URL", system.base.as_str()),
    ];
    let arguments = [
        "token",
        "create",
        "--role",
        "user",
        "--tenant",
        "acme",
        "--devices",
        "a,b",
    ];
    let made = Program::run(&arguments, &variables).await;
    assert_eq!(made.code, Some(0), "{made:?}");
    let secret = made.output.trim();
    let user = Api::new(&system.base, secret);
    assert_eq!(user.get("/v1/devices").await.status, 200);
    let listed = Program::run(&["token", "list", "--tenant", "acme"], &variables).await;
    assert_eq!(listed.code, Some(0), "{listed:?}");
    let token: Value = serde_json::from_str(listed.output.trim()).expect("a JSON object a line");
    assert_eq!(
        (&token["role"], &token["devices"]),
        (&"user".into(), &serde_json::json!(["a", "b"]))
    );
    assert!(secret.ends_with(token["last_four"].as_str().unwrap()) && !listed.output.contains(secret));
    let id = token["id"].as_str().unwrap();
    // With --url instead of the variable.
    let revoke = ["token", "revoke", id, "--tenant", "acme", "--url", &system.base];
    let revoked = Program::run(&revoke, &[("WAKELINE_TOKEN", &system.token)]).await;
    assert_eq!(revoked.code, Some(0), "{revoked:?}");
    assert_eq!(user.get("/v1/devices").await.status, 401);
    let again = Program::run(&revoke, &[("WAKELINE_TOKEN", &system.token)]).await;
    assert_eq!(again.code, Some(1), "{again:?}");
    assert!(again.errors.contains("404"), "{}", again.errors);
    drop(program);
}

#[tokio::test]
async fn without_a_credential_it_says_where_one_belongs() {
    for arguments in [
        &["token", "list", "--url", "http://127.0.0.1:1"][..],
        &["tail"],
        &["simulate", "--trace", "bundled"],
    ] {
        let ended = Program::run(arguments, &[]).await;
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.errors.contains("WAKELINE_TOKEN"), "{}", ended.errors);
    }
}
