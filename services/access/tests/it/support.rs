//! A log in a temporary directory, a directory that follows it, and an administration.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use access::administration::{self, TokenMembers};
use access::{AdminToken, Administration, Directory, NodeKey, Principal};
use embedded::Engine;
use journal::{Clock, Journal, Topic};
use prometheus::Registry;
use schemas::control::Layout;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub(crate) const ADMIN_TOKEN: &str = "an-admin-token-of-32-characters!";
/// 2027-01-15.
const START_US: i64 = 1_800_000_000_000_000;
const PATIENCE: Duration = Duration::from_secs(20);

/// One node's access to one log.
pub(crate) struct World {
    pub(crate) directory: Arc<Directory>,
    pub(crate) administration: Arc<Administration>,
    pub(crate) journal: Journal,
    pub(crate) clock: Clock,
    now: Arc<AtomicI64>,
    engine: Engine,
    tasks: JoinSet<()>,
    _dir: tempfile::TempDir,
}

pub(crate) fn settings() -> access::directory::Settings {
    access::directory::Settings {
        admin_token: Some(AdminToken::new(ADMIN_TOKEN).unwrap()),
        ..access::directory::Settings::new(NodeKey::new([3; 32]))
    }
}

impl World {
    pub(crate) async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let now = Arc::new(AtomicI64::new(START_US));
        let read = Arc::clone(&now);
        let clock: Clock = Arc::new(move || read.load(Ordering::Relaxed));
        let engine = Engine::open(dir.path(), embedded::Settings::default(), Arc::clone(&clock)).unwrap();
        let admin = engine.admin();
        admin.create(16, 1).await.unwrap();
        let layout = Layout {
            generation: 1,
            created_at: START_US,
            epoch: 7,
            partitions: 16,
            default_spread: 8,
            fold_version: 1,
            document_bytes_max: 65_536,
            registration_required: false,
        };
        admin.write_layout(&layout).await.unwrap();
        let journal = engine.journal(layout);
        let mut tasks = JoinSet::new();
        let directory = follow(&journal, &mut tasks);
        within(directory.ready()).await;
        let administration = Administration::new(
            administration::Settings::default(),
            &journal,
            Arc::clone(&directory),
            Arc::clone(&clock),
        );
        Self {
            directory,
            administration,
            journal,
            clock,
            now,
            engine,
            tasks,
            _dir: dir,
        }
    }

    /// Another node's directory on the same log.
    pub(crate) fn another_directory(&mut self) -> Arc<Directory> {
        follow(&self.journal, &mut self.tasks)
    }

    pub(crate) fn now(&self) -> i64 {
        (self.clock)()
    }

    pub(crate) fn advance(&self, seconds: i64) {
        self.now.fetch_add(seconds * 1_000_000, Ordering::Relaxed);
    }

    pub(crate) async fn close(mut self) {
        self.tasks.shutdown().await;
        self.engine.close().await.unwrap();
    }

    /// Makes a token and answers with its id and credential.
    pub(crate) async fn token(&self, actor: &Principal, json: &str) -> (String, String) {
        let issued = self
            .administration
            .create_token(actor, members(json))
            .await
            .unwrap();
        (issued.token.0.id.into(), issued.credential)
    }

    /// A session of the admin token.
    pub(crate) fn session(&self) -> String {
        let principal = self.directory.authenticate(ADMIN_TOKEN, self.now()).unwrap();
        self.administration.create_session(&principal).unwrap().credential
    }

    /// Revocations that compaction would keep.
    pub(crate) async fn kept_revocations(&self) -> usize {
        let block = self
            .journal
            .reader
            .read(Topic::Control, 0, 0, 1 << 20)
            .await
            .unwrap();
        let records = block.records.iter();
        let newest: BTreeMap<&str, bool> = records
            .map(|record| (&*record.key, record.value.is_some()))
            .collect();
        newest
            .iter()
            .filter(|(key, is_there)| key.starts_with("revocation/") && **is_there)
            .count()
    }

    /// Makes a token and answers with its principal.
    pub(crate) async fn principal(&self, json: &str) -> Arc<Principal> {
        let (_, credential) = self.token(&system(), json).await;
        self.directory.authenticate(&credential, self.now()).unwrap()
    }
}

fn follow(journal: &Journal, tasks: &mut JoinSet<()>) -> Arc<Directory> {
    let directory = Directory::new(settings(), 16, &Registry::new()).unwrap();
    let (journal, follower) = (journal.clone(), Arc::clone(&directory));
    tasks.spawn(async move { follower.follow(&journal, CancellationToken::new()).await });
    directory
}

pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("in time")
}

pub(crate) fn members(json: &str) -> TokenMembers {
    serde_json::from_str(json).unwrap()
}

pub(crate) fn system() -> Principal {
    Principal::system("test")
}
