//! A log in a temporary directory, its directory and administration, and ingest behind a loopback
//! listener.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use access::administration::{self, TokenMembers};
use access::directory::Settings as AccessSettings;
use access::http::{Handled, HttpService};
use access::{AdminToken, Administration, Directory, NodeKey, Principal};
use async_trait::async_trait;
use bytes::Bytes;
use embedded::Engine;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use ingest::{Ingest, Settings};
use journal::{AppendError, Appender, Clock, Journal, NewRecord, Position, Record, Topic};
use parking_lot::Mutex;
use prometheus::Registry;
use schemas::control::Layout;
use schemas::{Event, Rejected};
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub(crate) const SYSTEM: &str = "an-admin-token-of-32-characters!";
/// 2027-01-15.
pub(crate) const NOW: i64 = 1_800_000_000_000_000;
const PARTITIONS: u32 = 16;
const PATIENCE: Duration = Duration::from_secs(20);

/// Answers that the log gives in place of its own, from a test's script.
pub(crate) type Script = Arc<dyn Fn(&NewRecord) -> Option<AppendError> + Send + Sync>;

/// Stands before the engine's appender: lets records of events fail as a script says. A record that
/// fails is not appended.
struct Scripted {
    real: Arc<dyn Appender>,
    script: Mutex<Option<Script>>,
}

#[async_trait]
impl Appender for Scripted {
    async fn append(
        &self,
        records: Vec<NewRecord>,
        deadline: Duration,
    ) -> Vec<Result<Position, AppendError>> {
        let script = self.script.lock().clone();
        let Some(script) = script else {
            return self.real.append(records, deadline).await;
        };
        let mut outcomes = Vec::new();
        for record in records {
            match script(&record) {
                Some(error) => outcomes.push(Err(error)),
                None => outcomes.extend(self.real.append(vec![record], deadline).await),
            }
        }
        outcomes
    }
}

/// One node's ingest on one log.
pub(crate) struct World {
    pub(crate) ingest: Arc<Ingest>,
    pub(crate) directory: Arc<Directory>,
    pub(crate) journal: Journal,
    administration: Arc<Administration>,
    scripted: Arc<Scripted>,
    address: SocketAddr,
    engine: Engine,
    tasks: JoinSet<()>,
    _dir: tempfile::TempDir,
}

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(Settings::default()).await
    }

    pub(crate) async fn with(settings: Settings) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock: Clock = Arc::new(|| NOW);
        let engine = Engine::open(dir.path(), embedded::Settings::default(), Arc::clone(&clock)).unwrap();
        let admin = engine.admin();
        admin.create(PARTITIONS, 1).await.unwrap();
        let layout = Layout {
            generation: 1,
            created_at: NOW,
            epoch: 7,
            partitions: PARTITIONS,
            default_spread: 8,
            fold_version: 1,
            document_bytes_max: 65_536,
            registration_required: false,
        };
        admin.write_layout(&layout).await.unwrap();
        let mut journal = engine.journal(layout);
        let scripted = Arc::new(Scripted {
            real: Arc::clone(&journal.appender),
            script: Mutex::default(),
        });
        journal.appender = Arc::clone(&scripted) as Arc<dyn Appender>;
        let mut tasks = JoinSet::new();
        let access = AccessSettings {
            admin_token: Some(AdminToken::new(SYSTEM).unwrap()),
            ..AccessSettings::new(NodeKey::new([3; 32]))
        };
        let directory = Directory::new(access, PARTITIONS, &Registry::new()).unwrap();
        let (follower, log) = (Arc::clone(&directory), journal.clone());
        tasks.spawn(async move { follower.follow(&log, CancellationToken::new()).await });
        within(directory.ready()).await;
        let administration = Administration::new(
            administration::Settings::default(),
            &journal,
            Arc::clone(&directory),
            Arc::clone(&clock),
        );
        let ingest = Ingest::new(
            settings,
            journal.clone(),
            Arc::clone(&directory),
            Arc::clone(&administration),
            clock,
            &Registry::new(),
        )
        .unwrap();
        let address = serve(Arc::clone(&ingest), &mut tasks).await;
        Self {
            ingest,
            directory,
            journal,
            administration,
            scripted,
            address,
            engine,
            tasks,
            _dir: dir,
        }
    }

    pub(crate) fn script(&self, script: impl Fn(&NewRecord) -> Option<AppendError> + Send + Sync + 'static) {
        *self.scripted.script.lock() = Some(Arc::new(script));
    }

    /// A credential of tenant `acme`.
    pub(crate) async fn token(&self, json: &str) -> String {
        let members: TokenMembers = serde_json::from_str(json).unwrap();
        let operator = Principal::system("test");
        let issued = self
            .administration
            .create_token(&operator, members)
            .await
            .unwrap();
        issued.credential
    }

    pub(crate) async fn ingest_token(&self) -> String {
        self.token(r#"{"role":"ingest","tenant":"acme"}"#).await
    }

    pub(crate) async fn post(&self, token: &str, body: impl Into<Bytes>) -> Answer {
        self.send("POST", "/v1/events", token, &[], body).await
    }

    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        token: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { drop(connection.await) });
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "localhost")
            .header("authorization", format!("Bearer {token}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body.into())).unwrap();
        let response = within(sender.send_request(request)).await.unwrap();
        let (head, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        Answer {
            status: head.status.as_u16(),
            headers: head.headers,
            body: serde_json::from_slice(&bytes).unwrap_or(Value::Null),
        }
    }

    /// Sends raw bytes, closes the sending side, and answers with what came back.
    pub(crate) async fn raw(&self, request: &[u8]) -> String {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = Vec::new();
        within(stream.read_to_end(&mut answer)).await.unwrap();
        String::from_utf8(answer).unwrap()
    }

    /// Every record of a topic, partition by partition.
    pub(crate) async fn records(&self, topic: Topic) -> Vec<(u32, Record)> {
        let mut records = Vec::new();
        for partition in 0..PARTITIONS {
            let mut from = 0;
            loop {
                let block = self
                    .journal
                    .reader
                    .read(topic, partition, from, 1 << 20)
                    .await
                    .unwrap();
                if block.records.is_empty() {
                    break;
                }
                from = block.next;
                records.extend(block.records.into_iter().map(|record| (partition, record)));
            }
        }
        records
    }

    /// Every event in the log, in order within its partition.
    pub(crate) async fn events(&self) -> Vec<Event> {
        let records = self.records(Topic::Events).await;
        let decode = |(_, record): (u32, Record)| Event::decode(&record.value.unwrap()).unwrap();
        records.into_iter().map(decode).collect()
    }

    /// Everything in `wakeline.rejected`, with its key.
    pub(crate) async fn rejected(&self) -> Vec<(String, Rejected)> {
        within(self.ingest.drain(PATIENCE)).await;
        let records = self.records(Topic::Rejected).await;
        let decode = |(_, record): (u32, Record)| {
            (
                record.key.into_string(),
                Rejected::decode(&record.value.unwrap()).unwrap(),
            )
        };
        records.into_iter().map(decode).collect()
    }

    pub(crate) async fn close(mut self) {
        self.tasks.shutdown().await;
        self.engine.close().await.unwrap();
    }
}

pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("in time")
}

async fn serve(ingest: Arc<Ingest>, tasks: &mut JoinSet<()>) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, peer)) = listener.accept().await {
            let ingest = Arc::clone(&ingest);
            connections.spawn(async move {
                let answer = hyper::service::service_fn(|request: Request<Incoming>| async {
                    Ok::<_, Infallible>(match ingest.call(request, peer).await {
                        Handled::Response(response) => response,
                        Handled::NotMine(_) => Response::builder()
                            .status(404)
                            .body(access::http::body("not mine"))
                            .unwrap(),
                    })
                });
                let mut server = hyper::server::conn::http1::Builder::new();
                // A client that was cut off may still read its answer.
                server.half_close(true);
                drop(server.serve_connection(TokioIo::new(stream), answer).await);
            });
        }
    });
    address
}
