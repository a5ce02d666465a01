//! The listener for operators: `/live`, `/ready`, `/metrics`, and the read side of the schema registry.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use access::http::{Body, Handled, HttpService};
use http::header::CONTENT_TYPE;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus::{Registry, TextEncoder};
use serde_json::{Map, Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Connections at once; more wait in the listener's backlog.
const CONNECTIONS_MAX: usize = 256;
/// Longest wait for a request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// Whether one part can do its work.
pub type Check = Box<dyn Fn() -> Condition + Send + Sync>;

/// What a check finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// It works.
    Good,
    /// It does not work at present, but the process is of more use to its clients with this than not
    /// at all: a stream that says `degraded` and a 503 with `Retry-After` are better than a balancer
    /// that has nobody left. The text says why.
    Degraded(String),
    /// Nothing should be sent here. The text says why.
    Failed(String),
}

/// What the operators' listener answers from.
pub struct AdminServer {
    checks: Vec<(&'static str, Check)>,
    registry: Registry,
    schemas: Arc<dyn HttpService>,
}

impl AdminServer {
    /// A server that reports `checks` and the metrics of `registry`.
    #[must_use]
    pub fn new(
        checks: Vec<(&'static str, Check)>,
        registry: Registry,
        schemas: Arc<dyn HttpService>,
    ) -> Arc<Self> {
        Arc::new(Self {
            checks,
            registry,
            schemas,
        })
    }

    /// Answers on `listener` until `cancel` fires.
    ///
    /// # Errors
    /// Never ends with one by itself; the type is that of every task.
    pub async fn serve(
        self: Arc<Self>,
        listener: TcpListener,
        cancel: CancellationToken,
    ) -> Result<(), Infallible> {
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let mut connections = JoinSet::new();
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else {
                return Ok(());
            };
            tokio::select! {
                () = cancel.cancelled() => return Ok(()),
                Some(_) = connections.join_next(), if !connections.is_empty() => {}
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) => {
                        let server = Arc::clone(&self);
                        connections.spawn(async move {
                            server.connection(stream, peer).await;
                            drop(place);
                        });
                    }
                    Err(error) => {
                        tracing::warn!(%error, "a connection to the admin address was not accepted");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                },
            }
        }
    }

    async fn connection(self: Arc<Self>, stream: TcpStream, peer: SocketAddr) {
        let service = service_fn(move |request| {
            let server = Arc::clone(&self);
            async move { Ok::<_, Infallible>(server.answer(request, peer).await) }
        });
        let served = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .serve_connection(TokioIo::new(stream), service)
            .await;
        if let Err(error) = served {
            tracing::debug!(%error, "a connection to the admin address broke");
        }
    }

    async fn answer(&self, request: Request<Incoming>, peer: SocketAddr) -> Response<Body> {
        if request.method() == Method::GET {
            match request.uri().path() {
                "/live" => return json_response(StatusCode::OK, &json!({"live": true})),
                "/ready" => return self.ready(),
                "/metrics" => return self.metrics(),
                _ => {}
            }
        }
        match self.schemas.call(request, peer).await {
            Handled::Response(response) => response,
            Handled::NotMine(_) => json_response(
                StatusCode::NOT_FOUND,
                &json!({"title": "Not Found", "status": 404,
                    "detail": "the admin address has /live, /ready, /metrics, /subjects, /schemas/ids/{id} and /config"}),
            ),
        }
    }

    fn ready(&self) -> Response<Body> {
        let (mut ready, mut degraded) = (true, Vec::new());
        let mut checks = Map::new();
        for (name, check) in &self.checks {
            let said = match check() {
                Condition::Good => "ok".to_owned(),
                Condition::Degraded(reason) => {
                    degraded.push(*name);
                    reason
                }
                Condition::Failed(reason) => {
                    ready = false;
                    reason
                }
            };
            checks.insert((*name).to_owned(), Value::String(said));
        }
        let status = if ready {
            StatusCode::OK
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        };
        json_response(
            status,
            &json!({"ready": ready, "degraded": degraded, "checks": checks}),
        )
    }

    fn metrics(&self) -> Response<Body> {
        match TextEncoder::new().encode_to_string(&self.registry.gather()) {
            Ok(text) => response(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", text),
            Err(error) => response(StatusCode::INTERNAL_SERVER_ERROR, "text/plain", error.to_string()),
        }
    }
}

fn json_response(status: StatusCode, value: &Value) -> Response<Body> {
    response(status, "application/json", value.to_string())
}

fn response(status: StatusCode, content_type: &'static str, text: String) -> Response<Body> {
    let mut response = Response::new(Full::new(text.into()).boxed());
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, http::HeaderValue::from_static(content_type));
    response
}
