//! A gateway on a free port, and a client that shows every byte.

mod fakes;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use access::events::Submission;
use access::{AdminToken, Administration, Directory, NodeKey, Principal};
use gateway::device_socket::{self, DeviceSockets};
use gateway::front_door::{FrontDoor, FrontDoorSettings, Log, Wiring};
use gateway::native::Native;
use gateway::{
    DeviceSocketSettings, Engine, NativeSettings, OpenSettings, SchemaRegistry, Settings, Streams,
};
use journal::{Clock, Journal, Position};
use schemas::Document;
use schemas::control::Layout;
use state::{DeviceKey, Store, Write};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{RwLock, RwLockWriteGuard, watch};
use tokio_util::sync::CancellationToken;

use crate::sink::{Appending, Trouble};
use fakes::Stuck;

/// The system token of every test.
pub(crate) const SYSTEM: &str = "a-token-of-more-than-thirty-two-characters";
/// Nothing here takes longer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Waits for something that is about to happen.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, Box::pin(future)).await {
        Ok(value) => value,
        Err(_) => panic!("{what} did not happen within {PATIENCE:?}"),
    }
}

/// Settings that a test may change.
#[derive(Default)]
pub(crate) struct Options {
    pub(crate) door: FrontDoorSettings,
    pub(crate) engine: Settings,
    pub(crate) open: OpenSettings,
    pub(crate) native: NativeSettings,
    pub(crate) tls: Option<Arc<rustls::ServerConfig>>,
    /// The state never says how far it is.
    pub(crate) stuck_state: bool,
    /// How often devices are pinged, if not as by default.
    pub(crate) device_ping: Option<Duration>,
}

/// One gateway.
pub(crate) struct Gateway {
    pub(crate) address: SocketAddr,
    pub(crate) cancel: CancellationToken,
    pub(crate) sockets: Arc<DeviceSockets>,
    base: Base,
    _dir: tempfile::TempDir,
}

impl std::ops::Deref for Gateway {
    type Target = Base;

    fn deref(&self) -> &Base {
        &self.base
    }
}

/// Starts with 2026 and moves on by a microsecond with each look, so that times are distinct.
fn clock() -> Clock {
    let now = AtomicU64::new(1_767_225_600_000_000);
    Arc::new(move || i64::try_from(now.fetch_add(1, Ordering::SeqCst)).unwrap())
}

fn layout() -> Layout {
    Layout {
        generation: 1,
        created_at: 1_767_225_000_000_000,
        epoch: 7,
        partitions: 4,
        default_spread: 2,
        fold_version: 1,
        document_bytes_max: 65_536,
        registration_required: false,
    }
}

/// The log, the state, and who is who.
pub(crate) struct Base {
    pub(crate) journal: Journal,
    pub(crate) store: Store,
    administration: Arc<Administration>,
    sink: Arc<Appending>,
    pub(crate) clock: Clock,
    registry: prometheus::Registry,
}

impl Base {
    async fn open(dir: &std::path::Path, cancel: &CancellationToken) -> Self {
        let clock = clock();
        let log = embedded::Engine::open(dir, embedded::Settings::default(), Arc::clone(&clock)).unwrap();
        let admin = log.admin();
        admin.create(4, 1).await.unwrap();
        admin.write_layout(&layout()).await.unwrap();
        let (journal, store) = (log.journal(layout()), log.store());
        let registry = prometheus::Registry::new();
        let mut settings = access::directory::Settings::new(NodeKey::new([7; 32]));
        settings.admin_token = Some(AdminToken::new(SYSTEM).unwrap());
        let directory = Directory::new(settings, 4, &registry).unwrap();
        let (follower, followed, until) = (Arc::clone(&directory), journal.clone(), cancel.clone());
        tokio::spawn(async move { follower.follow(&followed, until).await });
        within("the directory", directory.ready()).await;
        let settings = access::administration::Settings::default();
        Self {
            sink: Arc::new(Appending {
                journal: journal.clone(),
                directory: Arc::clone(&directory),
                clock: Arc::clone(&clock),
                trouble: watch::Sender::new(Trouble::None),
                met: watch::Sender::new(0),
                gate: RwLock::default(),
                submissions: AtomicU64::default(),
            }),
            administration: Administration::new(settings, &journal, directory, Arc::clone(&clock)),
            journal,
            store,
            clock,
            registry,
        }
    }

    fn directory(&self) -> Arc<Directory> {
        Arc::clone(self.administration.directory())
    }

    fn engine(&self, settings: Settings) -> Engine {
        let settings = Settings {
            workers: 1,
            ..settings
        };
        let (journal, store) = (self.journal.clone(), self.store.clone());
        Engine::start(
            settings,
            journal,
            store,
            self.directory(),
            Arc::clone(&self.clock),
            &self.registry,
        )
        .unwrap()
    }

    fn sockets(&self, engine: &Engine, ping: Option<Duration>) -> Arc<DeviceSockets> {
        let defaults = DeviceSocketSettings::default();
        Arc::new(DeviceSockets::new(device_socket::Wiring {
            settings: DeviceSocketSettings {
                retry: Duration::from_millis(100),
                ping: ping.unwrap_or(defaults.ping),
                ping_jitter: ping.map_or(defaults.ping_jitter, |_| Duration::ZERO),
                ..defaults
            },
            engine: engine.clone(),
            journal: self.journal.clone(),
            store: self.store.clone(),
            directory: self.directory(),
            events: Arc::clone(&self.sink) as _,
            clock: Arc::clone(&self.clock),
        }))
    }

    fn native(&self, settings: NativeSettings) -> Native {
        Native::new(
            settings,
            self.journal.clone(),
            self.store.clone(),
            Arc::clone(&self.administration),
            Arc::clone(&self.sink) as _,
            Arc::clone(&self.clock),
        )
    }
}

impl Gateway {
    pub(crate) async fn start(options: Options) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let cancel = CancellationToken::new();
        let mut base = Base::open(dir.path(), &cancel).await;
        if options.stuck_state {
            base.store.progress = Arc::new(Stuck);
        }
        let engine = base.engine(options.engine);
        engine.append_through(Arc::clone(&base.sink) as _);
        let sockets = base.sockets(&engine, options.device_ping);
        let streams = Streams::new(
            options.open,
            engine,
            base.journal.clone(),
            Arc::clone(&base.administration),
            Arc::clone(&base.clock),
        );
        let wiring = Wiring {
            settings: options.door,
            streams: Some(Arc::new(streams)),
            services: vec![
                Arc::new(base.native(options.native)),
                Arc::clone(&sockets) as _,
                Arc::new(SchemaRegistry),
            ],
            tls: options.tls,
            observer: Arc::new(Log),
            clock: Arc::clone(&base.clock),
        };
        let door = FrontDoor::new(wiring, &base.registry).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let until = cancel.clone();
        tokio::spawn(async move { door.serve(listener, until).await });
        Self {
            address,
            cancel,
            sockets,
            base,
            _dir: dir,
        }
    }

    /// Appends one event of `device` of tenant `acme` and answers where it lies.
    pub(crate) async fn append(&self, device: &str, body: &str) -> Position {
        self.append_of("acme", device, body).await
    }

    pub(crate) async fn append_of(&self, tenant: &str, device: &str, body: &str) -> Position {
        let text = format!("{{\"device\":\"{device}\",{}", body.strip_prefix('{').unwrap());
        let submission = Submission {
            tenant: tenant.into(),
            device: None,
            items: vec![serde_json::value::RawValue::from_string(text).unwrap()],
            traceparent: None,
        };
        let mut outcomes = self.sink.take(&Principal::system("test"), submission).await;
        outcomes.pop().unwrap().unwrap().position
    }

    /// What events of devices meet from now on.
    pub(crate) fn trouble(&self, trouble: Trouble) {
        self.sink.met.send_replace(0);
        self.sink.trouble.send_replace(trouble);
    }

    /// Waits until so many submissions have met it.
    pub(crate) async fn met(&self, count: usize) {
        let mut met = self.sink.met.subscribe();
        within("trouble", met.wait_for(|met| *met >= count))
            .await
            .unwrap();
    }

    /// Puts a document into the store, as the projector would.
    pub(crate) async fn put(&self, tenant: &str, device: &str) {
        let placement = journal::Placement::new(tenant, 2, 4);
        let document = Document {
            tenant: tenant.into(),
            id: device.into(),
            version: 1,
            ..Document::default()
        };
        let write = Write {
            key: DeviceKey {
                tenant: tenant.into(),
                device: device.into(),
            },
            partition: placement.of(device),
            document: Some(Arc::new(document)),
            source: 1,
        };
        self.store.documents.write(vec![write]).await.unwrap();
    }

    /// Nothing is appended while this is held.
    pub(crate) async fn hold_appends(&self) -> RwLockWriteGuard<'_, ()> {
        self.sink.gate.write().await
    }

    /// Submissions that came so far.
    pub(crate) fn submissions(&self) -> u64 {
        self.sink.submissions.load(Ordering::SeqCst)
    }

    /// Makes a token, and answers with its id and its credential.
    pub(crate) async fn named_token(&self, members: serde_json::Value) -> (String, String) {
        let members = serde_json::from_value(members).unwrap();
        let issued = self
            .administration
            .create_token(&Principal::system("test"), members)
            .await
            .unwrap();
        (issued.token.0.id.into(), issued.credential)
    }

    /// Changes a token.
    pub(crate) async fn change(&self, id: &str, members: serde_json::Value) {
        let members = serde_json::from_value(members).unwrap();
        self.administration
            .change_token(&Principal::system("test"), id, members)
            .await
            .unwrap();
    }

    /// Takes back what was issued.
    pub(crate) async fn revoke(&self, id: &str) {
        self.administration
            .revoke_token(&Principal::system("test"), id)
            .await
            .unwrap();
    }

    /// A new token.
    pub(crate) async fn token(&self, members: serde_json::Value) -> String {
        let members = serde_json::from_value(members).unwrap();
        self.administration
            .create_token(&Principal::system("test"), members)
            .await
            .unwrap()
            .credential
    }

    /// Sends `GET target` with the system token and reads the answer to its end.
    pub(crate) async fn get(&self, target: &str) -> Answer {
        self.get_as(SYSTEM, target).await
    }

    pub(crate) async fn get_as(&self, token: &str, target: &str) -> Answer {
        self.send(&format!(
            "GET {target} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
        ))
        .await
    }

    /// Sends a whole request as it stands and reads the answer to its end.
    pub(crate) async fn send(&self, request: &str) -> Answer {
        let mut socket = self.connect(request).await;
        let mut bytes = Vec::new();
        within("the end of the answer", socket.read_to_end(&mut bytes))
            .await
            .unwrap();
        Answer::parse(&String::from_utf8(bytes).unwrap())
    }

    /// Sends a request and leaves the connection open.
    pub(crate) async fn connect(&self, request: &str) -> TcpStream {
        let mut socket = TcpStream::connect(self.address).await.unwrap();
        socket.write_all(request.as_bytes()).await.unwrap();
        socket
    }

    /// Opens an event stream.
    pub(crate) async fn stream(&self, query: &str, headers: &str) -> Reading<TcpStream> {
        let request = format!(
            "GET /v1/stream?{query} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {SYSTEM}\r\n{headers}\r\n"
        );
        Reading::new(self.connect(&request).await)
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

/// Reads whatever comes, and waits for parts of it.
pub(crate) struct Reading<Io> {
    io: Io,
    pub(crate) seen: String,
}

impl<Io: tokio::io::AsyncRead + Unpin> Reading<Io> {
    pub(crate) fn new(io: Io) -> Self {
        Self {
            io,
            seen: String::new(),
        }
    }

    /// Reads until `part` was seen, and answers with everything up to and with it, which is taken out.
    pub(crate) async fn until(&mut self, part: &str) -> String {
        loop {
            if let Some(at) = self.seen.find(part) {
                let rest = self.seen.split_off(at + part.len());
                return std::mem::replace(&mut self.seen, rest);
            }
            let mut bytes = [0; 4096];
            let read = tokio::time::timeout(PATIENCE, self.io.read(&mut bytes)).await;
            match read {
                Ok(Ok(length)) if length > 0 => {
                    self.seen.push_str(&String::from_utf8_lossy(&bytes[..length]));
                }
                other => panic!("{part:?} did not come ({other:?}) after {:?}", self.seen),
            }
        }
    }

    /// The content of the next chunk.
    pub(crate) async fn chunk(&mut self) -> String {
        let size = self.until("\r\n").await;
        let size = usize::from_str_radix(size.trim_end(), 16).unwrap();
        let content = self.until("\r\n").await;
        assert_eq!(content.len(), size + 2, "{content:?}");
        content[..size].to_owned()
    }

    /// The `id:` and the `data:` of the next block without a name.
    pub(crate) async fn data(&mut self) -> (String, serde_json::Value) {
        loop {
            let block = self.until("\n\n").await;
            let line = |name: &str| {
                block
                    .lines()
                    .find_map(|line| line.strip_prefix(name))
                    .map(str::to_owned)
            };
            if line("event: ").is_some() {
                continue;
            }
            if let (Some(id), Some(data)) = (line("id: "), line("data: ")) {
                return (id, serde_json::from_str(&data).unwrap());
            }
        }
    }
}

/// An answer, taken apart.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    fn parse(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        Self {
            status: status.unwrap_or_else(|| panic!("no answer: {text:?}")),
            head: head.to_ascii_lowercase(),
            body: body.to_owned(),
        }
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}
