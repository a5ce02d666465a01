//! Keys of an issuer change while everything serves.

use std::time::Duration;

use access::jwt::Algorithm;
use tests::issuer::{Issuer, Published, jwks};
use tests::stream::{Carrier, Ended, Streaming};
use tests::wait::until;
use tests::world::{TENANT, World};

async fn status(world: &World, issuer: &Issuer) -> u16 {
    let api = world.admin.with_token(&issuer.token(TENANT, "customer", 60));
    api.get("/v1/devices").await.status.as_u16()
}

async fn gets_in(world: &World, issuer: &Issuer) {
    until("the key gets in", async || {
        (status(world, issuer).await == 200).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_request_with_a_new_key_gets_in() {
    let (old, new) = (
        Issuer::new(Algorithm::Es256, "old"),
        Issuer::new(Algorithm::Rs256, "new"),
    );
    let published = Published::start(jwks(&[&old])).await;
    let world = World::with(|config| config.jwt.jwks_url = Some(published.url.clone())).await;
    gets_in(&world, &old).await;
    published.publish(Some(jwks(&[&old, &new])));
    assert_eq!(status(&world, &new).await, 200, "no 401 while the key is fetched");
    assert_eq!(status(&world, &old).await, 200);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_is_withdrawn_is_out_with_the_next_reading() {
    let (old, new) = (
        Issuer::new(Algorithm::Es256, "old"),
        Issuer::new(Algorithm::Es256, "new"),
    );
    let published = Published::start(jwks(&[&old])).await;
    let world = World::with(|config| {
        config.jwt.jwks_url = Some(published.url.clone());
        config.jwt.refresh_every = Duration::from_millis(100);
    })
    .await;
    gets_in(&world, &old).await;
    published.publish(Some(jwks(&[&new])));
    until("the old key is out", async || {
        (status(&world, &old).await == 401).then_some(())
    })
    .await;
    assert_eq!(status(&world, &new).await, 200);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unknown_keys_do_not_make_the_node_hammer_its_issuer() {
    let (known, unknown) = (
        Issuer::new(Algorithm::Es256, "known"),
        Issuer::new(Algorithm::Es256, "unknown"),
    );
    let published = Published::start(jwks(&[&known])).await;
    let world = World::with(|config| {
        config.jwt.jwks_url = Some(published.url.clone());
        config.failed_authentications_per_minute = 1_000;
    })
    .await;
    gets_in(&world, &known).await;
    let before = published.asked();
    let mut refused = 0;
    for number in 0..50 {
        match status(&world, &unknown).await {
            401 => refused += 1,
            // Between readings it may be a new one.
            503 if number > 0 => {}
            other => panic!("{other} to request {number}"),
        }
    }
    let asked = published.asked() - before;
    assert_eq!(refused, asked);
    assert!((1..=3).contains(&asked), "asked {asked} times for 50 requests");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_issuer_that_is_down_locks_nobody_out() {
    let known = Issuer::new(Algorithm::Rs256, "known");
    let published = Published::start(jwks(&[&known])).await;
    let world = World::with(|config| {
        config.jwt.jwks_url = Some(published.url.clone());
        config.jwt.refresh_every = Duration::from_millis(50);
        config.jwt.refresh_rest = Duration::from_millis(50);
    })
    .await;
    gets_in(&world, &known).await;
    for body in [None, Some("<html>".to_owned())] {
        published.publish(body);
        let before = published.asked();
        until("it was asked in vain", async || {
            (published.asked() > before + 2).then_some(())
        })
        .await;
        assert_eq!(status(&world, &known).await, 200);
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_file_is_read_again_when_it_is_replaced() {
    let (old, new) = (
        Issuer::new(Algorithm::Hs256, "old"),
        Issuer::new(Algorithm::Hs256, "new"),
    );
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("secret");
    std::fs::write(&file, &old.public).expect("written");
    let world = World::with(|config| {
        config.jwt.key_file = Some(file.clone());
        config.jwt.algorithm = Some(Algorithm::Hs256);
    })
    .await;
    gets_in(&world, &old).await;
    std::fs::write(&file, &new.public).expect("written");
    assert_eq!(status(&world, &new).await, 200);
    assert_eq!(status(&world, &old).await, 401);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_key_proved_ends_when_the_issuer_takes_it_back() {
    let issuer = Issuer::new(Algorithm::Es256, "only");
    let published = Published::start(jwks(&[&issuer])).await;
    let world = World::with(|config| {
        config.jwt.jwks_url = Some(published.url.clone());
        config.jwt.refresh_every = Duration::from_millis(100);
    })
    .await;
    gets_in(&world, &issuer).await;
    let api = world.admin.with_token(&issuer.token(TENANT, "customer", 3_600));
    let stream = Streaming::open(&api, Carrier::WebSocket, "", None)
        .await
        .expect("a stream");
    let events = Streaming::open(&api, Carrier::Sse, "", None)
        .await
        .expect("a stream");
    published.publish(Some(jwks(&[])));
    assert_eq!(stream.end().await.0, Ended::Closed(4401));
    assert_eq!(events.end().await, (Ended::Eof, Some("fault".to_owned())));
    assert_eq!(api.get("/v1/devices").await.status, 401);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_of_an_unknown_key_is_told_to_come_again_while_the_issuer_does_not_answer() {
    let (known, new) = (
        Issuer::new(Algorithm::Es256, "known"),
        Issuer::new(Algorithm::Es256, "new"),
    );
    let published = Published::start(jwks(&[&known])).await;
    let world = World::with(|config| {
        config.jwt.jwks_url = Some(published.url.clone());
        config.jwt.refresh_rest = Duration::from_millis(50);
    })
    .await;
    gets_in(&world, &known).await;
    published.publish(None);
    assert_eq!(status(&world, &new).await, 503);
    assert_eq!(status(&world, &known).await, 200);
    published.publish(Some(jwks(&[&known, &new])));
    gets_in(&world, &new).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_key_is_told_to_come_again_while_the_issuer_was_asked_a_moment_ago() {
    let (known, new) = (
        Issuer::new(Algorithm::Es256, "known"),
        Issuer::new(Algorithm::Es256, "new"),
    );
    let published = Published::start(jwks(&[&known])).await;
    let world = World::with(|config| {
        config.jwt.jwks_url = Some(published.url.clone());
        config.jwt.refresh_rest = Duration::from_secs(3_600);
    })
    .await;
    gets_in(&world, &known).await;
    let stranger = Issuer::new(Algorithm::Es256, "stranger");
    assert_eq!(status(&world, &stranger).await, 401, "the issuer was asked");
    published.publish(Some(jwks(&[&known, &new])));
    assert_eq!(status(&world, &new).await, 503);
    let api = world.admin.with_token(&new.token(TENANT, "customer", 60));
    let events = Streaming::open(&api, Carrier::Sse, "", None).await;
    // A browser would never come back after a 401.
    let ended = events.expect("an event stream").end().await;
    assert_eq!(ended.1.as_deref(), Some("fault"));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_that_nobody_knows_count_as_failures_while_the_issuer_does_not_answer() {
    let known = Issuer::new(Algorithm::Es256, "known");
    let published = Published::start(jwks(&[&known])).await;
    let world = World::with(|config| {
        config.jwt.jwks_url = Some(published.url.clone());
        config.failed_authentications_per_minute = 3;
    })
    .await;
    gets_in(&world, &known).await;
    published.publish(None);
    let stranger = Issuer::new(Algorithm::Es256, "stranger");
    for _ in 0..4 {
        assert_eq!(status(&world, &stranger).await, 503);
    }
    let wrong = world.admin.with_token("wrong").get("/v1/devices").await;
    assert_eq!(wrong.status, 429);
    assert_eq!(status(&world, &known).await, 200);
    world.end().await;
}
