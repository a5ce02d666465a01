//! The contract of the store's ports, and what is CQL's own, against a real server.
//!
//! Runs when `WAKELINE_TEST_CQL=host:port` names one; without it every test says "skipped" and passes.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use journal::{Clock, Micros};
use schemas::control::Layout;
use state::contract::{Expiring, Harness, PARTITIONS};
use state::scylla::{ConnectError, Cql, MigrateError, Settings};
use state::{Applied, DeviceKey, Store, Write};

/// Kept between runs: each test has a generation of its own.
const KEYSPACE: &str = "wakeline_contract";
static MIGRATED: tokio::sync::OnceCell<()> = tokio::sync::OnceCell::const_new();

struct CqlHarness {
    cql: Cql,
    layout: Layout,
}

impl CqlHarness {
    /// A store that nothing was written to; `None` without a server.
    async fn fresh() -> Option<Self> {
        let settings = settings(KEYSPACE)?;
        let cql = connect(settings).await;
        MIGRATED
            .get_or_init(async || drop(cql.migrate().await.expect("the tables are made")))
            .await;
        Some(Self {
            cql,
            layout: layout(random_generation()),
        })
    }
}

#[async_trait]
impl Harness for CqlHarness {
    async fn handle(&self) -> Store {
        self.cql.store(&self.layout, None).await.expect("the store opens")
    }

    async fn restarted(&self) -> Store {
        let cql = connect(settings(KEYSPACE).expect("the server is known")).await;
        cql.store(&self.layout, None).await.expect("the store opens")
    }

    async fn of_next_layout(&self) -> Option<Store> {
        let layout = Layout {
            generation: self.layout.generation + 1,
            created_at: now(),
            ..self.layout.clone()
        };
        Some(self.cql.store(&layout, None).await.expect("the store opens"))
    }

    fn now(&self) -> Micros {
        now()
    }

    async fn expiring(&self) -> Option<Box<dyn Expiring>> {
        let ttl = Duration::from_secs(2);
        let cql = connect(Settings {
            history_ttl: ttl,
            ..settings(KEYSPACE)?
        })
        .await;
        let store = cql.store(&self.layout, None).await.expect("the store opens");
        Some(Box::new(ShortHistory { store, ttl }))
    }
}

struct ShortHistory {
    store: Store,
    ttl: Duration,
}

#[async_trait]
impl Expiring for ShortHistory {
    fn store(&self) -> Store {
        self.store.clone()
    }

    fn ttl(&self) -> Duration {
        self.ttl
    }

    /// A server's TTL runs in real time.
    async fn pass(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }
}

state::state_contract_tests!(CqlHarness::fresh());

#[tokio::test]
async fn an_unreachable_server_is_named_in_time() {
    let settings = Settings {
        contact_points: vec!["127.0.0.1:1".to_owned()],
        connect_timeout: Duration::from_secs(3),
        ..Settings::default()
    };
    let error = Cql::connect(settings, clock())
        .await
        .expect_err("nothing listens there");
    assert!(
        matches!(&error, ConnectError::Unreachable { addresses, .. } if addresses == "127.0.0.1:1"),
        "{error}"
    );
}

#[tokio::test]
async fn tables_are_made_once_by_two_runners_at_a_time() {
    let Some(scratch) = Scratch::new().await else {
        return;
    };
    let (one, two) = (scratch.connect().await, scratch.connect().await);
    let pending = one.check_migrations().await.expect_err("nothing is there yet");
    assert!(matches!(pending, MigrateError::Pending { .. }), "{pending}");
    assert_eq!(one.layout().await, Ok(None));

    let (first, second) = tokio::join!(one.migrate(), two.migrate());
    let (first, second) = (first.expect("migrated"), second.expect("migrated"));
    assert_eq!(
        first.applied.len() + second.applied.len(),
        migrations::all().len()
    );
    assert!(
        first.applied.is_empty() || second.applied.is_empty(),
        "both applied something"
    );

    assert!(one.migrate().await.expect("nothing to do").applied.is_empty());
    one.check_migrations().await.expect("all is applied");
    assert_eq!(one.replicas().await, Ok(Some(1)));
    scratch.remove().await;
}

#[tokio::test]
async fn an_altered_migration_is_told() {
    let Some(scratch) = Scratch::new().await else {
        return;
    };
    let cql = scratch.connect().await;
    cql.migrate().await.expect("migrated");
    scratch
        .run("UPDATE migrations SET checksum = 'other' WHERE number = 1")
        .await;
    let error = cql.check_migrations().await.expect_err("the checksum differs");
    assert!(error.to_string().contains("0001_devices.cql"), "{error}");
    assert!(matches!(cql.migrate().await, Err(MigrateError::Plan(_))));
    scratch.remove().await;
}

#[tokio::test]
async fn what_all_nodes_share_is_written_once() {
    let Some(scratch) = Scratch::new().await else {
        return;
    };
    let cql = scratch.connect().await;
    cql.migrate().await.expect("migrated");

    let first = layout(1);
    assert_eq!(cql.write_layout(&first).await, Ok(first.clone()));
    let second = Layout {
        epoch: u64::MAX,
        ..layout(1)
    };
    assert_eq!(
        cql.write_layout(&second).await,
        Ok(first),
        "the same generation does not replace it"
    );
    let next = Layout {
        epoch: u64::MAX,
        registration_required: true,
        ..layout(2)
    };
    assert_eq!(cql.write_layout(&next).await, Ok(next.clone()));
    assert_eq!(cql.layout().await, Ok(Some(next)));

    assert_eq!(cql.secret("node").await, Ok(None));
    assert_eq!(
        cql.put_secret_if_absent("node", b"one").await,
        Ok(b"one".to_vec())
    );
    assert_eq!(
        cql.put_secret_if_absent("node", b"two").await,
        Ok(b"one".to_vec())
    );
    assert_eq!(cql.secret("node").await, Ok(Some(b"one".to_vec())));

    assert_eq!(cql.serving(2).await, Ok(0));
    cql.set_serving(2, 3).await.expect("written");
    assert_eq!(cql.serving(2).await, Ok(3));
    scratch.remove().await;
}

#[tokio::test]
async fn a_build_is_filled_beside_the_one_that_serves_and_purged() {
    let Some(harness) = CqlHarness::fresh().await else {
        return;
    };
    let (cql, layout) = (&harness.cql, &harness.layout);
    let key = DeviceKey {
        tenant: "acme".into(),
        device: "bus".into(),
    };
    let write = |version| {
        let document = schemas::Document {
            tenant: "acme".into(),
            id: "bus".into(),
            version,
            ..Default::default()
        };
        Write {
            key: key.clone(),
            partition: 1,
            document: Some(Arc::new(document)),
            source: 1,
        }
    };
    let (old, new) = (
        cql.store(layout, Some(0)).await.unwrap(),
        cql.store(layout, Some(1)).await.unwrap(),
    );
    old.documents.write(vec![write(1)]).await.unwrap();
    old.progress
        .set_applied(
            1,
            &Applied {
                source: 2,
                ..Applied::default()
            },
        )
        .await
        .unwrap();
    new.documents.write(vec![write(2)]).await.unwrap();
    cql.purge(layout, 0).await.unwrap();

    let version = async |store: &Store| {
        let found = store.documents.get(&[(1, key.clone())]).await.unwrap().remove(0);
        found.map(|stored| stored.document.version)
    };
    assert_eq!(version(&old).await, None);
    assert_eq!(
        old.documents.tenants_of("bus").await.unwrap(),
        Vec::<Box<str>>::new()
    );
    assert_eq!(old.progress.applied(1).await.unwrap(), None);
    assert_eq!(version(&new).await, Some(2));
}

/// A keyspace of one test.
struct Scratch {
    keyspace: String,
    session: scylla::client::session::Session,
}

impl Scratch {
    async fn new() -> Option<Self> {
        let keyspace = format!("wakeline_scratch_{}", random_generation());
        let server = &settings(&keyspace)?.contact_points[0];
        let builder = scylla::client::session_builder::SessionBuilder::new().known_node(server);
        Some(Self {
            keyspace,
            session: builder.build().await.expect("the server answers"),
        })
    }

    async fn connect(&self) -> Cql {
        connect(settings(&self.keyspace).expect("the server is known")).await
    }

    async fn run(&self, statement: &str) {
        self.session
            .use_keyspace(&self.keyspace, false)
            .await
            .expect("the keyspace is there");
        self.session
            .query_unpaged(statement, ())
            .await
            .expect("the statement runs");
    }

    async fn remove(self) {
        self.run(&format!("DROP KEYSPACE {}", self.keyspace)).await;
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a test asks its environment for the server"
)]
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
fn settings(keyspace: &str) -> Option<Settings> {
    let Ok(server) = std::env::var("WAKELINE_TEST_CQL") else {
        eprintln!("skipped: WAKELINE_TEST_CQL names no server");
        return None;
    };
    Some(Settings {
        contact_points: vec![server],
        keyspace: keyspace.to_owned(),
        ..Settings::default()
    })
}

async fn connect(settings: Settings) -> Cql {
    Cql::connect(settings, clock()).await.expect("the server answers")
}

fn layout(generation: u32) -> Layout {
    Layout {
        generation,
        created_at: now(),
        epoch: 7,
        partitions: PARTITIONS,
        default_spread: 8,
        fold_version: state::fold::FOLD_VERSION,
        document_bytes_max: 65_536,
        registration_required: false,
    }
}

fn clock() -> Clock {
    Arc::new(now)
}

#[expect(
    clippy::disallowed_methods,
    reason = "a real server's TTL needs the real time"
)]
fn now() -> Micros {
    i64::try_from(
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .expect("after 1970")
            .as_micros(),
    )
    .expect("before 290000")
}

fn random_generation() -> u32 {
    (uuid::Uuid::now_v7().as_u128() as u32) >> 2
}
