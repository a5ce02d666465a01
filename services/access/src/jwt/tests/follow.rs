use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::issuer::jwks;
use super::*;

/// A source whose answer is set by the test.
#[derive(Default)]
struct Source {
    answer: Mutex<Option<String>>,
    fetched: AtomicUsize,
}

impl Source {
    fn holds(&self, issuers: &[&Issuer]) {
        *self.answer.lock() = Some(jwks(issuers).to_string());
    }

    fn fetched(&self) -> usize {
        self.fetched.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl KeySource for Source {
    async fn fetch(&self) -> Result<Bytes, FetchError> {
        self.fetched.fetch_add(1, Ordering::Relaxed);
        let answer = self.answer.lock().clone();
        answer.map(Bytes::from).ok_or_else(|| FetchError {
            reason: "no connection".to_owned(),
        })
    }

    fn name(&self) -> &str {
        "test"
    }
}

/// Two issuers, a source, and keys that follow it, under virtual time.
struct World {
    old: Issuer,
    new: Issuer,
    source: Arc<Source>,
    keys: Arc<Keys>,
    /// How often it was said that keys were taken back.
    lost: Arc<AtomicUsize>,
    _follower: tokio::task::JoinSet<()>,
}

impl World {
    fn new(prepare: impl FnOnce(&Source, &Issuer)) -> Self {
        let (old, new) = (
            Issuer::new(Algorithm::Hs256, "old"),
            Issuer::new(Algorithm::Hs256, "new"),
        );
        let source = Arc::new(Source::default());
        prepare(&source, &old);
        let keys = Arc::new(Keys::new(Settings::default()));
        let mut follower = tokio::task::JoinSet::new();
        let (followed, from) = (Arc::clone(&keys), Arc::clone(&source));
        let lost = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&lost);
        follower.spawn(async move {
            let taken_back = || {
                count.fetch_add(1, Ordering::Relaxed);
            };
            followed
                .follow(from.as_ref(), &taken_back, CancellationToken::new())
                .await;
        });
        Self {
            old,
            new,
            source,
            keys,
            lost,
            _follower: follower,
        }
    }

    fn proves(&self, issuer: &Issuer) -> bool {
        self.keys.prove(&issuer.token(&customer()), NOW).is_ok()
    }

    /// A little longer, so that what is due at its end has been done.
    async fn pass(&self, duration: Duration) {
        tokio::time::sleep(duration + MOMENT).await;
    }
}

/// Nothing is due within.
const MOMENT: Duration = Duration::from_millis(1);

#[tokio::test(start_paused = true)]
async fn keys_are_read_at_the_start_and_every_so_often() {
    let world = World::new(|source, old| source.holds(&[old]));
    world.pass(Duration::ZERO).await;
    assert!(world.proves(&world.old));
    world.source.holds(&[&world.new]);
    world.pass(Duration::from_secs(599)).await;
    assert!(world.proves(&world.old) && !world.proves(&world.new));
    world.pass(Duration::from_secs(1)).await;
    assert!(world.proves(&world.new) && !world.proves(&world.old));
    assert_eq!(world.source.fetched(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_key_has_them_read_at_once() {
    let world = World::new(|source, old| source.holds(&[old]));
    world.pass(Duration::ZERO).await;
    world.source.holds(&[&world.old, &world.new]);
    assert!(world.keys.newer().await);
    assert!(world.proves(&world.new) && world.proves(&world.old));
    assert_eq!(world.source.fetched(), 2);
}

#[tokio::test(start_paused = true)]
async fn unknown_keys_have_them_read_so_often_only() {
    let world = World::new(|source, old| source.holds(&[old]));
    world.pass(Duration::ZERO).await;
    assert!(world.keys.newer().await);
    for _ in 0..50 {
        assert!(!world.keys.newer().await, "nothing is read, and nobody waits");
    }
    assert_eq!(world.source.fetched(), 2);
    world.pass(Duration::from_secs(10)).await;
    assert!(world.keys.newer().await);
    assert_eq!(world.source.fetched(), 3);
}

#[tokio::test(start_paused = true)]
async fn whatever_fails_the_keys_that_there_are_stay() {
    let world = World::new(|source, old| source.holds(&[old]));
    world.pass(Duration::ZERO).await;
    for broken in [None, Some("<html>".to_owned()), Some(r#"{"keys":7}"#.to_owned())] {
        *world.source.answer.lock() = broken;
        world.pass(Duration::from_secs(700)).await;
        assert!(world.proves(&world.old));
        assert!(world.keys.trouble().is_some() && world.keys.are_stale());
    }
    assert_eq!(world.lost.load(Ordering::Relaxed), 0);
    world.source.holds(&[&world.new]);
    world.pass(Duration::from_secs(10)).await;
    assert!(world.proves(&world.new));
    assert_eq!(world.keys.trouble(), None);
}

#[tokio::test(start_paused = true)]
async fn keys_that_could_not_be_read_at_the_start_are_tried_again_soon() {
    let world = World::new(|_, _| {});
    world.pass(Duration::ZERO).await;
    assert!(!world.keys.are_there());
    world.source.holds(&[&world.old]);
    world.pass(Duration::from_secs(10)).await;
    assert!(world.proves(&world.old));
}

#[tokio::test(start_paused = true)]
async fn an_issuer_that_takes_its_last_key_back_is_believed() {
    let world = World::new(|source, old| source.holds(&[old]));
    world.pass(Duration::ZERO).await;
    let proven = world.keys.prove(&world.old.token(&customer()), NOW).unwrap();
    let key = proven.realm().unwrap().key;
    assert!(world.keys.holds(key));
    world.source.holds(&[]);
    world.pass(Duration::from_secs(600)).await;
    assert!(!world.proves(&world.old) && !world.keys.holds(key));
    assert_eq!(world.lost.load(Ordering::Relaxed), 1);
    assert!(world.keys.trouble().is_some() && !world.keys.are_stale());
    // And it is asked again soon.
    world.source.holds(&[&world.new]);
    world.pass(Duration::from_secs(10)).await;
    assert!(world.proves(&world.new));
}

#[tokio::test(start_paused = true)]
async fn it_is_said_when_a_key_is_taken_back_and_not_when_one_comes() {
    let world = World::new(|source, old| source.holds(&[old]));
    world.pass(Duration::ZERO).await;
    world.source.holds(&[&world.old, &world.new]);
    world.pass(Duration::from_secs(600)).await;
    assert_eq!(world.lost.load(Ordering::Relaxed), 0);
    world.source.holds(&[&world.new]);
    world.pass(Duration::from_secs(600)).await;
    assert_eq!(world.lost.load(Ordering::Relaxed), 1);
}
